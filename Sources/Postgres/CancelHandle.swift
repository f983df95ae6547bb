import CLibPQ
import Threads

/// Asks the server to cancel whatever one session is running.
///
/// PQcancel is safe on any thread, and blocks: it therefore always gets a thread of its own.
final class CancelHandle: @unchecked Sendable {
  private let handle: OpaquePointer

  init?(_ connection: OpaquePointer) {
    guard let handle = PQgetCancel(connection) else { return nil }
    self.handle = handle
  }

  deinit { PQfreeCancel(handle) }

  /// - Parameter completion: runs once the server has passed the request on, on that thread, or
  ///   could not be asked.
  func fire(completion: @escaping @Sendable () -> Void) {
    do throws(BlockingThread.Refused) {
      try BlockingThread.start {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { message in
          // A refusal changes nothing: the caller's deadline still stands.
          _ = PQcancel(self.handle, message.baseAddress, 256)
        }
        completion()
      }
    } catch {
      // Without a thread the server is not asked, and the deadline stands as well.
      completion()
    }
  }
}
