package import Hummingbird
package import NIOCore

/// A request context that rides on an `Exchange`: `APIContext` itself, and every child context that
/// authenticates.
///
/// A child is `struct MemberContext: ChildRequestContext, ExchangeContext`, whose throwing
/// `init(context: APIContext)` copies `coreContext` and `exchange`, and throws a `Problem` when the
/// caller may not pass.
package protocol ExchangeContext: RequestContext {
  var exchange: Exchange { get }
}

extension ExchangeContext {
  package var requestID: String { exchange.requestID }
  package var deadline: ContinuousClock.Instant { exchange.deadline }
  package var pathParameters: PathParameters { exchange.pathParameters }
  package var body: ByteBuffer { exchange.body }
}

/// The context of every request, before anybody is authenticated.
package struct APIContext: ExchangeContext {
  package var coreContext: CoreRequestContextStorage
  package var exchange: Exchange

  /// Made by the server before the floor has looked at the request; the floor then puts the real
  /// exchange in.
  package init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    exchange = Self.unadmitted
  }

  private static let unadmitted = Exchange(requestID: "", deadline: .now, clientAddress: "")
}
