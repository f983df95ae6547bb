import Glibc

/// The directory with `initdb` and `postgres` of one installed version.
struct PostgresPrograms {
  let directory: String
  let major: Int

  /// - Parameter required: the major version that wrote existing data; otherwise the newest is taken.
  static func find(major required: Int?) throws(EmbeddedServerError) -> PostgresPrograms {
    let found = candidates().compactMap { directory -> PostgresPrograms? in
      guard access("\(directory)/initdb", X_OK) == 0, access("\(directory)/postgres", X_OK) == 0,
        let major = version(of: "\(directory)/postgres"), major >= 14
      else { return nil }
      return PostgresPrograms(directory: directory, major: major)
    }
    if let required {
      guard let match = found.first(where: { $0.major == required }) else {
        throw .versionNotInstalled("\(required)")
      }
      return match
    }
    guard let newest = found.max(by: { $0.major < $1.major }) else { throw .notInstalled }
    return newest
  }

  private static func candidates() -> [String] {
    let packaged = list("/usr/lib/postgresql").map { "/usr/lib/postgresql/\($0)/bin" }
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    let directories = path.split(separator: ":").map(String.init)
    let configured = directories.filter { access("\($0)/pg_config", X_OK) == 0 }.compactMap {
      try? ChildProcess.run(["\($0)/pg_config", "--bindir"]).trimmed
    }
    return packaged + configured + directories
  }

  /// From `postgres (PostgreSQL) 15.14 (Debian …)`.
  private static func version(of program: String) -> Int? {
    guard let text = try? ChildProcess.run([program, "--version"]) else { return nil }
    let words = text.split { $0 == " " || $0 == "\n" }
    return words.lazy.compactMap { Int($0.prefix(while: \.isNumber)) }.first
  }
}

/// The names in a directory; none when it cannot be read.
func list(_ directory: String) -> [String] {
  guard let stream = opendir(directory) else { return [] }
  defer { closedir(stream) }
  return names(in: stream)
}

/// The names that are left in a stream of a directory.
func names(in stream: OpaquePointer) -> [String] {
  var names: [String] = []
  while let entry = readdir(stream) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names
}

extension String {
  var trimmed: String {
    var text = Substring(self)
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
