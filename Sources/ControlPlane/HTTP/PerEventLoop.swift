import NIOConcurrencyHelpers
import NIOCore

/// One value for each event loop, made on first use and only used on that loop.
final class PerEventLoop<Value>: Sendable {
  private let make: @Sendable (any EventLoop) -> Value
  private let values = NIOLockedValueBox<[ObjectIdentifier: NIOLoopBound<Value>]>([:])

  init(_ make: @escaping @Sendable (any EventLoop) -> Value) {
    self.make = make
  }

  /// The value of the loop that this runs on.
  func value(of eventLoop: any EventLoop) -> Value {
    values.withLockedValue { values in
      if let bound = values[ObjectIdentifier(eventLoop)] { return bound.value }
      let value = make(eventLoop)
      values[ObjectIdentifier(eventLoop)] = NIOLoopBound(value, eventLoop: eventLoop)
      return value
    }
  }
}
