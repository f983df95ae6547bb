import ControlPlane
import Cryptography
import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

/// What must never be seen again, and where it opens nevertheless.
@Suite struct ProviderKeySecrecyTests {
  /// As the tests' control planes have it.
  static let ring = KeyEncryptionKeys(key: [UInt8](repeating: 11, count: 32))
  static let key = "sk-proj-never-to-be-seen-again-4fGh"
  static let other = "sk-proj-nor-is-this-one-WXYZ"

  @Test func `the key is in no reply, and in no row of any table`() async throws {
    try await TestControlPlane.with { planes in
      let (plane, client) = (planes[0], planes[0].client)
      let organization = try await client.makeOrganization()
      let path = "\(try await client.makeProject(in: organization))/provider-keys/openai"
      var replies: [HTTPReply] = []
      for (key, headers) in [
        (Self.key, ["Idempotency-Key": "1"]), (Self.key, ["Idempotency-Key": "1"]),
        (Self.key, ["Idempotency-Key": "2", "If-Match": "*"]), (Self.other, [:]),
        (Self.other, ["Idempotency-Key": "3", "If-Match": "*"]), (Self.key, ["If-Match": #""1""#]),
        (Self.other + " ", [:]),
      ] {
        replies.append(try await client.put(path, #"{"key":"\#(key)"}"#, headers: headers))
      }
      #expect(replies.map(\.status) == [201, 201, 200, 428, 200, 412, 422])
      #expect(replies[1]["idempotency-replayed"] == "true")
      replies.append(
        try await client.put(
          path + "?dry_run=true", #"{"key":"\#(Self.key)"}"#, headers: ["If-Match": "*"]))
      for target in [
        path, String(path.dropLast(7)), "\(organization)/events", "\(organization)/audit-events",
        "\(organization)/projects",
      ] {
        replies.append(try await client.get(target))
      }
      let needles = [Self.key, Self.other].flatMap { key in
        [key, String(key.dropLast(4)), Base64URL.encode(Array(key.utf8))]
      }
      for reply in replies {
        for needle in needles { #expect(!reply.text.contains(needle), "\(reply.text)") }
      }
      let rows = try await Self.everything(in: plane.database)
      #expect(rows.contains { $0.contains("provider_key.set") }, "the log was looked through")
      #expect(rows.contains { $0.contains("openai") })
      for row in rows {
        for needle in needles { #expect(!row.contains(needle), "\(row)") }
        for key in [Self.key, Self.other] {
          #expect(!row.contains(Self.hex(Array(key.utf8))), "\(row)")
          // Nor what tells a guess from another: a hash without a key.
          #expect(!row.contains(SHA256.hash(Array(key.utf8)).hexString), "\(row)")
          #expect(!row.contains(Self.plainRequestHash(path, key)), "\(row)")
        }
      }
    }
  }

  @Test func `what the log, the table and the audit hold opens in its place and no other`()
    async throws
  {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.makeOrganization()
    let path = "/v1/organizations/\(organization)"
    let client = plane.client
    let project = try await client.makeProject(in: path)
    let projectID = try #require(ProjectID(String(project.split(separator: "/")[4])))
    let second = try await client.makeProject(in: path)
    let secondID = try #require(ProjectID(String(second.split(separator: "/")[4])))
    for (project, provider, key) in [
      (project, "openai", Self.key), (project, "mistral", Self.other),
      (second, "openai", Self.other),
    ] {
      _ = try await client.put("\(project)/provider-keys/\(provider)", #"{"key":"\#(key)"}"#)
    }
    let sealed = try await plane.database.withSession { session throws in
      try session.execute(
        """
        SELECT encrypted_key FROM provider_keys WHERE organization_id = \(organization.uuid) \
        AND project_id = \(projectID.uuid) AND provider = 'openai'
        """, deadline: .soon)[0].decode([UInt8].self)
    }
    let envelope = try SealedSecret(bytes: sealed)
    let openAI = try #require(Provider("openai"))
    let mistral = try #require(Provider("mistral"))
    let place = ProviderKeyContext(organization, projectID, openAI)
    #expect(try envelope.open(for: place.bytes, with: Self.ring) == Array(Self.key.utf8))
    for elsewhere in [
      ProviderKeyContext(organization, projectID, mistral),
      ProviderKeyContext(organization, secondID, openAI),
      ProviderKeyContext(OrganizationID(Identifiers.next()), projectID, openAI),
    ] {
      #expect(throws: SealedSecret.Failure.notAuthentic) {
        try envelope.open(for: elsewhere.bytes, with: Self.ring)
      }
    }
    let logged = try await plane.database.withApplicationSession { session in
      try session.execute(
        """
        SELECT payload #>> '{secret,sealed,envelope}' FROM events \
        WHERE organization_id = \(organization.uuid) AND type = 'provider_key.set' ORDER BY version
        """, deadline: .soon
      ).map { try $0.decode(String?.self) }
    }
    #expect(logged.first == envelope.text)
  }

  @Test func `what was written by commands equals the log`() async throws {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      let project = try await client.makeProject(in: client.makeOrganization())
      for provider in ["openai", "mistral"] {
        for key in [Self.key, Self.other] {
          _ = try await client.put(
            "\(project)/provider-keys/\(provider)", #"{"key":"\#(key)"}"#,
            headers: key == Self.key ? [:] : ["If-Match": "*"])
        }
      }
      _ = try await client.send(
        "DELETE", "\(project)/provider-keys/mistral", headers: ["If-Match": "*"])
      try await planes[0].database.withApplicationSession { session throws in
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
      }
    }
  }

  /// Every row of every table as text, bytes in hexadecimal digits.
  static func everything(in database: TestDatabase) async throws -> [String] {
    try await database.withSession { session throws in
      let tables = try session.execute(
        """
        SELECT table_name::text FROM information_schema.tables \
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
        """, deadline: .soon
      ).map { row throws in try row.decode(String.self) }
      var rows: [String] = []
      for table in tables {
        rows += try session.execute(
          Query(unchecked: "SELECT to_jsonb(t)::text FROM \(table) AS t"), deadline: .soon
        ).map { row throws in try row.decode(String.self) }
      }
      return rows
    }
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private static func plainRequestHash(_ path: String, _ key: String) -> String {
    SHA256.hash(Array("PUT \(path)\n".utf8), Array(#"{"key":"\#(key)"}"#.utf8)).hexString
  }
}
