import Glibc

/// Why the private server does not run, in words for the person who started it.
package enum EmbeddedServerError: Error, Sendable, Hashable, CustomStringConvertible {
  case notInstalled
  /// The data was written by a version whose programs are not installed.
  case versionNotInstalled(String)
  /// None of the users exists that data usually belongs to.
  case noServiceUser([String])
  /// The system does not know the user that a directory belongs to.
  case unknownOwner(directory: String, id: UInt32)
  /// Another process holds this directory.
  case inUse(directory: String, pid: Int32?)
  /// There are files in it that are not ours.
  case foreignDirectory(String)
  /// It belongs to neither this user nor root.
  case ownedByOther(String, user: String)
  /// It holds files that are not a server's: root does not give them away.
  case notHandedOver(String, user: String)
  /// A file that root would give away has another name somewhere.
  case linkedFile(String)
  /// The user whom the server runs as may not enter a directory on the way.
  case unreachable(directory: String, user: String)
  case file(path: String, errno: Int32)
  case failed(step: String, log: String)

  package var description: String {
    switch self {
    case .notInstalled:
      "PostgreSQL 14 or newer is not installed here (install postgresql, or set a database URL)"
    case .versionNotInstalled(let version):
      "the data directory needs PostgreSQL \(version), which is not installed"
    case .noServiceUser(let names):
      """
      this process is root, and no user \(names.joined(separator: " or ")) exists to run as: \
      make one (useradd --system \(names.first ?? "signalbox")), or name another one with --user
      """
    case .unknownOwner(let directory, let id):
      "\(directory) belongs to user \(id), which this system does not know: name a user with --user"
    case .inUse(let directory, let pid):
      "\(directory) is in use by process \(pid.map(String.init) ?? "unknown")"
    case .foreignDirectory(let directory):
      "\(directory) is not empty and not a data directory of ours; choose another one"
    case .ownedByOther(let path, let user):
      """
      \(path) does not belong to user \(user), which this process runs as: \
      start it as root or as the owner, or run chown -R \(user) \(path)
      """
    case .notHandedOver(let directory, let user):
      """
      \(directory) has files that are not Signalbox's, and is not given to user \(user) for that reason: choose another \
      directory, or run chown -R \(user) \(directory) yourself
      """
    case .linkedFile(let path):
      "\(path) has a second name, and so is not given to another user: remove it, or copy it"
    case .unreachable(let directory, let user):
      "user \(user) cannot enter \(directory): allow it (chmod o+x) or choose another directory"
    case .file(let path, let code):
      code == EACCES || code == EPERM
        ? """
        \(path): \(String(cString: strerror(code))); start as root or as the user that owns the data directory
        """ : "\(path): \(String(cString: strerror(code)))"
    case .failed(let step, let log):
      "\(step) failed:\n\(log)"
    }
  }
}
