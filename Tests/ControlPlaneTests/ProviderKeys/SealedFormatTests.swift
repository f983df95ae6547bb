import Cryptography
import Domain
import FoundationEssentials
import JSON
import Support
import Testing

@testable import ControlPlane

/// The format is a contract with gateways in other languages: it is held against a vector that Python sealed, and
/// Python's cryptography opens what we seal.
@Suite struct SealedFormatTests {
  static let vector = "ops/sealed-provider-keys.json"

  @Test func `the published vector opens`() throws {
    let document = try JSONValue.parse(Repository.read(Self.vector))
    let keys = try #require(document["keys"]?.object)
    let ring = try KeyEncryptionKeys(
      keys.map { "\($0.key):\($0.value.string ?? "")" }.joined(separator: "\n"))
    let records = try #require(document["records"]?.array)
    #expect(records.count == 2)
    for (index, record) in records.enumerated() {
      let sealed = try SealedSecret(try #require(record["sealed"]?.string))
      #expect(sealed.keyVersion == Int32(index + 1))
      let opened = try sealed.open(for: try Self.context(record).bytes, with: ring)
      #expect(String(decoding: opened, as: UTF8.self) == record["key"]?.string)
    }
  }

  @Test func `Python opens the published vector`() throws {
    let opened = try Self.python(Repository.root + "/" + Self.vector)
    #expect(opened == Array(repeating: "sk-proj-0123456789abcdefghijklmn4fGh", count: 2))
  }

  @Test func `Python opens what is sealed now, before and after it was rewrapped`() throws {
    let lists = (1...2).map { "\($0):\(Base64URL.encode(SecureRandom.bytes(32)))" }
    let (old, both) = (
      try KeyEncryptionKeys(lists[0]), try KeyEncryptionKeys(lists.joined(separator: ","))
    )
    var records: [JSONValue] = []
    var secrets: [String] = []
    for length in [8, 9, 10, 100, 500] {
      let (organization, project) = (
        OrganizationID(Identifiers.next()), ProjectID(Identifiers.next())
      )
      let provider = try #require(Provider("p-\(length)_x"))
      let secret = String(
        decoding: SecureRandom.bytes(length).map { 0x21 + $0 % 94 }, as: UTF8.self)
      let place = ProviderKeyContext(organization, project, provider)
      let sealed = try SealedSecret.seal(Array(secret.utf8), for: place.bytes, under: old)
      for envelope in [sealed, try sealed.rewrapped(for: place.bytes, under: both)] {
        records.append(
          .object([
            "organization": .string("\(organization)"), "project": .string("\(project)"),
            "provider": .string("\(provider)"), "sealed": .string(envelope.text),
          ]))
        secrets.append(secret)
      }
    }
    let keys = lists.map { $0.split(separator: ":").map(String.init) }
    let document = JSONValue.object([
      "keys": .object(Dictionary(uniqueKeysWithValues: keys.map { ($0[0], .string($0[1])) })),
      "records": .array(records),
    ])
    let file = "/tmp/signalbox-sealed-\(Identifiers.next()).json"
    try Data(document.canonicalBytes()).write(to: URL(filePath: file))
    defer { try? FileManager.default.removeItem(atPath: file) }
    #expect(try Self.python(file) == secrets)
  }

  /// The interpreter that `make python` sets up. Where it, or its cryptography, is missing, this fails.
  private static func python(_ file: String) throws -> [String] {
    let output = try Program.run(
      "\(Repository.root)/.build/contract/bin/python",
      ["\(Repository.root)/ops/open_provider_keys.py", file])
    return try JSONValue.parse(Array(output.utf8)).array?.compactMap(\.string) ?? []
  }

  private static func context(_ record: JSONValue) throws -> ProviderKeyContext {
    ProviderKeyContext(
      try #require(record["organization"]?.string.flatMap(OrganizationID.init)),
      try #require(record["project"]?.string.flatMap(ProjectID.init)),
      try #require(record["provider"]?.string.flatMap({ Provider($0) })))
  }
}
