/// Why the private server does not run, in words for whoever started it.
package enum EmbeddedServerError: Error, Sendable, Hashable, CustomStringConvertible {
  case notInstalled
  /// The data was written by a version whose programs are not installed.
  case versionNotInstalled(String)
  case noServiceUser(String)
  /// Another process holds this directory.
  case inUse(directory: String, pid: Int32?)
  /// There are files in it that are not ours.
  case foreignDirectory(String)
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
    case .noServiceUser(let name):
      "PostgreSQL refuses to run as root, and there is no user \(name) to run it as"
    case .inUse(let directory, let pid):
      "\(directory) is in use by process \(pid.map(String.init) ?? "unknown")"
    case .foreignDirectory(let directory):
      "\(directory) is not empty and not a data directory of ours; choose another one"
    case .unreachable(let directory, let user):
      "user \(user) cannot enter \(directory): allow it (chmod o+x) or choose another directory"
    case .file(let path, let code):
      "\(path): errno \(code)"
    case .failed(let step, let log):
      "\(step) failed:\n\(log)"
    }
  }
}
