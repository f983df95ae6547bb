import ConfigurationFeed

/// The last good configuration on disk.
struct SnapshotFile: Sendable {
  private let file: DurableFile

  init(path: String) {
    file = DurableFile(path: path)
  }

  /// What was saved last; nil when nothing was.
  ///
  /// - Throws: `DurableFile.Failure` when it cannot be read, `ConfigurationError` when it is damaged.
  func load() throws -> ConfigurationDocument? {
    try file.read().map { bytes throws(ConfigurationError) in
      try ConfigurationDocument(parsing: bytes)
    }
  }

  /// Puts a document in the place of what was saved before. Only the file's owner may read it.
  func save(_ document: ConfigurationDocument) throws(DurableFile.Failure) {
    try file.replace(with: document.parts.lazy.map(\.bytes))
  }
}
