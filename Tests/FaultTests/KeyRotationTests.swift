import Cryptography
import Domain
import FoundationEssentials
import Glibc
import JSON
import Postgres
import Synchronization
import Testing

extension FaultTests {
  /// FAULTS.md row 14.
  @Suite struct KeyRotations {
    @Test func `rotated under load and killed half-way, every key opens at every instant`()
      async throws
    {
      try await FaultRun.with { run in
        let vault = try await Vault(run, projects: 15)
        // From the key that the database keeps to one of the operator's.
        run.server.signal(SIGTERM)
        #expect(try await run.server.awaitExit(within: .seconds(20)) == 0)
        let server = try ServerProcess(directory: run.directory, settings: vault.settings)
        defer { server.killNow() }
        try await server.start()
        try await run.underLoad(ports: [server.port]) { _ in
          try await vault.whileReplacing(server.port) {
            let first = try ServerProcess(
              ["keys", "rotate"], directory: run.directory, settings: vault.settings)
            try first.spawn()
            let patience = ContinuousClock.now + .seconds(30)
            while !first.log.contains("Rewrapping: "), ContinuousClock.now < patience {
              try await Task.sleep(for: .milliseconds(1))
            }
            first.killNow()
            let left = try await vault.count(under: 1)
            #expect(left > 0 && left < vault.places.count, "\(run.hint) \(first.log)")
            let second = try await vault.command(["keys", "rotate", "--output", "json"])
            #expect(second.status == 0, "\(run.hint) \(second.log)")
            let result = try JSONValue.parse(Array(second.output.utf8))
            #expect(result["left"]?.integer == 0, run.hint)
            #expect(result["rewrapped"]?.integer ?? 0 > 0, run.hint)
            #expect(result["failures"] == .array([]), run.hint)
          }
        }
        #expect(try await vault.count(under: 1) == 0, run.hint)
        try await vault.expectAllOpen(with: vault.newRing)
        let list = try await vault.command(["keys", "list", "--output", "json"])
        let versions = try JSONValue.parse(Array(list.output.utf8))["keys"]?.array ?? []
        #expect(versions.map { $0["provider_keys"]?.integer } == [0, Int64(vault.places.count)])
        #expect(versions.map { $0["seals"]?.bool } == [false, true])
        try await Invariants(run, port: server.port).check()
        for text in [run.server.log, run.server.output, server.log, server.output] {
          #expect(!text.contains("sk-fault"), "a key is in a log")
        }
        #expect(server.output.contains("/provider-keys/p"), "the access log was looked through")
      }
    }

    @Test func `without the old key nothing is touched, and it is said which is missing`()
      async throws
    {
      try await FaultRun.with { run in
        let vault = try await Vault(run, projects: 1)
        let none = try await vault.command(
          ["keys", "rotate"],
          ["SIGNALBOX_PROVIDER_KEYS_KEK": "1:\(Vault.text(8)),2:\(Vault.text(9))"])
        #expect(none.status == 1, "\(none.log)")
        #expect(none.output.contains("100 are still under older versions."), "\(none.output)")
        #expect(none.output.contains("openai") || none.output.contains(" p0: "), "\(none.output)")
        #expect(none.output.contains("was sealed under another key"), "\(none.output)")
        try await vault.expectAllOpen(with: vault.oldRing)
        // Again with what opens: nothing is lost.
        let done = try await vault.command(["keys", "rotate"])
        #expect(done.status == 0, "\(done.log)")
        #expect(done.output == "Rewrapped 100 provider keys under version 2.\n")
        // A program that is behind does not go back.
        let behind = try await vault.command(["keys", "rotate"], [:])
        #expect(behind.status == 1)
        #expect(behind.log.contains("sealed under version 2"), "\(behind.log)")
        #expect(try await vault.command(["keys", "rotate", "--output", "xml"]).status == 64)
        #expect(
          try await vault.command(["keys", "rotate"], ["SIGNALBOX_PROVIDER_KEYS_KEK": "2:short"])
            .status == 64)
        try await vault.expectAllOpen(with: vault.newRing)
      }
    }
  }
}

/// Provider keys of one organization, and every value that each of them may have.
private final class Vault: Sendable {
  struct Place: Hashable, Sendable {
    let project: ProjectID
    let provider: Provider
    let path: String
  }

  let run: FaultRun
  let organization: OrganizationID
  let places: [Place]
  /// What the database keeps.
  let oldRing: KeyEncryptionKeys
  let newRing: KeyEncryptionKeys
  let settings = ["SIGNALBOX_PROVIDER_KEYS_KEK": "2:\(Vault.text(2))"]
  private let values: Mutex<[Place: Set<String>]>
  /// What was acknowledged last, of those that were replaced.
  private let last = Mutex<[Place: String]>([:])
  private let isStopping = Atomic<Bool>(false)

  static func text(_ byte: UInt8) -> String {
    Base64URL.encode([UInt8](repeating: byte, count: 32))
  }

