import FoundationEssentials
import Glibc
import Support
import Testing

extension FaultTests {
  /// What the system refuses: descriptors and memory that hostile connections have taken.
  @Suite struct Exhaustion {
    /// FAULTS.md row 26.
    @Test func `without descriptors it refuses and does not end, and recovers by itself`()
      async throws
    {
      try await FaultRun.with(Webhooks.settings, openFiles: 256) { run in
        let client = TestClient(run.server)
        let receiver = try await WebhookReceiver.start { _ in .hang }
        let organization = try await client.makeOrganization()
        for number in 0..<10 {
          _ = try await client.post(
            "\(organization)/webhook-endpoints",
            #"{"url":"\#(receiver.url("/\(number)"))","event_types":["*"]}"#)
        }
        let project = try await client.makeProject(in: organization)
        try await client.http.close()
        let idle = (0..<600).compactMap { _ in Socket(port: run.server.port) }
        #expect(idle.count > 100, "the backlog takes the rest")
        // With nothing left, listeners reconnect and names are resolved for as long as this lasts.
        try await Task.sleep(for: .seconds(max(2, FaultRun.seconds)))
        #expect(kill(run.server.pid, 0) == 0, "it runs: \(run.server.log.suffix(2000))")
        for socket in idle { socket.close() }
        let again = TestClient(run.server)
        var served = 0
        let start = ContinuousClock.now
        while served < 10, ContinuousClock.now - start < .seconds(15) {
          if let reply = try? await again.get(project), reply.status == 200 { served += 1 }
          try await Task.sleep(for: .milliseconds(20))
        }
        #expect(served == 10, run.hint)
        #expect(try await again.patch(project, #"{"name":"After"}"#).status == 200, run.hint)
      }
    }

    /// FAULTS.md row 26.
    @Test func `a server that may open nothing more does not spin, and takes who waits afterwards`()
      async throws
    {
      // Limits of another user's process can be changed by nobody who lacks CAP_SYS_RESOURCE, as root in a container does.
      try await FaultRun.with(geteuid() == 0 ? ["SIGNALBOX_USER": "root"] : [:]) { run in
        let client = TestClient(run.server)
        let organization = try await client.makeOrganization()
        try await client.http.close()
        let pid = run.server.pid
        // As many as it has open: the next connection has no descriptor.
        let limit = try Self.setOpenFiles(of: pid, to: 0)
        let waiting = (0..<20).compactMap { _ in Socket(port: run.server.port) }
        #expect(waiting.count == 20, "the backlog takes them")
        try await Task.sleep(for: .milliseconds(500))
        let before = try Self.processorTime(of: pid)
        try await Task.sleep(for: .seconds(2))
        let used = try Self.processorTime(of: pid) - before
        print("without descriptors it computes for \(used) in two seconds")
        #expect(used < .milliseconds(600), run.hint)
        _ = try Self.setOpenFiles(of: pid, to: limit)
        let again = TestClient(run.server)
        let start = ContinuousClock.now
        #expect(try await again.get(organization).status == 200, run.hint)
        #expect(ContinuousClock.now - start < .seconds(3), run.hint)
        let metrics = try await again.get("/metrics").text
        #expect(
          metrics.contains("http_accept_refused_total ")
            && !metrics.contains("http_accept_refused_total 0\n"), run.hint)
      }
    }

    @Test(.enabled(if: geteuid() == 0, "limits of threads do not hold for root, which starts it"))
    func `a server that the system gives too few threads says so and ends`() async throws {
      let directory = "/tmp/signalbox-threads-\(getpid())"
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      // Only a temporary directory would be left.
      defer { try? FileManager.default.removeItem(atPath: directory) }
      let server = try ServerProcess(
        directory: directory, database: "postgres://127.0.0.1:9/none", threads: 16)
      try server.spawn()
      let status = try await server.awaitExit(within: .seconds(20))
      #expect(status == 1, "\(server.log)")
      #expect(server.log.contains("the server needs "), "\(server.log)")
      #expect(server.log.contains("ulimit -u"), "\(server.log)")
    }

