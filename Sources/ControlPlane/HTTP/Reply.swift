package import HTTPTypes
package import Hummingbird
package import NIOCore

/// What a handler returns: a status, bytes that are already rendered, and the few header fields
/// that mean something here.
package struct Reply: ResponseGenerator, Sendable {
  package var status: HTTPResponse.Status
  package var body: ByteBuffer
  package var contentType: HTTPField
  package var etag: ETag?
  package var location: String?
  /// `Signalbox-Position`: where in the log the change is.
  package var position: Int64?
  package var headers: HTTPFields = [:]

  package init(
    _ status: HTTPResponse.Status = .ok, body: ByteBuffer, contentType: HTTPField = .json,
    etag: ETag? = nil, location: String? = nil, position: Int64? = nil
  ) {
    self.status = status
    self.body = body
    self.contentType = contentType
    self.etag = etag
    self.location = location
    self.position = position
  }

  /// JSON that is already rendered.
  package static func json(
    _ bytes: [UInt8], _ status: HTTPResponse.Status = .ok, etag: ETag? = nil,
    location: String? = nil, position: Int64? = nil
  ) -> Reply {
    Reply(
      status, body: ByteBuffer(bytes: bytes), etag: etag, location: location, position: position)
  }

  /// 204.
  package static func noContent(position: Int64? = nil) -> Reply {
    Reply(.noContent, body: ByteBuffer(), position: position)
  }

  /// 304: what the caller has is current.
  package static func notModified(_ etag: ETag) -> Reply {
    Reply(.notModified, body: ByteBuffer(), etag: etag)
  }

  package var response: Response {
    var fields = headers
    fields.reserveCapacity(fields.count + 8)
    if body.readableBytes > 0 { fields.append(contentType) }
    if let etag { fields.append(HTTPField(name: .eTag, value: etag.description)) }
    if let location { fields.append(HTTPField(name: .location, value: location)) }
    if let position { fields.append(HTTPField(name: .position, value: "\(position)")) }
    return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: body))
  }

  package func response(from request: Request, context: some RequestContext) -> Response {
    // Only changes have a position, so reads do not pay for the cast.
    if let position, let context = context as? any ExchangeContext {
      context.exchange.annotate(position: position)
    }
    return response
  }
}

extension Response {
  /// The reply to HEAD where this one answers GET: the same fields without the body (RFC 9110, section 9.3.2). A body that is
  /// streamed has no length that could be told.
  var headOnly: Response {
    guard body.contentLength == nil else { return createHeadResponse() }
    var head = self
    head.body = ResponseBody { writer in try await writer.finish(nil) }
    return head
  }
}
