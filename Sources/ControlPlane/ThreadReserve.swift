package import Threads

/// Proves at the start that the system gives the threads that a control plane cannot do without. One that is refused later
/// makes the work that needs it wait; a server that never had enough should say so and not half run.
package enum ThreadReserve {
  /// For mail, names of webhook targets, cancellations and the supervision of the database.
  private static let others = 16

  /// The system has too few threads for this server.
  package struct TooFew: Error, CustomStringConvertible {
    package let needed: Int
    package let reason: BlockingThread.Refused

    package var description: String { "the server needs \(needed) threads, and \(reason)" }
  }

  package static func check(_ configuration: ControlPlane.Configuration) throws(TooFew) {
    let needed = Connections.maxCount(readers: configuration.readers) + others
    do throws(BlockingThread.Refused) {
      try BlockingThread.reserve(needed)
    } catch {
      throw TooFew(needed: needed, reason: error)
    }
  }
}