    /// FAULTS.md row 23.
    @Test func `bodies of callers without a token take no memory, and others notice nothing`()
      async throws
    {
      try await FaultRun.with { run in
        let client = TestClient(run.server)
        let organization = try await client.makeOrganization()
        let project = try await client.makeProject(in: organization)
        let quiet = try await Self.latency(of: client, project)
        let piece = [UInt8](repeating: UInt8(ascii: " "), count: 65_536)
        let sockets = (0..<1000).compactMap { _ in Socket(port: run.server.port) }
        _ = try await Self.latency(of: client, project)
        // Connections take memory of their own; here it is the bodies that must not.
        let before = try Self.residentMemory(of: run.server.pid)
        for (number, socket) in sockets.enumerated() {
          let length =
            number % 2 == 0 ? "Content-Length: 1000000" : "Transfer-Encoding: chunked"
          socket.send(
            Array(
              "POST /v1/organizations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\(length)\r\n\r\n"
                .utf8))
          if number % 2 == 1 { socket.send(Array("10000\r\n".utf8)) }
          socket.send(piece)
        }
        #expect(sockets.count == 1000)
        let noisy = try await Self.latency(of: client, project)
        let after = try Self.residentMemory(of: run.server.pid)
        print("1,000 bodies: \(before) MiB before, \(after) after; p99 \(quiet) and \(noisy)")
        #expect(after - before < 64, run.hint)
        #expect(noisy < max(quiet * 3, .milliseconds(100)), run.hint)
        for socket in sockets { socket.close() }
      }
    }

    private static func latency(of client: TestClient, _ path: String) async throws -> Duration {
      var times: [Duration] = []
      for _ in 0..<200 {
        let start = ContinuousClock.now
        #expect(try await client.get(path).status == 200)
        times.append(.now - start)
      }
      return times.sorted()[197]
    }

    /// How many descriptors a process may have; returns how many these were before.
    private static func setOpenFiles(of pid: pid_t, to count: rlim_t) throws -> rlim_t {
      let prlimit = "/usr/bin/prlimit"
      let old = try Program.run(
        prlimit, ["--pid", "\(pid)", "--nofile", "--output", "SOFT", "--noheadings"])
      _ = try Program.run(prlimit, ["--pid", "\(pid)", "--nofile=\(count):"])
      return try #require(rlim_t(old.split(whereSeparator: \.isWhitespace).first ?? ""))
    }

    /// What a process has computed so far, in all its threads.
    private static func processorTime(of pid: pid_t) throws -> Duration {
      let stat = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
      // The name may contain anything, a bracket included; the other fields do not.
      let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
      let ticks = fields.dropFirst(12).prefix(2).compactMap { Int($0) }.reduce(0, +)
      return .milliseconds(ticks * 1000 / sysconf(Int32(_SC_CLK_TCK)))
    }

    /// In MiB.
    private static func residentMemory(of pid: pid_t) throws -> Int {
      let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
      let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS") } ?? ""
      return (line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) / 1024
    }
  }
}

/// A connection that sends what it is told, as far as the kernel takes it, and never reads.
private final class Socket {
  private var descriptor: Int32

  /// Nil when there is no connection to be had.
  init?(port: UInt16) {
    let flags = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    descriptor = socket(AF_INET, flags | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    var address = sockaddr_in(loopback: port)
    let code = address.withPointer { connect(descriptor, $0, $1) }
    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard code == 0 || errno == EINPROGRESS, poll(&waiting, 1, 200) > 0 else {
      close()
      return nil
    }
  }

  deinit { close() }

  func send(_ bytes: [UInt8]) {
    _ = bytes.withUnsafeBytes {
      Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
  }

  func close() {
    guard descriptor >= 0 else { return }
    Glibc.close(descriptor)
    descriptor = -1
  }
}
