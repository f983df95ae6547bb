import ConfigurationFeed
import Domain
import FoundationEssentials
import Glibc
import Logging
package import Postgres
import ServiceLifecycle
import Synchronization

/// Where a server keeps what it serves gateways from when it starts while its database is away.
package struct Fallback: Sendable {
  /// A directory of this server's own; made when there is none.
  let directory: String
  /// Names the database: what was saved of another one is not served.
  let database: String
  /// What tokens are hashed with, when it is given from outside.
  let pepper: [UInt8]?

  package init(directory: String, database: ConnectionOptions, pepper: [UInt8]?) {
    self.directory = directory
    self.database = database.databaseName
    self.pepper = pepper
  }

  /// What gateways are recognised by where nothing was saved.
  var key: KnownGateways.Key? { pepper.map { .pepper($0) } }
}

/// The file of a ``Fallback``. What goes wrong with it is logged, and costs no more than the fallback.
struct FallbackFile: Sendable {
  let fallback: Fallback
  private let file: DurableFile
  private let logger: Logger

  init(_ fallback: Fallback, logger: Logger) {
    self.fallback = fallback
    self.logger = logger
    file = DurableFile(path: "\(fallback.directory)/dataplane.saved")
  }

  /// Nil when there is nothing that can be used.
  func load() -> SavedConfiguration? {
    do {
      guard let bytes = try file.read() else { return nil }
      return try SavedConfiguration(bytes, of: fallback.database, pepper: fallback.pepper)
    } catch {
      logger.error(
        "the saved configuration is not used",
        metadata: ["path": "\(file.path)", "reason": "\(error)"])
      return nil
    }
  }

  /// - Returns: whether it is on disk.
  func save(
    _ document: ConfigurationDocument, _ gateways: Set<KnownGateways.Gateway>,
    key: KnownGateways.Key
  ) -> Bool {
    let saved = SavedConfiguration(
      database: fallback.database, savedAt: .now, key: key, gateways: gateways, document: document)
    do {
      _ = mkdir(fallback.directory, 0o700)
      try file.replace(with: saved.chunks)
      return true
    } catch {
      logger.error(
        "the configuration is not saved",
        metadata: ["path": "\(file.path)", "reason": "\(error)"])
      return false
    }
  }
}

/// Saves the configuration whenever it has changed: at most once in a second, and less often when it takes long.
final class ConfigurationSaver: Service {
  private static let pause: Duration = .seconds(1)
  /// After a disk was full.
  private static let pauseAfterFailure: Duration = .seconds(30)

  private struct Saved: Equatable {
    let position: Int64
    let gateways: Set<KnownGateways.Gateway>
  }

  private let file: FallbackFile
  private let configuration: LiveConfiguration
  private let knownGateways: KnownGateways
  private let saved = Mutex<Saved?>(nil)

  init(file: FallbackFile, configuration: LiveConfiguration, knownGateways: KnownGateways) {
    self.file = file
    self.configuration = configuration
    self.knownGateways = knownGateways
  }

  func run() async throws {
    configuration.want()
    try? await cancelWhenGracefulShutdown {
      while true {
        let pause = await self.save()
        try await Task.sleep(for: pause)
      }
    }
    _ = await save()
  }

  /// Saves what has changed since.
  ///
  /// - Returns: how long to wait before the next time.
  private func save() async -> Duration {
    guard let document = configuration.confirmed else { return Self.pause }
    let current = Saved(position: document.position, gateways: knownGateways.all)
    guard saved.withLock({ $0 }) != current else { return Self.pause }
    let start = ContinuousClock.now
    let (file, key) = (file, knownGateways.key)
    // The disk may be slow, and no event loop is to wait for it.
    let isSaved = await Self.onPool { file.save(document, current.gateways, key: key) }
    guard isSaved else { return Self.pauseAfterFailure }
    saved.withLock { $0 = current }
    return max(Self.pause, (ContinuousClock.now - start) * 20)
  }

  @concurrent
  private static func onPool(_ body: @Sendable () -> Bool) async -> Bool { body() }
}
