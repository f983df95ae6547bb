import ConfigurationFeed
import Domain
import JSON
import Support
import Testing

@testable import ControlPlane

/// The log keeps hashes of secrets and sealed values. None of them leaves the store with an event.
@Suite struct RedactionTests {
  /// What is left out of each type of event, as pointers into its golden file.
  private static let redacted: [String: [String]] = [
    "account.token_created": ["/secret/hash"],
    "api_key.created": ["/secret/hash"],
    "gateway_token.created": ["/secret/hash"],
    "invitation.created": ["/email", "/token_hash"],
    "invitation.resent": ["/token_hash"],
    "provider_key.rewrapped": ["/sealed"],
    "provider_key.set": ["/secret/sealed"],
    "service_token.created": ["/secret/hash"],
    "service_token.rotated": ["/secret/hash"],
    "webhook_endpoint.created": ["/secret"],
    "webhook_endpoint.secret_rotated": ["/secret"],
  ]

  @Test func `each type of event leaves out what it must, and nothing else`() throws {
    for type in WorkspaceEvent.payloadTypes {
      let shown = try Self.shown(type)
      #expect(shown.redacted == Self.redacted[type.type] ?? [], "\(type.type)")
    }
  }

  @Test func `nothing that is shown looks like a hash or something sealed`() throws {
    for type in WorkspaceEvent.payloadTypes {
      let text = String(decoding: try Self.shown(type).payload.canonicalBytes(), as: UTF8.self)
      for word in text.split(whereSeparator: {
        !$0.isLetter && !$0.isNumber && $0 != "-" && $0 != "_"
      }) {
        let isMixed = word.contains(where: \.isUppercase) && word.contains(where: \.isLowercase)
        #expect(word.utf8.count < 32 || !isMixed, "\(type.type): \(word)")
      }
    }
  }

  private static func shown(_ type: any EventPayload.Type) throws -> ShownPayload {
    let bytes = try Repository.read("fixtures/events/\(type.type).v\(type.schemaVersion).json")
    return try ShownPayload(
      of: WorkspaceEvent(
        type: type.type, schemaVersion: type.schemaVersion, from: Payload(bytes: bytes)))
  }

  private struct Payload: PayloadDecoder {
    let bytes: [UInt8]

    func decode<Payload: EventPayload>(_ type: Payload.Type) throws -> Payload {
      try StrictJSONDecoder().decode(type, from: bytes)
    }
  }

  // MARK: Over HTTP

  @Test func `a viewer reads no secret, and only the events that their role may read`() async throws
  {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.client.makeOrganization()
    let project = try await plane.client.makeProject(in: organization)
    _ = try await plane.client.post("\(project)/api-keys", #"{"name":"Web"}"#)
    _ = try await plane.client.put(
      "\(project)/provider-keys/openai", #"{"key":"sk-redaction-0123"}"#)
    _ = try await plane.client.post(
      "\(organization)/invitations", #"{"email":"guest@example.com","role":"viewer"}"#)
    let viewer = try await plane.makeMember(of: organization, role: .viewer)
    let owners = try await plane.client.all("\(organization)/events")
    let seen = try await viewer.all("\(organization)/events")
    #expect(owners.contains { $0["type"] == .string("api_key.created") })
    for event in owners + seen {
      let text = try JSONValue.object(#require(event["payload"]?.object)).canonicalBytes()
      let payload = String(decoding: text, as: UTF8.self)
      for word in ["hash", "sealed", "envelope"] { #expect(!payload.contains(word), "\(payload)") }
    }
    let types = Set(seen.compactMap { $0["type"]?.string })
    for type in types {
      let permission = try #require(WorkspaceEvent.permissionToRead(eventOfType: type))
      #expect(Role.viewer.may(permission), "\(type)")
    }
    #expect(types.contains("project.created"))
    #expect(!types.contains("invitation.created"))
    // The list shows a viewer what the stream shows them, to the byte.
    let stream = try await FollowedEvents(viewer, organization, "?after=0")
    #expect(try await stream.take { $0.events.count == seen.count })
    #expect(try stream.events.map { try JSONValue.parse(Array($0.data.utf8)) } == seen)
    let dry = try await plane.client.post(
      "\(project)/api-keys?dry_run=true", #"{"name":"Dry"}"#
    ).json["events"]?.array?.first
    #expect(dry?["redacted"] == .array([.string("/secret/hash")]))
    #expect(dry?["payload"]?["secret"]?["hash"] == nil)
  }

  // MARK: The audit's filter

  @Test func `audit events can be asked for by every kind of target`() async throws {
    let client = try await TestControlPlane.shared.client
    let organization = try await client.makeOrganization()
    for kind in Entity.Kind.allCases {
      let id = kind.externalID(Identifiers.next())
      let reply = try await client.get("\(organization)/audit-events?target=\(id)")
      #expect(reply.status == 200, "\(kind): \(reply.text)")
    }
    #expect(try await client.get("\(organization)/audit-events?target=xyz_0").status == 422)
  }
}
