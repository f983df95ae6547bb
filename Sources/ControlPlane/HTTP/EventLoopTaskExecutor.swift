import NIOCore

/// Runs a connection's handlers on the event loop that reads and writes it: between the socket and the reply there is
/// no other thread to wake, which on a busy machine costs more than the handler itself.
///
/// What computes for long must go elsewhere, because other connections wait meanwhile.
final class EventLoopTaskExecutor: TaskExecutor {
  private let eventLoop: any EventLoop

  init(_ eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
