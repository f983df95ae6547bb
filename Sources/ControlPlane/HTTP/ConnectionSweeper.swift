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

  /// Whether nearly all places for connections are taken.
  private let isCrowded: @Sendable () -> Bool

  init(eventLoop: any EventLoop, isCrowded: @escaping @Sendable () -> Bool) {
    self.eventLoop = eventLoop
    self.isCrowded = isCrowded
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
    let isCrowded = isCrowded()
    for guarded in guards.values { guarded.check(at: now, isCrowded: isCrowded) }
  }
}
