import Cryptography
import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// The rotation from inside; FaultTests kills it as a program.
@Suite struct KeyRotationTests {
  /// The tests' own key, and a newer one.
  static let both = KeyEncryptionKeys.ring([1: 11, 2: 22])

  private func makeKeys(_ client: TestClient, _ count: Int = 10) async throws -> [String] {
    let project = try await client.makeProject(in: client.makeOrganization())
    var paths: [String] = []
    for number in 0..<count {
      let path = "\(project)/provider-keys/p\(number)"
      _ = try await client.put(path, #"{"key":"sk-first-\#(number)"}"#)
      paths.append(path)
    }
    return paths
  }

  @Test func `it changes the key's version and nothing else that people see`() async throws {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      let path = try await makeKeys(client, 1)[0]
      let before = try await client.get(path).json
      let done = try await KeyRotation(planes[0].controlPlane.services, keys: Self.both).run { _ in
      }
      #expect(done.rewrapped == 1)
      let after = try await client.get(path, headers: ["If-None-Match": #""1""#])
      #expect(after.status == 200, "what is shown has changed, and so has its tag")
      for name in ["fingerprint", "last_four", "created_at", "updated_at", "id"] {
        #expect(try after.json[name] == before[name], "\(name)")
      }
      #expect(try after.json["key_version"]?.integer == 2)
      #expect(try after.json["version"]?.integer == 2)
      let organization = path.split(separator: "/")[..<3].joined(separator: "/")
      let audit =
        try await client.get(
          "/\(organization)/audit-events?action=provider_key.rewrapped"
        ).json["data"]?.array ?? []
      #expect(audit.count == 1)
      #expect(audit.first?["actor"]?["kind"]?.string == "system")
      // The same key again is still nothing, and another one is sealed as ever.
      let same = try await client.put(path, #"{"key":"sk-first-0"}"#)
      #expect(same["signalbox-position"] == nil)
    }
  }

  @Test func `two that run at once, and people who replace keys: every key ends in one envelope`()
    async throws
  {
    try await TestControlPlane.with(replicas: 2) { planes in
      let client = planes[0].client
      let paths = try await makeKeys(client, 60)
      try await withThrowingTaskGroup(of: Int64.self) { group in
        for plane in planes {
          group.addTask {
            try await KeyRotation(plane.controlPlane.services, keys: Self.both).run { _ in }
              .rewrapped
          }
        }
        group.addTask {
          for path in paths.reversed() {
            let reply = try await planes[1].client.put(
              path, #"{"key":"sk-second"}"#, headers: ["If-Match": "*"])
            #expect(reply.status == 200)
          }
          return 0
        }
        let rewrapped = try await group.reduce(0, +)
        #expect(rewrapped <= 60)
      }
      // What these planes replaced meanwhile is under the first key again.
      let again = KeyRotation(planes[0].controlPlane.services, keys: Self.both)
      _ = try await again.run { _ in }
      #expect(try await again.usage() == [.init(version: 2, count: 60)])
      for path in paths {
        #expect(try await client.get(path).json["last_four"]?.string == "cond")
      }
      try await planes[0].database.withApplicationSession { session throws in
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
      }
    }
  }

  @Test func `what does not open is named, and holds nobody up`() async throws {
    try await TestControlPlane.with { planes in
      let paths = try await makeKeys(planes[0].client, 5)
      try await planes[0].database.withSession { session throws in
        try session.executeScript(
          """
          UPDATE provider_keys SET encrypted_key = set_byte(encrypted_key, 20, \
          get_byte(encrypted_key, 20) # 1) WHERE provider = 'p3'
          """, deadline: .soon)
      }
      let rotation = KeyRotation(planes[0].controlPlane.services, keys: Self.both)
      let done = try await rotation.run { _ in }
      #expect(done.rewrapped == 4)
      #expect(done.failures.map(\.provider.description) == ["p3"])
      #expect(try await rotation.remaining() == 1)
      #expect(paths.count == 5)
    }
  }

  @Test func `a rotation that lacks the newest key does nothing, and says so`() async throws {
    try await TestControlPlane.with { planes in
      _ = try await makeKeys(planes[0].client, 3)
      let services = planes[0].controlPlane.services
      _ = try await KeyRotation(services, keys: Self.both).run { _ in }
      await #expect(throws: KeyRotation.NewerKeys(version: 2, newest: 1)) {
        try await KeyRotation(services).run { _ in }
      }
    }
  }

  @Test func `the database's own key opens beside a list that begins after it`() async throws {
    let database = try await TestPostgres.database()
    try await database.withSession { session in
      let own = try Bootstrap.providerKeyEncryption(configured: nil, session, deadline: .soon)
      #expect(own.versions == [1])
      let later = KeyEncryptionKeys.ring([2: 22])
      let moved = try Bootstrap.providerKeyEncryption(
        configured: later, session, deadline: .soon)
      #expect(moved.versions == [1, 2])
      #expect(moved.newest == 2)
      #expect(moved[1] == own[1])
      let explicit = try Bootstrap.providerKeyEncryption(
        configured: Self.both, session, deadline: .soon)
      #expect(explicit[1] == [UInt8](repeating: 11, count: 32))
    }
    let empty = try await TestPostgres.database()
    try await empty.withSession { session in
      let only = try Bootstrap.providerKeyEncryption(
        configured: .ring([2: 22]), session, deadline: .soon)
      #expect(only.versions == [2], "nothing is made that nobody asked for")
    }
  }
}

extension KeyEncryptionKeys {
  /// Keys of which every byte is the same, by version.
  fileprivate static func ring(_ bytes: [Int: UInt8]) -> KeyEncryptionKeys {
    let list = bytes.map {
      "\($0.key):\(Base64URL.encode([UInt8](repeating: $0.value, count: 32)))"
    }
    guard let ring = try? KeyEncryptionKeys(list.joined(separator: "\n")) else { fatalError() }
    return ring
  }
}
