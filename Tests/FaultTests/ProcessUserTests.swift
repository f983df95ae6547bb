import FoundationEssentials
import Glibc
import Support
import Testing

extension FaultTests {
  /// A server that root starts becomes another user. These tests start it as root, and so need root themselves.
  @Suite(.enabled(if: geteuid() == 0, "only root can start a server as root"))
  struct ProcessUser {
    private static let nobody: uid_t = 65_534

    @Test func `no thread has root's rights left, and a restart finds everything again`()
      async throws
    {
      try await FaultRun.with { run in
        let organization = try await TestClient(run.server).makeOrganization()
        let user = try Identity.owner(of: run.database.directory)
        #expect(user != 0)
        try expectUnprivileged(run.server, user)
        let postmaster = try #require(run.database.postmaster)
        #expect(try Identity(thread: postmaster, of: postmaster).users == [user, user, user, user])
        try await stop(run.server)
        #expect(run.database.postmaster == nil, "its PostgreSQL has ended with it")
        #expect(try Self.filesOfOthers(in: run.database.directory, than: user) == "")
        try await run.server.start()
        #expect(try await TestClient(run.server).get(organization).status == 200)
        try expectUnprivileged(run.server, user)
        // What the server has become can also be started directly, and finds all of it readable.
        try await stop(run.server)
        for starter in [nil, user] {
          try await expectVerified(run, startedBy: starter)
        }
      }
    }

    @Test
    func `data of a third user, whose PostgreSQL still runs, is given to the user that is named`()
      async throws
    {
      try await FaultRun.with { run in
        let organization = try await TestClient(run.server).makeOrganization()
        run.server.killNow()
        let orphan = try #require(run.database.postmaster)
        // As a server that stayed root has left them.
        for file in ["signalbox.lock", "postgresql.log"] {
          try #require(chown("\(run.database.directory)/\(file)", 0, 0) == 0)
        }
        let server = try ServerProcess(
          directory: run.directory, settings: ["SIGNALBOX_USER": "nobody"])
        defer { server.killNow() }
        try await server.start()
        let postmaster = try #require(run.database.postmaster)
        #expect(postmaster != orphan)
        #expect(try await TestClient(server).get(organization).status == 200)
        try expectUnprivileged(server, Self.nobody)
        #expect(
          try Identity(thread: postmaster, of: postmaster).users.allSatisfy { $0 == Self.nobody })
        #expect(try Self.filesOfOthers(in: run.database.directory, than: Self.nobody) == "")
        try await stop(server)
        // Without a name it is whom the data belongs to.
        let next = try ServerProcess(directory: run.directory)
        defer { next.killNow() }
        try await next.start()
        try expectUnprivileged(next, Self.nobody)
        try await expectVerified(run, startedBy: nil)
        try await stop(next)
      }
    }

    @Test
    func
      `beside a database elsewhere it becomes nobody, with what only root could read and what root has saved`()
      async throws
    {
      try await withDirectory { directory in
        let (data, keys) = ("\(directory)/saved", "\(directory)/keys")
        mkdir(data, 0o700)
        try "damaged".write(toFile: "\(data)/dataplane.saved", atomically: false, encoding: .utf8)
        let key = "1:" + String(repeating: "A", count: 43) + "\n"
        try key.write(toFile: keys, atomically: false, encoding: .utf8)
        for path in ["\(data)/dataplane.saved", keys] { chmod(path, 0o600) }
        let server = try ServerProcess(
          directory: directory, database: "postgres://127.0.0.1:9/none",
          settings: [
            "SIGNALBOX_USER": "", "SIGNALBOX_DATA_DIR": data,
            "SIGNALBOX_ENCRYPTION_KEYS_FILE": keys,
          ])
        defer { server.killNow() }
        try server.spawn()
        try await eventually("answers") {
          (try? await TestClient(server).get("/livez").status) == 200
        }
        try expectUnprivileged(server, Self.nobody)
        #expect(try Self.filesOfOthers(in: data, than: Self.nobody) == "")
        #expect(try Identity.owner(of: keys) == 0, "only the data directory is given away")
        #expect(server.log.contains("the saved configuration is not used"), "it was read")
        try await stop(server)
      }
    }

    @Test func `a user that does not exist is refused before anything is touched`() async throws {
      try await withDirectory { directory in
        let server = try ServerProcess(
          directory: directory, settings: ["SIGNALBOX_USER": "no-such-user"])
        let log = try await expectRefused(server)
        #expect(log.contains("There is no user no-such-user for --user"), "\(log)")
        #expect(log.contains("useradd --system no-such-user"), "\(log)")
        #expect(access("\(directory)/server", F_OK) != 0)
      }
    }

