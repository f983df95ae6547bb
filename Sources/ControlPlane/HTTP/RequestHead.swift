import HTTPTypes

/// The header fields the floor itself looks at, picked out in one pass.
struct RequestHead {
  private(set) var requestID: String?
  private(set) var trace: TraceContext?
  private(set) var userAgent: String?
  private(set) var accept: String?
  private(set) var contentType: String?
  private(set) var contentEncoding: String?
  private(set) var contentLength: Int?
  private(set) var expectation: String?
  /// The values of all `X-Forwarded-For` lines, in order.
  private(set) var forwardedFor: [String] = []
  /// RFC 9112 §6.3: a request has a body exactly when it says so.
  private(set) var hasBody = false
  private(set) var hasSecondHost = false

  init(_ fields: HTTPFields) {
    for field in fields {
      let name = field.name.canonicalName
      switch name.utf8.count {
      case 4 where name == "host": hasSecondHost = true
      case 6 where name == "accept":
        accept = accept.map { "\($0),\(field.value)" } ?? field.value
      case 6 where name == "expect": expectation = field.value
      case 10 where name == "user-agent": userAgent = field.value
      case 11 where name == "traceparent": trace = TraceContext(field.value)
      case 12 where name == "x-request-id":
        if RequestIdentifier.isValid(field.value) { requestID = field.value }
      case 12 where name == "content-type": contentType = field.value
      case 15 where name == "x-forwarded-for": forwardedFor.append(field.value)
      case 14 where name == "content-length":
        contentLength = Int(field.value)
        hasBody = hasBody || contentLength != 0
      case 16 where name == "content-encoding": contentEncoding = field.value
      case 17 where name == "transfer-encoding": hasBody = true
      default: break
      }
    }
  }
}
