import FoundationEssentials

/// Files of the repository that tests compare with.
package enum Repository {
  /// Where `Package.swift` is.
  package static let root: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    return parts.dropLast(3).joined(separator: "/")
  }()

  /// A file's bytes.
  ///
  /// - Throws: when it cannot be read.
  package static func read(_ path: String) throws -> [UInt8] {
    try Array(Data(contentsOf: URL(filePath: "\(root)/\(path)")))
  }

  /// The names in a directory, sorted.
  ///
  /// - Throws: when it cannot be read.
  package static func list(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(path)").sorted()
  }
}
