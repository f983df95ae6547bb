package import Glibc

/// A user of the system that programs run as, and that owns what they write.
package struct ServiceUser: Sendable, Hashable {
  /// The first of these that exists owns new data, when root makes it.
  package static let usualOwners = ["signalbox", "postgres"]

  package let name: String
  package let user: uid_t
  package let group: gid_t
  package let home: String

  /// Whether programs must be started under another user than ours.
  var isOther: Bool { geteuid() != user }

  /// The user that PostgreSQL runs as: the one of this process. PostgreSQL refuses root, for which it is the owner of the
  /// data, or else the first of ``usualOwners`` that exists.
  static func current(
    ownerOf directory: String? = nil
  ) throws(EmbeddedServerError) -> ServiceUser {
    guard geteuid() == 0 else { return ownUser }
    if let directory, let owner = try owner(of: directory) { return owner }
    return try first(of: usualOwners)
  }

  /// The first user of a list that exists.
  package static func first(of names: [String]) throws(EmbeddedServerError) -> ServiceUser {
    for name in names {
      if let user = ServiceUser(named: name) { return user }
    }
    throw .noServiceUser(names)
  }

  /// The owner of a directory; nil when it is root, or when the directory does not exist.
  package static func owner(
    of directory: String
  ) throws(EmbeddedServerError) -> ServiceUser? {
    var status = stat()
    guard stat(directory, &status) == 0, status.st_uid != 0 else { return nil }
    guard let owner = ServiceUser(id: status.st_uid) else {
      throw .unknownOwner(directory: directory, id: status.st_uid)
    }
    return owner
  }

  private static var ownUser: ServiceUser {
    ServiceUser(id: geteuid())
      ?? ServiceUser(name: "\(geteuid())", user: geteuid(), group: getegid(), home: "/")
  }

  private init(name: String, user: uid_t, group: gid_t, home: String) {
    (self.name, self.user, self.group, self.home) = (name, user, group, home)
  }

  /// Nil when the system has no user of this name.
  package init?(named name: String) {
    self.init { getpwnam_r(name, $0, $1, $2, $3) }
  }

  /// Nil when the system has no user with this id.
  package init?(id: uid_t) {
    self.init { getpwuid_r(id, $0, $1, $2, $3) }
  }

  private init?(
    _ find: (
      UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int,
      UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
    ) -> Int32
  ) {
    var size = 1 << 10
    while size <= 1 << 20 {
      var (entry, found) = (passwd(), UnsafeMutablePointer<passwd>?.none)
      var buffer = [CChar](repeating: 0, count: size)
      let isTooLarge = buffer.withUnsafeMutableBufferPointer { buffer -> Bool in
        guard let base = buffer.baseAddress else { return false }
        return find(&entry, base, buffer.count, &found) == ERANGE
      }
      if isTooLarge {
        size *= 4
        continue
      }
      // The texts of the entry are in the buffer.
      let texts = buffer.withUnsafeBufferPointer { _ in
        found.map { (String(cString: $0.pointee.pw_name), String(cString: $0.pointee.pw_dir)) }
      }
      guard let (name, home) = texts else { return nil }
      self.init(name: name, user: entry.pw_uid, group: entry.pw_gid, home: home)
      return
    }
    return nil
  }

  /// The command line that runs `arguments` as this user, in `directory`, under the same process id.
  func command(_ arguments: [String], in directory: String) -> [String] {
    // PostgreSQL's programs fail in a working directory that they cannot return to.
    let moved = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", directory] + arguments
    guard isOther else { return moved }
    return ["setpriv", "--reuid=\(user)", "--regid=\(group)", "--init-groups", "--"] + moved
  }

  func own(_ path: String) throws(EmbeddedServerError) {
    guard isOther else { return }
    guard chown(path, user, group) == 0 else { throw .file(path: path, errno: errno) }
  }

  /// Makes a directory that nobody else can enter.
  func makePrivateDirectory(_ path: String) throws(EmbeddedServerError) {
    if mkdir(path, 0o700) != 0 {
      guard errno == EEXIST else { throw .file(path: path, errno: errno) }
      // In /tmp somebody else may have been there first, even with a link.
      var status = stat()
      guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
        throw .foreignDirectory(path)
      }
      guard status.st_uid == user || status.st_uid == geteuid() else {
        throw .ownedByOther(path, user: name)
      }
    }
    try own(path)
    guard chmod(path, 0o700) == 0 else { throw .file(path: path, errno: errno) }
  }

  /// Proves that this user can enter the directory and everything above it.
  func checkAccess(_ directory: String) throws(EmbeddedServerError) {
    guard isOther else { return }
    var path = ""
    for component in [""] + directory.split(separator: "/").map(String.init) {
      path += component.isEmpty ? "" : "/\(component)"
      do throws(EmbeddedServerError) {
        try ChildProcess.run(command(["test", "-x", path.isEmpty ? "/" : path], in: "/"))
      } catch {
        throw .unreachable(directory: path, user: name)
      }
    }
  }
}
