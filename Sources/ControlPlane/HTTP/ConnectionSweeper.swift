import NIOCore

/// Asks all guarded connections of one event loop, four times a second, whether their time is over.
/// Only used on that loop.
final class ConnectionSweeper {
  /// How old a stamp may be; a limit is noticed at most two intervals late and never early.
  static let interval = TimeAmount.milliseconds(250)

  /// The time of the last sweep: what the guards stamp with, for free, instead of reading the clock
  /// several times per request.
  private(set) var now = NIODeadline.now()
  private var guards: [ObjectIdentifier: ConnectionGuard] = [:]
  private var task: RepeatedTask?
  private let eventLoop: any EventLoop

  init(eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
  }

  func insert(_ guarded: ConnectionGuard) {
    guards[ObjectIdentifier(guarded)] = guarded
    if task == nil { now = .now() }
    guard task == nil else { return }
    let bound = NIOLoopBound(self, eventLoop: eventLoop)
    task = eventLoop.scheduleRepeatedTask(
      initialDelay: Self.interval, delay: Self.interval
    ) { _ in bound.value.sweep() }
  }

  func remove(_ guarded: ConnectionGuard) {
    guards[ObjectIdentifier(guarded)] = nil
    guard guards.isEmpty else { return }
    task?.cancel()
    task = nil
  }

  private func sweep() {
    now = .now()
    for guarded in guards.values { guarded.check(at: now) }
  }
}
