import Dispatch
import Glibc
import Synchronization

/// A private PostgreSQL from the installed package, in a directory of its own and reachable only by a
/// socket in a directory that nobody else can enter.
///
/// The same engine as everywhere else: durable, and only its memory settings are small. When we are
/// root it runs as the user that ``ServiceUser`` names. If we are killed it goes on, and the next start adopts it.
package final class EmbeddedServer: Sendable {
  private struct State {
    var lock: DirectoryLock?
    var cluster: Cluster?
    var postmaster: Postmaster?
  }

  /// How often it is looked whether the server still runs.
  private static let interval: Duration = .milliseconds(100)

  private let dataDirectory: String
  private let settings: [String: String]
  private let state = Mutex(State())

  /// - Parameters:
  ///   - dataDirectory: is made when it does not exist; it must be empty or ours.
  ///   - settings: server parameters beside, or instead of, the defaults.
  package init(dataDirectory: String, settings: [String: String] = [:]) {
    self.dataDirectory = dataDirectory
    self.settings = settings
  }

  /// The process that serves, for whoever wants to watch or to hurt it.
  package var processIdentifier: Int32? { get async throws { try await onThread { self.pid } } }

  private var pid: Int32? { state.withLock { $0.postmaster?.pid } }

  /// Starts the server, first making its data when there is none.
  ///
  /// - Returns: how role `signalbox` connects to database `signalbox`, both of which are made.
  /// - Throws: ``EmbeddedServerError``.
  package func start() async throws -> ConnectionOptions {
    try await onThread { try self.state.withLock { try self.start(&$0) } }
  }

  /// How to connect to the server that another process runs in a directory, with the settings that are usual.
  package static func options(in directory: String) -> ConnectionOptions {
    Cluster.options(Cluster.socketDirectory(for: directory))
  }

  /// Ends all sessions and the server, and lets go of the directory.
  package func stop() async {
    await onThreadWhenPossible {
      self.state.withLock { state in
        if let cluster = state.cluster {
          state.postmaster?.stop(in: cluster.data, patience: .seconds(20))
          cluster.removeSockets()
        }
        state = State()
      }
    }
  }

  /// Starts the server again whenever its process has ended, until the task is cancelled or the server
  /// is stopped.
  package func superviseUntilCancelled() async {
    let end = DispatchSemaphore(value: 0)
    await withTaskCancellationHandler {
      await onThreadWhenPossible { self.supervise(until: end) }
    } onCancel: {
      end.signal()
    }
  }

  private func supervise(until end: DispatchSemaphore) {
    var backoff = Backoff(first: .milliseconds(50), limit: .seconds(2))
    var pause = Self.interval
    while end.wait(timeout: .now() + pause.dispatchInterval) == .timedOut {
      pause = Self.interval
      let isStopped = state.withLock { state -> Bool in
        guard let cluster = state.cluster else { return true }
        if state.postmaster?.isAlive(in: cluster.data) == true { return false }
        do {
          state.postmaster = nil
          state.postmaster = try cluster.launch()
          backoff.succeeded(for: backoff.limit)
        } catch {
          // The reason is in the server's own log; here it only means to try again.
          pause = backoff.next(random: .random(in: 0..<1))
        }
        return false
      }
      if isStopped { return }
    }
  }

  private func start(_ state: inout State) throws -> ConnectionOptions {
    let user = try ServiceUser.current(ownerOf: dataDirectory)
    let (directory, lock) = try claim(user)
    let cluster = try Cluster(directory: directory, user: user, settings: settings)
    try cluster.initialize()
    let postmaster = try cluster.adopt() ?? cluster.launch()
    do {
      try cluster.makeDatabase()
    } catch {
      postmaster.stop(in: cluster.data, patience: .seconds(5))
      throw error
    }
    state = State(lock: lock, cluster: cluster, postmaster: postmaster)
    return cluster.options(user: Cluster.role, database: Cluster.database)
  }

  /// Makes a directory that only this user can enter, and holds it.
  private func claim(
    _ user: ServiceUser
  ) throws(EmbeddedServerError) -> (directory: String, lock: DirectoryLock) {
    let directory = try DataDirectory.make(dataDirectory)
    let names = list(directory)
    guard names.isEmpty || names.contains("signalbox.lock") else {
      throw .foreignDirectory(directory)
    }
    let lock = try DirectoryLock(directory)
    try user.makePrivateDirectory(directory)
    try user.own("\(directory)/signalbox.lock")
    try user.checkAccess(directory)
    return (directory, lock)
  }
}
