import Glibc

/// A server's data directory, before anything runs in it: how it is made, and how root hands it to the user that the server
/// is about to become.
package enum DataDirectory {
  /// What a server keeps in the directory.
  package enum Contents: Sendable {
    /// The private PostgreSQL with all that belongs to it.
    case database
    /// Only what gateways are served from while a database that is elsewhere is away.
    case savedConfiguration

    /// Whether files with these names are a server's own: only such are handed over.
    func owns(_ names: [String]) -> Bool {
      switch self {
      case .database: names.isEmpty || names.contains("signalbox.lock")
      case .savedConfiguration:
        names.contains("signalbox.lock") || names.allSatisfy { $0.hasPrefix("dataplane.saved") }
      }
    }
  }

  /// Makes the directory, and those above it, when there is none.
  ///
  /// - Returns: its absolute path without links.
  static func make(_ path: String) throws(EmbeddedServerError) -> String {
    var made = ""
    let isAbsolute = path.hasPrefix("/")
    for component in path.split(separator: "/") {
      made += (made.isEmpty && !isAbsolute ? "" : "/") + component
      guard mkdir(made, 0o755) == 0 || errno == EEXIST else {
        throw .file(path: made, errno: errno)
      }
    }
    guard let resolved = realpath(path, nil) else { throw .file(path: path, errno: errno) }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// Gives the directory with all that is in it to another user. Data of a run as root, or as a third user, is migrated so.
  ///
  /// - Throws: ``EmbeddedServerError`` when another server holds the directory, when it has files that are not a server's,
  ///   and when the user could not
  ///   reach it.
  package static func handOver(
    _ path: String, with contents: Contents, to user: ServiceUser
  ) throws(EmbeddedServerError) {
    let directory = try make(path)
    guard contents.owns(list(directory)) else {
      // An operator may have prepared a directory that also holds something else.
      guard contents == .savedConfiguration else { throw .foreignDirectory(directory) }
      guard isWritable(directory, by: user) else {
        throw .notHandedOver(directory, user: user.name)
      }
      return
    }
    let parent = directory.lastIndex(of: "/").map { String(directory[..<$0]) } ?? ""
    try user.checkAccess(parent)
    // Two servers in one directory would take it from each other.
    let lock = contents == .database ? try DirectoryLock(directory) : nil
    defer { withExtendedLifetime(lock) {} }
    let owner = try? ServiceUser.owner(of: directory)
    stopServer(in: "\(directory)/data", unless: user)
    try Ownership(user: user).give(directory)
    let sockets = Cluster.socketDirectory(for: directory)
    if !sockets.hasPrefix(directory), isOwned(sockets, by: [0, owner?.user]) {
      try Ownership(user: user).give(sockets)
    }
    guard chmod(directory, 0o700) == 0 else { throw .file(path: directory, errno: errno) }
  }

  private static func isWritable(_ directory: String, by user: ServiceUser) -> Bool {
    (try? ChildProcess.run(user.command(["test", "-w", directory], in: "/"))) != nil
  }

  /// Stops the PostgreSQL that a killed server has left, when the new user could not signal it.
  private static func stopServer(in data: String, unless user: ServiceUser) {
    guard let postmaster = Postmaster.running(in: data) else { return }
    var status = stat()
    guard stat("/proc/\(postmaster.pid)", &status) == 0, status.st_uid != user.user else { return }
    postmaster.stop(in: data, patience: .seconds(20))
  }

  /// Anybody can make a directory in /tmp: only that of an owner who is expected is touched.
  private static func isOwned(_ path: String, by users: [uid_t?]) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
      && users.contains(status.st_uid)
  }
}

/// Changes who owns a directory and all that is in it. Links are never followed: until now the content may have belonged to
/// a user who would like to own other files of this machine.
private struct Ownership {
  let user: ServiceUser

  func give(_ path: String) throws(EmbeddedServerError) {
    try give(path, in: AT_FDCWD, path: path)
  }

  private func give(
    _ name: String, in parent: Int32, path: String
  ) throws(EmbeddedServerError) {
    var status = stat()
    guard fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      if errno == ENOENT { return }
      throw .file(path: path, errno: errno)
    }
    let isOwned = status.st_uid == user.user && status.st_gid == user.group
    guard status.st_mode & S_IFMT == S_IFDIR else {
      if isOwned { return }
      // Its other name may be anywhere.
      guard status.st_nlink == 1 || status.st_uid == user.user else { throw .linkedFile(path) }
      guard fchownat(parent, name, user.user, user.group, AT_SYMLINK_NOFOLLOW) == 0 else {
        throw .file(path: path, errno: errno)
      }
      return
    }
    let directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard directory >= 0 else { throw .file(path: path, errno: errno) }
    defer { close(directory) }
    if !isOwned, fchown(directory, user.user, user.group) != 0 {
      throw .file(path: path, errno: errno)
    }
    for name in try names(in: directory, path) {
      try give(name, in: directory, path: "\(path)/\(name)")
    }
  }

  private func names(in directory: Int32, _ path: String) throws(EmbeddedServerError) -> [String] {
    // The stream closes its descriptor.
    let copy = fcntl(directory, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0, let stream = fdopendir(copy) else {
      let code = errno
      if copy >= 0 { close(copy) }
      throw .file(path: path, errno: code)
    }
    defer { closedir(stream) }
    return Postgres.names(in: stream)
  }
}
