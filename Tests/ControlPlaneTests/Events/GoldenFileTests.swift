import ControlPlane
import Domain
import FoundationEssentials
import JSON
import Support
import Testing

/// What was stored once must be read for ever: one file per event type and schema version, in `fixtures/events`, holds
/// a payload as it is stored. A file is added with its type and never edited; a new shape is a new version.
@Suite struct GoldenFileTests {
  static let files = Result { try Repository.list("fixtures/events") }

  @Test func `every type has its file, and every file its type`() throws {
    let types = WorkspaceEvent.payloadTypes.map { "\($0.type).v\($0.schemaVersion).json" }
    let files = try Self.files.get()
    #expect(Set(types).subtracting(files) == [], "these types have no golden file")
    #expect(Set(files).subtracting(types) == [], "these golden files have no type")
  }

  @Test(
    arguments: WorkspaceEvent.payloadTypes.map { Name(type: $0.type, version: $0.schemaVersion) })
  private func `reading and writing it again changes no byte`(name: Name) throws {
    let bytes = try Repository.read("fixtures/events/\(name.type).v\(name.version).json")
    let event = try WorkspaceEvent(
      type: name.type, schemaVersion: name.version, from: Payload(bytes: bytes))
    let written = try CanonicalJSONEncoder().encodeObject(event.payload).canonicalBytes()
    #expect(String(decoding: written, as: UTF8.self) == String(decoding: bytes, as: UTF8.self))
  }

  /// An optional member that is not there is left out, not written as null.
  @Test func `what is absent stays absent`() throws {
    let project = ProjectID(UUID())
    let bytes = Array(#"{"project_id":"\#(project)"}"#.utf8)
    let event = try WorkspaceEvent(
      type: "project.panic_mode_enabled", schemaVersion: 1, from: Payload(bytes: bytes))
    #expect(try CanonicalJSONEncoder().encodeObject(event.payload).canonicalBytes() == bytes)
  }

  @Test(arguments: [
    "{}", #"{"name":"Acme"}"#, #"{"name":1,"slug":"acme"}"#, #"{"name":null,"slug":"acme"}"#,
    #"{"name":"Acme","name":"Acme","slug":"acme"}"#, "[]", "", "null",
  ])
  func `a payload of another shape is an error`(text: String) {
    #expect(throws: (any Error).self) {
      try WorkspaceEvent(
        type: "organization.created", schemaVersion: 1, from: Payload(bytes: Array(text.utf8)))
    }
  }

  private struct Name {
    let type: String
    let version: Int
  }

  private struct Payload: PayloadDecoder {
    let bytes: [UInt8]

    func decode<Payload: EventPayload>(_ type: Payload.Type) throws -> Payload {
      try StrictJSONDecoder().decode(type, from: bytes)
    }
  }
}
