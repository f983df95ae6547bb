import ConfigurationFeed
import Domain
import FoundationEssentials
import Glibc
import JSON
import Logging
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What is served from disk is what was written there, for this database, or nothing.
@Suite struct SavedConfigurationTests {
  private static let database = "host=db port=5432 dbname=signalbox"

  // MARK: Refused

  @Test func `a file that is cut short anywhere is refused`() throws {
    let bytes = try Self.bytes()
    for count in 0..<bytes.count {
      #expect(throws: SavedConfiguration.Refusal.damaged) {
        try SavedConfiguration(Array(bytes.prefix(count)), of: Self.database, pepper: nil)
      }
    }
  }

  @Test func `a file of which any byte is another is refused`() throws {
    let bytes = try Self.bytes()
    for index in bytes.indices {
      var damaged = bytes
      damaged[index] ^= 1
      #expect(throws: SavedConfiguration.Refusal.damaged, "byte \(index)") {
        try SavedConfiguration(damaged, of: Self.database, pepper: nil)
      }
    }
  }

  @Test func `a file with something behind it is refused`() throws {
    #expect(throws: SavedConfiguration.Refusal.damaged) {
      try SavedConfiguration(Self.bytes() + [10], of: Self.database, pepper: nil)
    }
  }

  @Test func `a file of another database is refused, by name`() throws {
    #expect(throws: SavedConfiguration.Refusal.otherDatabase(Self.database)) {
      try SavedConfiguration(
        Self.bytes(), of: "host=db port=5432 dbname=staging", pepper: nil)
    }
  }

  @Test func `a file that was saved under another pepper, or under none, is refused`() throws {
    let (one, other) = ([UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32))
    let cases: [(KnownGateways.Key, [UInt8]?)] = [
      (.own(one), other), (.own(one), one), (.pepper(one), other), (.pepper(one), nil),
    ]
    for (key, pepper) in cases {
      #expect(throws: SavedConfiguration.Refusal.otherPepper) {
        try SavedConfiguration(Self.bytes(key), of: Self.database, pepper: pepper)
      }
    }
  }

  // MARK: Taken

  @Test(arguments: [false, true])
  func `what is saved is read, and recognises the gateways that were known`(
    isPepperGiven: Bool
  ) throws {
    let secret = [UInt8](repeating: 3, count: 32)
    let key: KnownGateways.Key = isPepperGiven ? .pepper(secret) : .own(secret)
    let known = KnownGateways(key)
    let (id, token) = (GatewayTokenID(Identifiers.next()), TokenFormat.gateway.generate())
    let until = Timestamp(clamping: Timestamp.now.microseconds + 60_000_000)
    known.note(token, of: id, until: until)
    let bytes = try Self.bytes(key, known.all)
    #expect(!String(decoding: bytes, as: UTF8.self).contains(token))
    let saved = try SavedConfiguration(
      bytes, of: Self.database, pepper: isPepperGiven ? secret : nil)
    #expect(saved.document == (try Self.document()))
    #expect(saved.gateways == known.all)
    let again = KnownGateways(saved.key, saved.gateways)
    #expect(again.gateway(token: token, at: .now) == id)
    #expect(again.gateway(token: token, at: until) == nil, "it has expired")
    #expect(again.gateway(token: TokenFormat.gateway.generate(), at: .now) == nil)
  }

  @Test func `the file is its owner's, and one that is damaged costs no more than the fallback`()
    throws
  {
    let directory = "/tmp/signalbox-saved-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let file = FallbackFile(
      Fallback(directory: directory, database: .init(), pepper: nil), logger: logger)
    #expect(file.load() == nil)
    #expect(file.save(try Self.document(), [], key: .own([UInt8](repeating: 1, count: 32))))
    #expect(file.load()?.document == (try Self.document()))
    let path = "\(directory)/dataplane.saved"
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect((attributes[.posixPermissions] as? Int) == 0o600)
    #expect(truncate(path, 100) == 0)
    #expect(file.load() == nil)
  }

  @Test func `of gateways that the database does not name any more, none is let in`() {
    let known = KnownGateways(.own([UInt8](repeating: 1, count: 32)))
    let tokens = (0..<2).map { _ in TokenFormat.gateway.generate() }
    let ids = tokens.map { _ in GatewayTokenID(Identifiers.next()) }
    for (token, id) in zip(tokens, ids) { known.note(token, of: id, until: nil) }
    known.learn([.init(id: ids[1], hash: [1], until: nil)])
    #expect(known.gateway(token: tokens[0], at: .now) == nil)
    #expect(known.gateway(token: tokens[1], at: .now) == ids[1])
  }

  @Test func `where the pepper is given, gateways are known that were never seen`() {
    let pepper = [UInt8](repeating: 1, count: 32)
    let (id, token) = (GatewayTokenID(Identifiers.next()), TokenFormat.gateway.generate())
    let known = KnownGateways(.pepper(pepper))
    known.learn([.init(id: id, hash: TokenHasher(pepper: pepper).hash(token), until: nil)])
    #expect(known.gateway(token: token, at: .now) == id)
  }

  // MARK: Confirmed

  @Test func `streams of what turns out to be of another log begin anew`() async throws {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      _ = try await client.makeProject(in: client.makeOrganization())
      let gateway = try await planes[0].makeGateway()
      try await gateway.follow()
      try await gateway.take { $0.events.contains { $0.event == "status" } }
      let foreign = SavedConfiguration(
        database: Self.database, savedAt: .now, key: .own([]), gateways: [],
        document: ConfigurationDocument(position: gateway.document.position))
      planes[0].controlPlane.groundwork.liveConfiguration.begin(with: foreign)
      #expect(try await gateway.take { $0.events.last?.event == "reset" })
      #expect(try await planes[0].makeGateway().document.projectCount == 1)
    }
  }

  @Test func `streams of what was saved go on with the changes since`() async throws {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      let project = try await client.makeProject(in: client.makeOrganization())
      let gateway = try await planes[0].makeGateway()
      let saved = SavedConfiguration(
        database: Self.database, savedAt: .now, key: .own([]), gateways: [],
        document: gateway.document)
      _ = try await client.put("\(project)/panic-mode", #"{"enabled":true}"#)
      try await gateway.follow()
      try await gateway.take { $0.events.contains { $0.event == "change" } }
      _ = try await client.put("\(project)/panic-mode", #"{"enabled":false}"#)
      planes[0].controlPlane.groundwork.liveConfiguration.begin(with: saved)
      let last = try await client.put("\(project)/panic-mode", #"{"enabled":true}"#)
      let position = try #require(last["signalbox-position"].flatMap { Int64($0) })
      #expect(try await gateway.take { $0.document.position == position })
      #expect(!gateway.events.contains { $0.event == "reset" })
      let changes = gateway.events.filter { $0.event == "change" }.compactMap(\.id)
      #expect(changes.count == 3)
      #expect(Set(changes).count == 3, "none comes twice")
    }
  }

  // MARK: Samples

  private static func document() throws -> ConfigurationDocument {
    var document = ConfigurationDocument(position: 6)
    let organization = OrganizationID(Identifiers.sample)
    let project = ProjectID(Identifiers.sample)
    try document.apply(
      Array(
        #"{"organizations":{"\#(organization)":{"plan":"free","projects":{"\#(project)":{"environment":"live"}}}}}"#
          .utf8), at: 7)
    return document
  }

  private static func bytes(
    _ key: KnownGateways.Key = .own([UInt8](repeating: 1, count: 32)),
    _ gateways: Set<KnownGateways.Gateway> = []
  ) throws -> [UInt8] {
    Array(
      SavedConfiguration(
        database: database, savedAt: .now, key: key, gateways: gateways, document: try document()
      ).chunks.joined())
  }
}

extension Identifiers {
  fileprivate static let sample = next()
}