    @Test func `another user than root cannot become a third one, and may name itself`()
      async throws
    {
      try await withDirectory { directory in
        try #require(chown(directory, Self.nobody, Self.nobody) == 0)
        let server = try ServerProcess(
          ["serve", "--port", "0", "--user", "postgres"], directory: directory,
          startedBy: Self.nobody)
        let log = try await expectRefused(server)
        #expect(log.contains("--user postgres needs root: this process is user nobody"), "\(log)")
        let same = try ServerProcess(
          ["serve", "--port", "0", "--user", "nobody"], directory: directory,
          startedBy: Self.nobody)
        defer { same.killNow() }
        try same.spawn()
        try await eventually("is ready", within: .seconds(40)) { same.log.contains(#""ready""#) }
        try expectUnprivileged(same, Self.nobody)
        try await stop(same)
      }
    }

    @Test func `root stays root only when it says so, and is warned`() async throws {
      try await FaultRun.with(["SIGNALBOX_USER": "root"]) { run in
        #expect(try Identity(thread: run.server.pid, of: run.server.pid).users == [0, 0, 0, 0])
        #expect(
          run.server.log.contains("--user root: the server runs as root"), "\(run.server.log)")
        #expect(try await TestClient(run.server).get("/v1/me").status == 200)
        let owner = try Identity.owner(of: run.database.directory)
        #expect(owner != 0)
        #expect(
          try Self.filesOfOthers(in: run.database.directory, than: owner) == "",
          "the next start may be as another user")
      }
    }

    // MARK: Steps

    private func expectUnprivileged(
      _ server: ServerProcess, _ user: uid_t, at location: SourceLocation = #_sourceLocation
    ) throws {
      let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(server.pid)/task")
      #expect(threads.count > 4, "it serves with many", sourceLocation: location)
      for thread in threads.compactMap({ pid_t($0) }) {
        // A thread may have ended since.
        guard let identity = try? Identity(thread: thread, of: server.pid) else { continue }
        #expect(identity.users == [user, user, user, user], sourceLocation: location)
        #expect(
          identity.groups.count == 4 && !identity.groups.contains(0), sourceLocation: location)
        #expect(!identity.others.contains(0), "root's other groups", sourceLocation: location)
        #expect(identity.capabilities == [0, 0, 0], sourceLocation: location)
      }
    }

    private func expectVerified(_ run: FaultRun, startedBy user: uid_t?) async throws {
      let command = try ServerProcess(["verify"], directory: run.directory, startedBy: user)
      try command.spawn()
      let status = try await command.awaitExit(within: .seconds(60))
      #expect(status == 0, "\(command.output)\(command.log)")
    }

    /// - Returns: what it has said.
    private func expectRefused(_ server: ServerProcess) async throws -> String {
      try server.spawn()
      #expect(try await server.awaitExit(within: .seconds(20)) == 64, "wrong usage")
      return server.log
    }

    private func stop(_ server: ServerProcess) async throws {
      server.signal(SIGTERM)
      #expect(try await server.awaitExit(within: .seconds(20)) == 0, "\(server.log.suffix(1000))")
    }

    private static func filesOfOthers(in directory: String, than user: uid_t) throws -> String {
      try Program.run("/usr/bin/find", [directory, "!", "-uid", "\(user)"])
    }

    private func withDirectory(_ body: (String) async throws -> Void) async throws {
      let directory = "/tmp/signalbox-user-\(getpid())-\(UInt32.random(in: 0 ... .max))"
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      let result: Result<Void, any Error>
      do { result = .success(try await body(directory)) } catch { result = .failure(error) }
      PrivateDatabase(directory: "\(directory)/server").killEverything()
      try FileManager.default.removeItem(atPath: directory)
      try result.get()
    }
  }
}

/// Whom the kernel takes a thread for.
private struct Identity {
  /// Real, effective, saved and of the file system.
  let users: [uid_t]
  let groups: [gid_t]
  let others: [gid_t]
  /// Permitted, effective and ambient.
  let capabilities: [UInt64]

  init(thread: pid_t, of process: pid_t) throws {
    let text = try String(
      contentsOfFile: "/proc/\(process)/task/\(thread)/status", encoding: .utf8)
    func field(_ name: String) throws -> [Substring] {
      let line = text.split(separator: "\n").first { $0.hasPrefix("\(name):") }
      return try #require(line).dropFirst(name.count + 1).split(whereSeparator: \.isWhitespace)
    }
    users = try field("Uid").compactMap { uid_t($0) }
    groups = try field("Gid").compactMap { gid_t($0) }
    others = try field("Groups").compactMap { gid_t($0) }
    capabilities = try ["CapPrm", "CapEff", "CapAmb"].map {
      try #require(field($0).first.flatMap { UInt64($0, radix: 16) })
    }
  }

  static func owner(of path: String) throws -> uid_t {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return status.st_uid
  }
}
