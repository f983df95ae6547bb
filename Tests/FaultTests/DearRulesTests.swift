import ControlPlane
import Domain
import FoundationEssentials
import Glibc
import JSON
import Support
import Synchronization
import Testing

extension FaultTests {
  /// FAULTS.md row 22: a tenant who replays and evaluates the dearest rules on the most records, eight at once.
  @Suite struct DearRules {
    /// Of evidence that the tenant has; the whole run has those of the issue.
    private static let records = FaultRun.seconds > 10 ? 16_000 : 4_000
    private static let rules = 5_000
    private static let rounds = FaultRun.seconds > 10 ? 15 : 5
    private static let readsPerRound = 60

    @Test func `others read as before, and the work ends with the disconnect`() async throws {
      try await FaultRun.with { run in
        let admin = TestClient(run.server)
        let victim = try await Tenant(admin)
        // As many as replay at the same time in one process, with four connections each.
        let tenants = [try await Tenant(admin), try await Tenant(admin)]
        for tenant in tenants {
          try await tenant.report(Self.records)
          try await tenant.setRules(400)
        }
        let body = try Tenant.draft(Self.rules)
        _ = try await Self.round(victim, admin)

        var (without, with) = ([Duration](), [Duration]())
        var (replays, cpu, idle) = (0, Duration.zero, Duration.zero)
        for _ in 0..<Self.rounds {
          without.append(try await Self.round(victim, admin))
          let attack = Attack(run.server, tenants, body)
          try await eventually("replays") { try await Self.running(admin) > 0 }
          with.append(try await Self.round(victim, admin))
          replays += try await Self.running(admin)
          attack.disconnect()
          try await eventually("ends with its callers", within: .seconds(2)) {
            try await Self.running(admin) == 0
          }
          // What is left to do is what the server does anyway.
          let before = try run.server.processorTime
          try await Task.sleep(for: .milliseconds(500))
          idle += .milliseconds(500)
          cpu += try run.server.processorTime - before
        }
        let (calm, attacked) = (Self.median(without), Self.median(with))
        print(
          "p99 of others' reads \(calm) → \(attacked) beside \(Self.records) × \(Self.rules), eight at once"
        )
        #expect(replays >= Self.rounds, "it went on while others read")
        // What two rounds of the same differ by on a busy machine is not the tenant's doing.
        #expect(attacked <= max(calm * 2, calm + .milliseconds(40)), run.hint)
        #expect(cpu < idle / 2, "it went on when nobody waited for it: \(cpu) in \(idle)")
        #expect(try await tenants[0].replays(), "and it is done for who waits")
      }
    }

    /// The p99 of reads of another tenant, some of which ask the database.
    private static func round(_ victim: Tenant, _ admin: TestClient) async throws -> Duration {
      var times: [Duration] = []
      for number in 0..<readsPerRound {
        let path = ["/projects", "", "/rules", "/projects/\(victim.project)"][number % 4]
        let start = ContinuousClock.now
        let reply = try await admin.get("\(victim.path)\(path)")
        times.append(.now - start)
        #expect(reply.status == 200, "\(reply.text)")
      }
      times.sort()
      return times[times.count * 99 / 100]
    }

    private static func median(_ times: [Duration]) -> Duration { times.sorted()[times.count / 2] }

    /// How many replays go on, as the server's metrics say.
    private static func running(_ admin: TestClient) async throws -> Int {
      let text = try await admin.get("/metrics").text
      let name = "signalbox_replays_running "
      let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
      return try #require(line.flatMap { Int($0.dropFirst(name.count)) }, "no such metric")
    }
  }
}

/// A workspace with a project.
private struct Tenant: Sendable {
  let path: String
  let project: String
  private let admin: TestClient
  private let gateway: TestClient