  /// Sets a hundred keys in each of so many projects.
  init(_ run: FaultRun, projects count: Int) async throws {
    self.run = run
    let port = run.server.port
    (organization, places) = try await onThread {
      var connection = try HTTPConnection(port: port)
      let made = try Self.send(
        "POST", "/v1/organizations", #"{"name":"Vault"}"#, &connection)
      let organization = try #require(made["id"]?.string.flatMap(OrganizationID.init))
      var places: [Place] = []
      for _ in 0..<count {
        let path = "/v1/organizations/\(organization)/projects"
        let project = try #require(
          try Self.send("POST", path, #"{"name":"A","environment":"live"}"#, &connection)["id"]?
            .string.flatMap(ProjectID.init))
        for number in 0..<100 {
          let place = Place(
            project: project, provider: try #require(Provider("p\(number)")),
            path: "\(path)/\(project)/provider-keys/p\(number)")
          _ = try Self.send("PUT", place.path, Self.body("sk-fault-\(number)"), &connection)
          places.append(place)
        }
      }
      return (organization, places)
    }
    let first = places.map { ($0, Set(["sk-fault-\($0.provider.description.dropFirst())"])) }
    values = Mutex(Dictionary(uniqueKeysWithValues: first))
    let kept = try await run.database.rows(
      "SELECT value FROM server_secrets WHERE name = 'provider-key-encryption'")
    oldRing = KeyEncryptionKeys(key: try kept[0].decode([UInt8].self))
    newRing = try KeyEncryptionKeys("2:\(Self.text(2))")
  }

  /// Keys are replaced by writers, and all of them opened again and again, for as long as the body runs.
  func whileReplacing(_ port: UInt16, _ body: () async throws -> Void) async throws {
    let writers = (0..<3).map { index in
      Task { try await onThread { try self.replace(port, index) } }
    }
    let watcher = Task {
      var instants = 0
      while !isStopping.load(ordering: .relaxed) {
        try await expectAllOpen(with: newRing.opening(alsoWith: oldRing))
        instants += 1
      }
      return instants
    }
    let result: Result<Void, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    isStopping.store(true, ordering: .relaxed)
    var replaced = 0
    for writer in writers { replaced += try await writer.value }
    let instants = try await watcher.value
    // From now on nobody's earlier key will do.
    let last = last.withLock { $0 }
    values.withLock { values in for (place, value) in last { values[place] = [value] } }
    #expect(replaced > 0 && instants > 2, run.hint)
    print("seed \(run.seed): \(replaced) keys replaced, all opened \(instants) times")
    try result.get()
  }

  private func replace(_ port: UInt16, _ index: Int) throws -> Int {
    var random = SeededGenerator(seed: run.seed &* 7 &+ UInt64(index))
    var connection = try HTTPConnection(port: port)
    // Each place has one writer, so that it is known which key is the last.
    let places = places.enumerated().filter { $0.offset % 3 == index }.map(\.element)
    var count = 0
    while !isStopping.load(ordering: .relaxed) {
      count += 1
      let place = places.randomElement(using: &random)!
      let value = "sk-fault-\(index)-\(count)"
      // Before it is sent: it may be seen before the answer is.
      values.withLock { _ = $0[place, default: []].insert(value) }
      _ = try Self.send("PUT", place.path, Self.body(value), &connection, ifMatch: true)
      last.withLock { $0[place] = value }
    }
    return count
  }

  /// As the database has them at one instant.
  func expectAllOpen(with ring: KeyEncryptionKeys) async throws {
    let rows = try await run.database.rows(
      """
      SELECT project_id, provider, encrypted_key FROM provider_keys \
      WHERE organization_id = \(organization.uuid)
      """)
    #expect(rows.count == places.count, run.hint)
    let values = values.withLock { $0 }
    let byName = Dictionary(
      uniqueKeysWithValues: places.map { ("\($0.project) \($0.provider)", $0) })
    for row in rows {
      let (project, provider, sealed) = try row.decode((UUID, String, [UInt8]).self)
      let place = try #require(byName["\(ProjectID(project)) \(provider)"])
      let context = ProviderKeyContext(
        organization: Self.bytes(organization.uuid), project: Self.bytes(project),
        provider: provider)
      let opened = try SealedSecret(bytes: sealed).open(for: context.bytes, with: ring)
      let value = String(decoding: opened, as: UTF8.self)
      #expect(values[place]?.contains(value) == true, "\(run.hint) \(place.path): \(value)")
    }
  }

  func count(under version: Int64) async throws -> Int {
    Int(
      try await run.database.count(
        "SELECT count(*) FROM provider_keys WHERE key_version = \(version)"))
  }

  /// Runs a command to its end, with both keys unless told otherwise.
  func command(
    _ arguments: [String], _ other: [String: String]? = nil
  ) async throws -> (status: Int32, output: String, log: String) {
    let process = try ServerProcess(
      arguments, directory: run.directory, settings: other ?? settings)
    try process.spawn()
    let status = try await process.awaitExit(within: .seconds(60))
    return (status, process.output, process.log)
  }

  private static func body(_ key: String) -> String { #"{"key":"\#(key)"}"# }

  private static func bytes(_ uuid: UUID) -> [UInt8] {
    withUnsafeBytes(of: uuid.uuid) { Array($0) }
  }

  private static func send(
    _ method: String, _ path: String, _ body: String, _ connection: inout HTTPConnection,
    ifMatch: Bool = false
  ) throws -> JSONValue {
    let head = """
      \(method) \(path) HTTP/1.1\r
      Authorization: Bearer \(ServerProcess.token)\r
      Content-Type: application/json\r
      \(ifMatch ? "If-Match: *\r\n" : "")
      """
    let response = try connection.send(
      head: head, body: Array(body.utf8), patience: .seconds(10))
    let text = String(decoding: response.body, as: UTF8.self)
    try #require((200...201).contains(response.status), "\(method) \(path): \(text)")
    return try JSONValue.parse(response.body)
  }
}
