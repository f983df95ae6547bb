import Glibc

/// Whom PostgreSQL runs as: ourselves, or user `postgres` when we are root, which it refuses.
struct ServiceUser {
  let name: String
  let user: uid_t
  let group: gid_t
  /// Whether programs must be started under another user than ours.
  let isOther: Bool

  static func current() throws(EmbeddedServerError) -> ServiceUser {
    guard geteuid() == 0 else {
      return ServiceUser(name: "\(geteuid())", user: geteuid(), group: getegid(), isOther: false)
    }
    guard let entry = getpwnam("postgres") else { throw .noServiceUser("postgres") }
    return ServiceUser(
      name: "postgres", user: entry.pointee.pw_uid, group: entry.pointee.pw_gid, isOther: true)
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
      guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
        status.st_uid == user || status.st_uid == geteuid()
      else { throw .foreignDirectory(path) }
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