  init(_ admin: TestClient) async throws {
    self.admin = admin
    path = try await admin.makeOrganization()
    project = String(try await admin.makeProject(in: path).split(separator: "/")[4])
    let token = try await admin.post("/v1/platform/gateway-tokens", #"{"name":"edge"}"#)
    gateway = admin.with(token: try #require(token.json["token"]?.string, "\(token.text)"))
  }

  /// Evidence of requests for models with the names that are dearest to match.
  func report(_ count: Int) async throws {
    let now = Timestamp.now
    for start in stride(from: 0, to: count, by: 4000) {
      let records = (start..<min(start + 4000, count)).map { number -> String in
        let time = now.advanced(by: -Int64(number) * 1000)
        let model = (0..<199).map { _ in Bool.random() ? "a" : "b" }.joined() + "c"
        return """
          {"id":"\(RequestLogID(Identifiers.next(at: time)))","occurred_at":"\(time.rfc3339)",\
          "project_id":"\(project)","decision":"allow","provider":"openai","model":"\(model)",\
          "configuration_position":1}
          """
      }
      let reply = try await gateway.post(
        "/v1/dataplane/request-logs", "[\(records.joined(separator: ","))]")
      #expect(try reply.json["accepted"]?.integer == Int64(records.count), "\(reply.text)")
    }
  }

  /// Rules for so many patterns that have hardly anything in common but stars.
  private static func rules(_ count: Int) -> String {
    (0..<count).map { number in
      let stars = (0..<60).map { _ in Bool.random() ? "*a" : "*b" }.joined()
      return #"{"provider":"*","model":"\#(stars)*\#(number)n","effect":"deny"}"#
    }.joined(separator: ",")
  }

  /// What the tenant's evaluations look at.
  func setRules(_ count: Int) async throws {
    let reply = try await admin.put(
      "\(path)/projects/\(project)/rules", #"{"rules":[\#(Self.rules(count))]}"#,
      headers: ["If-Match": "*"])
    #expect(reply.status == 200, "\(reply.text)")
  }

  /// A replay's body, with about as many rules and stars as fit into 1 MiB.
  static func draft(_ count: Int) throws -> String {
    let body = """
      {"rules":[\(rules(count))],"from":"2026-01-01T00:00:00Z",\
      "to":"2999-01-01T00:00:00Z","samples":0}
      """
    try #require(body.utf8.count < 1 << 20)
    return body
  }

  /// Whether a replay for which its caller waits comes to its end.
  func replays() async throws -> Bool {
    let reply = try await admin.post(
      "\(path)/projects/\(project)/rules:replay",
      #"{"rules":[],"from":"2026-01-01T00:00:00Z","to":"2999-01-01T00:00:00Z"}"#)
    return reply.text.contains(#""result""#)
  }
}

/// Eight connections that replay and evaluate again and again, until they are cut. Half of them only replay. Who is refused
/// pauses for a moment: what is measured is the work that is taken on.
private final class Attack: Sendable {
  private let sockets: [Int32]
  private let stopped: StopFlag

  private final class StopFlag: Sendable {
    let isRaised = Atomic<Bool>(false)
  }

  init(_ server: ServerProcess, _ tenants: [Tenant], _ body: String) {
    let stopped = StopFlag()
    self.stopped = stopped
    let request = #"{"provider":"openai","model":"\#(String(repeating: "ab", count: 100))"}"#
    sockets = (0..<8).map { number in
      let tenant = tenants[number % tenants.count]
      let rules = "\(tenant.path)/projects/\(tenant.project)/rules"
      let socket = Glibc.socket(
        AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      var address = sockaddr_in(loopback: server.port)
      precondition(address.withPointer { connect(socket, $0, $1) } == 0)
      let messages = [("\(rules):replay", body), ("\(rules):evaluate", request)].map { path, body in
        Array(
          """
          POST \(path) HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(ServerProcess.token)\r\n\
          Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)
          """.utf8)
      }
      Task {
        try? await onThread {
          defer { close(socket) }
          var turn = 0
          while !stopped.isRaised.load(ordering: .relaxed),
            let status = Self.exchange(messages[number < 4 ? 0 : turn % 2], over: socket)
          {
            turn += 1
            if status >= 400 { breathe() }
          }
        }
      }
      return socket
    }
  }

  /// Cuts all connections, in the middle of what they wait for.
  func disconnect() {
    stopped.isRaised.store(true, ordering: .relaxed)
    for socket in sockets { shutdown(socket, Int32(SHUT_RDWR)) }
  }

  /// Sends a request, and reads until its reply ends: with a last chunk, or as long as it says.
  ///
  /// - Returns: the status; nil when the connection is cut.
  private static func exchange(_ message: [UInt8], over socket: Int32) -> Int? {
    var sent = 0
    while sent < message.count {
      let count = message[sent...].withUnsafeBytes {
        send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return nil }
      sent += count
    }
    var reply: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = recv(socket, &chunk, chunk.count, 0)
      guard count > 0 else { return nil }
      reply += chunk[..<count]
      let empty = Array("\r\n\r\n".utf8)
      guard
        let end = reply.indices.first(where: { reply[$0...].starts(with: empty) })
      else { continue }
      let fields = String(decoding: reply[..<end], as: UTF8.self).lowercased()
        .split(separator: "\r\n")
      let length = fields.first { $0.hasPrefix("content-length: ") }
        .flatMap { Int($0.dropFirst("content-length: ".count)) }
      let status = fields.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
      if let length {
        if reply.count - end - empty.count >= length { return status }
      } else if reply.suffix(7).elementsEqual("\r\n0\r\n\r\n".utf8) {
        return status
      }
    }
  }
}

extension ServerProcess {
  /// How long the process, without its database, has used a processor.
  fileprivate var processorTime: Duration {
    get throws {
      let stat = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
      // Behind the name, which may have spaces: the 14th and 15th fields, in hundredths of a second.
      let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
      let ticks = [11, 12].compactMap { $0 < fields.count ? Int(fields[$0]) : nil }
      return .milliseconds(ticks.reduce(0, +) * 10)
    }
  }
}
