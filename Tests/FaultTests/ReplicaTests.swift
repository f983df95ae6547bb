import Domain
import EventStore
import Glibc
import JSON
import Postgres
import Synchronization
import Testing

extension FaultTests {
  /// FAULTS.md row 17.
  @Suite struct Replicas {
    @Test func `two replicas under load, one killed: nothing is lost and the feed skips nothing`()
      async throws
    {
      try await FaultRun.with { run in
        let other = try ServerProcess(directory: run.directory, database: run.database.url)
        defer { other.killNow() }
        try await other.start()
        var random = run.random
        let killsTheOther = Bool.random(using: &random)
        let (victim, survivor) = killsTheOther ? (other, run.server) : (run.server, other)
        let seen = try await whileFollowing(run, survivor.port) {
          try await run.underLoad(ports: [victim.port, survivor.port]) { _ in
            try await Task.sleep(for: FaultRun.load())
            victim.killNow()
            let duration = try await run.recovery(within: .seconds(15))
            #expect(duration < .seconds(10), run.hint)
            try await Task.sleep(for: FaultRun.load())
          }
        }
        #expect(!seen.isEmpty, run.hint)
        for (id, positions) in seen {
          let stream = try await run.database.rows(
            EventLog.events(of: id.uuid, after: 0, limit: .max)
          ).map { try RecordedEvent($0).position }
          #expect(positions == Array(stream.prefix(positions.count)), run.hint)
        }
        try await Invariants(run, port: survivor.port).check()
      }
    }

    @Test func `a replica that is stopped while it holds the log's head holds nobody up for long`()
      async throws
    {
      try await FaultRun.with { run in
        let other = try ServerProcess(directory: run.directory, database: run.database.url)
        defer { other.killNow() }
        try await other.start()
        try await run.underLoad(ports: [other.port, run.server.port]) { _ in
          try await Task.sleep(for: FaultRun.load(0.3))
          run.ledger.allowSilence(of: other.port)
          try await stopInTransaction(other, run)
          let duration = try await run.recovery(within: .seconds(15))
          #expect(duration < .seconds(10), run.hint)
          other.signal(SIGCONT)
          try await Task.sleep(for: FaultRun.load(0.5))
        }
        try await Invariants(run).check()
        try await Invariants(run, port: other.port).check()
      }
    }

    @Test func `a sole reader that is stopped reads nothing stale when it goes on`() async throws {
      try await FaultRun.with { run in
        let other = try ServerProcess(directory: run.directory, database: run.database.url)
        defer { other.killNow() }
        try await other.start()
        let made = try await request("POST", "/v1/organizations", #"{"name":"Before"}"#, run.server)
        let path = "/v1/organizations/\(made["id"]?.string ?? "")"
        let patience = ContinuousClock.now + .seconds(30)
        while try await run.database.count(
          "SELECT count(*) FROM event_log_head WHERE sole_reader IS NOT NULL") == 0
        {
          try #require(ContinuousClock.now < patience, "nobody reads without asking")
          #expect(try await request("GET", path, "", run.server)["name"] == .string("Before"))
        }
        #expect(try await request("GET", path, "", run.server)["name"] == .string("Before"))
        run.server.signal(SIGSTOP)
        let start = ContinuousClock.now
        let changed = try await request("PATCH", path, #"{"name":"After"}"#, other)
        let duration = ContinuousClock.now - start
        #expect(changed["name"] == .string("After"), run.hint)
        async let read = request("GET", path, "", run.server)
        // The request is there when the replica goes on. Any longer, and its lease would have ended without a wait.
        try await Task.sleep(for: .milliseconds(2))
        run.server.signal(SIGCONT)
        #expect(try await read["name"] == .string("After"), run.hint)
        // The change took the right away, and was not acknowledged before a lease of the last moment had ended.
        let soleReaders = try await run.database.count(
          "SELECT count(*) FROM event_log_head WHERE sole_reader IS NOT NULL")
        #expect(soleReaders == 0, run.hint)
        #expect(duration >= .milliseconds(50), run.hint)
      }
    }

    private func request(
      _ method: String, _ path: String, _ body: String, _ server: ServerProcess
    ) async throws -> JSONValue {
      let port = server.port
      return try await onThread { () throws in
        var connection = try HTTPConnection(port: port)
        let response = try connection.send(
          head: """
            \(method) \(path) HTTP/1.1\r
            Authorization: Bearer \(ServerProcess.token)\r
            Content-Type: application/json\r
            If-Match: *\r

            """, body: Array(body.utf8), patience: Client.deadline)
        return try JSONValue.parse(response.body)
      }
    }

    /// Stops a replica between the two round trips of a transaction.
    private func stopInTransaction(_ replica: ServerProcess, _ run: FaultRun) async throws {
      while true {
        replica.signal(SIGSTOP)
        try await Task.sleep(for: .milliseconds(60))
        let stuck = try await run.database.count(
          """
          SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' \
          AND application_name LIKE '%writer' AND state_change < now() - interval '40 ms'
          """)
        if stuck > 0 { return }
        replica.signal(SIGCONT)
        try await Task.sleep(for: .milliseconds(.random(in: 5...15)))
      }
    }

    /// Reads the feeds of all workspaces through one replica while events are appended through all.
    ///
    /// - Returns: the positions in the order in which they came.
    private func whileFollowing(
      _ run: FaultRun, _ port: UInt16, _ body: () async throws -> Void
    ) async throws -> [OrganizationID: [Int64]] {
      let isOver = Mutex(false)
      async let reader = onThread { () -> [OrganizationID: [Int64]] in
        var client = Client(ports: [port], ledger: run.ledger)
        var seen: [OrganizationID: [Int64]] = [:]
        while !isOver.withLock({ $0 }) {
          for id in Self.organizations(&client) { Self.follow(id, &seen, &client) }
          breathe()
        }
        return seen
      }
      let result: Result<Void, any Error>
      do { result = .success(try await body()) } catch { result = .failure(error) }
      isOver.withLock { $0 = true }
      let seen = await reader
      try result.get()
      return seen
    }

    /// The newest page is enough: whoever is on it is followed to the end.
    private static func organizations(_ client: inout Client) -> [OrganizationID] {
      let page = read("/v1/organizations?limit=200", &client)
      return page["data"]?.array?.compactMap { $0["id"]?.string.flatMap(OrganizationID.init) } ?? []
    }

    private static func follow(
      _ id: OrganizationID, _ seen: inout [OrganizationID: [Int64]], _ client: inout Client
    ) {
      let after = seen[id]?.last ?? 0
      let page = read("/v1/organizations/\(id)/events?limit=200&after=\(after)", &client)
      let positions = page["data"]?.array?.compactMap { $0["position"]?.integer } ?? []
      seen[id, default: []] += positions
    }

    /// While the database is away there is nothing to read, and the next turn asks again.
    private static func read(_ path: String, _ client: inout Client) -> JSONValue {
      guard let response = try? client.get(path), response.status == 200 else { return .null }
      return (try? JSONValue.parse(response.body)) ?? .null
    }
  }
}
