import ArgumentParser
import FoundationEssentials
import Glibc
import Logging
import Postgres

/// Which user a server runs as. One that root has started becomes another user before it opens anything to the network, so
/// that a fault in it does not give the machine away.
enum ProcessUser {
  /// Why the process cannot run as the user that it should.
  struct Refused: Error, CustomStringConvertible {
    let description: String
  }

  /// Becomes the user, for good and in all threads, after giving it the data directory.
  ///
  /// - Parameters:
  ///   - name: nil for the default.
  ///   - directory: where the server keeps something; nil when nowhere.
  static func become(
    named name: String?, _ database: Database, in directory: String?, _ logger: Logger
  ) throws {
    guard getuid() == 0 || geteuid() == 0 else { return try requireCurrent(name) }
    let user = try chosen(name, database, directory)
    guard user.user != 0 else {
      logger.warning(
        "--user root: the server runs as root, and a fault in it would give the whole machine away")
      return
    }
    if let directory {
      let contents: DataDirectory.Contents =
        if case .embedded = database { .database } else { .savedConfiguration }
      try DataDirectory.handOver(directory, with: contents, to: user)
    }
    try become(user)
    logger.info("root has become another user", metadata: ["user": "\(user.name)"])
  }

  private static func chosen(
    _ name: String?, _ database: Database, _ directory: String?
  ) throws -> ServiceUser {
    if let name {
      guard let user = ServiceUser(named: name) else {
        throw ValidationError(
          "There is no user \(name) for --user: make one (useradd --system \(name)), or name another."
        )
      }
      return user
    }
    if let directory, let owner = try ServiceUser.owner(of: directory) { return owner }
    switch database {
    case .embedded: return try ServiceUser.first(of: ServiceUser.usualOwners)
    // Local databases let user postgres in as their superuser.
    case .external: return try ServiceUser.first(of: ["signalbox", "nobody"])
    }
  }

  /// Only root can become another user.
  private static func requireCurrent(_ name: String?) throws {
    guard let name, ServiceUser(named: name)?.user != geteuid() else { return }
    let current = ServiceUser(id: geteuid())?.name ?? "number \(geteuid())"
    throw ValidationError(
      """
      --user \(name) needs root: this process is user \(current), and cannot become another. Start it as root or as \
      \(name), or leave --user out.
      """)
  }

  /// The C library changes all threads of the process (nptl(7), "NPTL and setuid()") but those that are ending; with the last
  /// id that is root's go all capabilities (capabilities(7), "Effect of user ID changes on capabilities").
  private static func become(_ user: ServiceUser) throws(Refused) {
    guard initgroups(user.name, user.group) == 0, setgid(user.group) == 0, setuid(user.user) == 0
    else {
      throw Refused(
        description: """
          root cannot become user \(user.name) here (\(String(cString: strerror(errno)))): start the server as that user, \
          or stay root with --user root
          """)
    }
    // A saved id of root's would let the process go back.
    guard getuid() == user.user, geteuid() == user.user, getgid() == user.group,
      getegid() == user.group, setuid(0) != 0, allThreads(are: user)
    else { throw Refused(description: "root did not become user \(user.name) for good") }
    // libpq looks there for certificates, and takes a directory that it may not read for an error.
    setenv("HOME", user.home, 1)
    setenv("USER", user.name, 1)
    setenv("LOGNAME", user.name, 1)
  }

  /// Whether the kernel says so of every thread; true where it shows none.
  private static func allThreads(are user: ServiceUser) -> Bool {
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    return threads.allSatisfy { thread in
      guard let status = try? TextFile.read("/proc/self/task/\(thread)/status") else { return true }
      let line = String(decoding: status, as: UTF8.self).split(separator: "\n")
        .first { $0.hasPrefix("Uid:") }
      let ids = line?.dropFirst(4).split(whereSeparator: \.isWhitespace) ?? []
      return ids.allSatisfy { uid_t($0) == user.user }
    }
  }
}
