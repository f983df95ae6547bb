import HTTPTypes
import NIOCore
import NIOHTTPTypes
import Synchronization

/// Tells a ``ConnectionGuard`` that a body may be read.
struct BodyAdmission: Sendable {}

/// One client connection, as the handlers of its requests see it. They run in the connection's
/// task, where it is `current`.
final class ClientConnection: Sendable {
  @TaskLocal static var current: ClientConnection?

  /// Formatted once per connection, not per request.
  let remoteAddress: String
  private let channel: any Channel
  private struct State {
    var requestID: String?
    var isCut = false
    var task: Task<Void, Never>?
  }
  private let state = Mutex(State())

  init(channel: any Channel) {
    self.channel = channel
    remoteAddress = channel.remoteAddress?.ipAddress ?? "local"
  }

  /// The request that is being answered, so that the guard can answer in its name.
  var requestID: String? {
    get { state.withLock { $0.requestID } }
    set { state.withLock { $0.requestID = newValue } }
  }

  /// Whether the guard has answered in the handler's place.
  var isCut: Bool { state.withLock { $0.isCut } }

  /// Runs the connection in a task of its own, which `cancel` can reach: one task per connection
  /// instead of one per request.
  func run(_ work: @escaping @Sendable () async -> Void) async {
    let executor = EventLoopTaskExecutor(channel.eventLoop)
    let task = Task(executorPreference: executor) {
      await Self.$current.withValue(self) { await work() }
    }
    state.withLock { $0.task = task }
    await withTaskCancellationHandler {
      await task.value
    } onCancel: {
      task.cancel()
    }
    state.withLock { $0.task = nil }
  }

  /// Cancels whatever handler is running. `cut` says that the guard has answered for it.
  func cancel(cut: Bool) {
    let task = state.withLock { state in
      state.isCut = state.isCut || cut
      return state.task
    }
    task?.cancel()
  }

  /// The sender of the request that is being answered is known, and its body may be read.
  func admitBody() {
    channel.triggerUserOutboundEvent(BodyAdmission(), promise: nil)
  }

  /// Tells a client that waits for it to send the body (RFC 9110 §10.1.1).
  func sendContinue() {
    channel.writeAndFlush(HTTPResponsePart.head(HTTPResponse(status: .continue)), promise: nil)
  }
}
