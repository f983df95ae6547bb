import Glibc
import JSON
import Support
import Synchronization
import Testing

extension FaultTests {
  /// FAULTS.md row 21: a tenant sends the largest change that the plan allows, again and again, from several connections.
  @Suite struct LargeChange {
    /// The business plan's number of rules in a project; fewer in a short run, whose server is a debug build.
    private static let ruleCount = FaultRun.seconds >= 30 ? 5000 : 1500

    @Test func `others do not notice, and the change itself succeeds`() async throws {
      try await FaultRun.with(["SIGNALBOX_RATE_LIMITS": "on"]) { run in
        let admin = TestClient(run.server)
        let hostile = try await Self.business(admin)
        let quiet = try await Self.business(admin)
        let sets = (0..<2).map { Self.body($0 * Self.ruleCount) }

        let baseline = try await Self.latencies(of: quiet, run) { _ in }
        let single = ContinuousClock.now
        let first = try await admin.put("\(hostile)/rules", sets[0], headers: ["If-Match": "*"])
        #expect(first.status == 200, "\(first.text.prefix(300))")
        let alone = ContinuousClock.now - single

        let counts = StatusCounts()
        let attacked = try await Self.latencies(of: quiet, run) { isOver in
          await withTaskGroup(of: Void.self) { group in
            for connection in 0..<4 {
              group.addTask {
                await onThread {
                  Self.attack(hostile, sets, run.server.port, connection, counts, isOver)
                }
              }
            }
          }
        }
        print(
          """
          seed \(run.seed): \(Self.ruleCount) rules alone in \(alone), then \(counts.all); others' p99 \
          \(baseline.p99) before and \(attacked.p99) meanwhile, at most \(attacked.longest)
          """)
        #expect(baseline.failures == [] && attacked.failures == [], run.hint)
        #expect(counts.all[503] == nil && counts.all[500] == nil, run.hint)
        #expect(counts.all[200, default: 0] > 0, run.hint)
        // Nobody ever waits behind more than one of them, and one that has just begun.
        #expect(attacked.longest < max(alone * 3, .milliseconds(500)), run.hint)
        if FaultRun.seconds >= 30 {
          #expect(attacked.p99 <= max(baseline.p99 * 3, .milliseconds(20)), run.hint)
        }
        // What the last one left behind is one of the sets, whole.
        let rules = try await Self.rules(of: hostile, admin)
        #expect(rules.count == Self.ruleCount, run.hint)
        let numbers = Set(rules.compactMap { $0["model"]?.string.flatMap { Int($0.dropFirst(6)) } })
        let isWhole = (0..<2).contains { set in
          numbers == Set(set * Self.ruleCount..<(set + 1) * Self.ruleCount)
        }
        #expect(isWhole, run.hint)
        try await Invariants(run).check()
      }
    }

    /// Callers who hang up while they wait: what had not begun never happens, and nothing is left half done.
    @Test func `callers who hang up leave nothing half done`() async throws {
      try await FaultRun.with { run in
        let admin = TestClient(run.server)
        let project = try await Self.business(admin)
        let sets = (0..<6).map { Self.body($0 * 400, count: 400) }
        for set in sets {
          let port = run.server.port
          try await onThread {
            var connection = try HTTPConnection(port: port)
            let head = Self.head(project)
            // Nobody reads the answer.
            _ = try? connection.send(
              head: head, body: Array(set.utf8), patience: .milliseconds(30))
          }
        }
        let last = try await admin.put(
          "\(project)/rules", Self.body(9000, count: 10), headers: ["If-Match": "*"])
        #expect(last.status == 200, run.hint)
        #expect(try await Self.rules(of: project, admin).count == 10, run.hint)
        try await Invariants(run).check()
      }
    }

    // MARK: Those who measure

    private struct Latencies {
      var all: [Duration] = []
      var failures: [String] = []

      var p99: Duration { all.isEmpty ? .zero : all.sorted()[all.count * 99 / 100] }
      var longest: Duration { all.max() ?? .zero }
    }

    /// Renames a project over and over while a body runs, and says how long each took.
    private static func latencies(
      of project: String, _ run: FaultRun, while body: (Flag) async -> Void
    ) async throws -> Latencies {
      let (port, isOver) = (run.server.port, Flag())
      let time = FaultRun.load(2)
      let measuring = Task {
        await onThread {
          defer { isOver.raise() }
          return measure(project, port, for: time)
        }
      }
      await body(isOver)
      return await measuring.value
    }

    private static func measure(
      _ project: String, _ port: UInt16, for time: Duration
    ) -> Latencies {
      var latencies = Latencies()
      let end = ContinuousClock.now + time
      var number = 0
      do throws(HTTPConnection.Failure) {
        var connection = try HTTPConnection(port: port)
        while ContinuousClock.now < end {
          number += 1
          let start = ContinuousClock.now
          let response = try connection.send(
            head: """
              PATCH \(project) HTTP/1.1\r
              Authorization: Bearer \(ServerProcess.token)\r
              Content-Type: application/json\r
              If-Match: *\r

              """, body: Array(#"{"name":"Round \#(number)"}"#.utf8), patience: Client.deadline)
          latencies.all.append(ContinuousClock.now - start)
          if response.status != 200 {
            latencies.failures.append(
              "\(response.status) \(String(decoding: response.body, as: UTF8.self))")
          }
          // Slower than the limit on requests.
          usleep(12_000)
        }
      } catch {
        latencies.failures.append("\(error)")
      }
      return latencies
    }

    // MARK: Those who attack

    private static func attack(
      _ project: String, _ sets: [String], _ port: UInt16, _ number: Int, _ counts: StatusCounts,
      _ isOver: Flag
    ) {
      var turn = number
      while !isOver.isRaised {
        turn += 1
        do throws(HTTPConnection.Failure) {
          var connection = try HTTPConnection(port: port)
          let response = try connection.send(
            head: head(project), body: Array(sets[turn % sets.count].utf8),
            patience: Client.deadline)
          counts.add(response.status)
          if response.status == 429 { usleep(100_000) }
        } catch {
          counts.add(0)
        }
      }
    }

    private static func head(_ project: String) -> String {
      """
      PUT \(project)/rules HTTP/1.1\r
      Authorization: Bearer \(ServerProcess.token)\r
      Content-Type: application/json\r
      If-Match: *\r

      """
    }

    /// A project of a workspace of its own.
    private static func business(_ admin: TestClient) async throws -> String {
      try await admin.makeProject(in: admin.makeOrganization())
    }

    private static func rules(
      of project: String, _ admin: TestClient
    ) async throws -> [JSONValue] {
      try #require(try await admin.get("\(project)/rules").json["data"]?.array)
    }

    private static func body(_ start: Int, count: Int = ruleCount) -> String {
      let rules = (start..<start + count).map {
        #"{"provider":"openai","model":"model-\#($0)","effect":"deny","note":"Rule \#($0) of the set"}"#
      }
      return #"{"rules":[\#(rules.joined(separator: ","))]}"#
    }
  }
}

private final class StatusCounts: Sendable {
  private let counts = Mutex<[Int: Int]>([:])

  var all: [Int: Int] { counts.withLock { $0 } }

  func add(_ status: Int) { counts.withLock { $0[status, default: 0] += 1 } }
}

private final class Flag: Sendable {
  private let value = Atomic(false)

  var isRaised: Bool { value.load(ordering: .acquiring) }

  func raise() { value.store(true, ordering: .releasing) }
}
