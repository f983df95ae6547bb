package import NIOCore
import Synchronization

/// One request and its reply, as the floor knows them: shared by the contexts of all layers.
package final class Exchange: Sendable {
  /// What handlers add for the access log.
  package struct Annotations: Sendable {
    /// Who asked: an identifier, never a name, an address or a token.
    package var actor: String?
    /// The log position of the change that was made.
    package var position: Int64?
    /// How the request counts against the limits of whoever sent it.
    package var rateLimit: RateLimitDecision?
  }

  package let requestID: String
  package let trace: TraceContext?
  /// When the answer must be there. Pass it to the database: the floor itself only cuts what
  /// ignores it.
  package let deadline: ContinuousClock.Instant
  /// The address of whoever sent the request, without port: the right-most hop that is not a trusted proxy.
  package let clientAddress: String
  package let userAgent: String?
  package let pathParameters: PathParameters
  /// The whole body, within the limit; empty when the method has none.
  package let body: ByteBuffer
  /// The memory that the body takes; nil for small bodies.
  let bodyReservation: BodyReservation?
  private let storage = Mutex(Annotations())

  package convenience init(
    requestID: String, trace: TraceContext? = nil, deadline: ContinuousClock.Instant,
    clientAddress: String, userAgent: String? = nil,
    pathParameters: PathParameters = PathParameters(), body: ByteBuffer = ByteBuffer()
  ) {
    self.init(
      requestID: requestID, trace: trace, deadline: deadline, clientAddress: clientAddress,
      userAgent: userAgent, pathParameters: pathParameters, body: body, bodyReservation: nil)
  }

  init(
    requestID: String, trace: TraceContext?, deadline: ContinuousClock.Instant,
    clientAddress: String, userAgent: String?, pathParameters: PathParameters, body: ByteBuffer,
    bodyReservation: BodyReservation?
  ) {
    self.requestID = requestID
    self.trace = trace
    self.deadline = deadline
    self.clientAddress = clientAddress
    self.userAgent = userAgent
    self.pathParameters = pathParameters
    self.body = body
    self.bodyReservation = bodyReservation
  }

  package var annotations: Annotations { storage.withLock { $0 } }

  package func annotate(actor: String) {
    storage.withLock { $0.actor = actor }
  }

  package func annotate(position: Int64) {
    storage.withLock { $0.position = position }
  }

  package func annotate(rateLimit: RateLimitDecision) {
    storage.withLock { $0.rateLimit = rateLimit }
  }
}
