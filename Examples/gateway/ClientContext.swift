import HTTPTypes
import Hummingbird
import NIOCore

/// Knows who is at the other end of the connection.
struct ClientContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// Without a port.
  let peer: String?

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    peer = source.channel.remoteAddress?.ipAddress
  }

  /// The client's address: the peer's, or what the proxy in front of us says, which is the last one in the list. Anybody
  /// could have written those before it.
  func clientAddress(_ request: Request, isBehindProxy: Bool) -> String? {
    guard isBehindProxy, let name = HTTPField.Name("X-Forwarded-For"),
      let last = request.headers[values: name].last?.split(separator: ",").last
    else { return peer }
    return String(last.filter { $0 != " " })
  }
}
