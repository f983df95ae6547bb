import Compression
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1

/// Reads the bodies of requests, within limits: of each body, of each caller, and of the process.
///
/// A caller who has not shown who they are has at most ``maxAnonymousBytes`` read, but where an operation asks for no token.
struct BodyReader: Sendable {
  /// A body that is longer, or does not say how long it is, is read once its sender is authenticated. Nearly all bodies are
  /// shorter, and arrive with their heads.
  static let maxAnonymousBytes = 16 << 10

  /// In bytes, where an operation has no rules of its own.
  let maximum: Int
  let budget: BodyBudget
  /// For operations that ask for no token.
  let anonymousBudget: BodyBudget

  /// Whether a body stays in the kernel until ``ClientConnection/admitBody()``: it is longer, or its length is not known.
  static func mustBeAdmitted(_ headers: HTTPHeaders) -> Bool {
    if headers.contains(name: "transfer-encoding") { return true }
    return headers.first(name: "content-length").flatMap { Int($0) }.map {
      $0 > maxAnonymousBytes
    } ?? false
  }

  /// The whole body, for methods that have one. On GET and HEAD it has no meaning (RFC 9110
  /// section 9.3.1): the connection drains it.
  ///
  /// - Parameter authenticate: finds out who sends the request, by its head; called at most once.
  /// - Throws: a ``Problem`` of 413, 415 or 503; what `authenticate` throws.
  func body(
    of request: inout Request, _ head: RequestHead, _ rules: BodyRules?,
    _ connection: ClientConnection?, authenticate: () async throws -> UUID
  ) async throws -> (bytes: ByteBuffer, reservation: BodyReservation?) {
    guard head.hasBody, request.method != .get, request.method != .head else {
      return (ByteBuffer(), nil)
    }
    let isPatch = request.method == .patch
    let isJSON =
      (head.contentType.map {
        MediaTypes.isJSON($0, allowMergePatch: isPatch)
          || rules?.allowsNDJSON == true && MediaTypes.isNDJSON($0)
      } ?? false)
      && (head.contentEncoding.map { name in
        let name = name.lowercased()
        return name == "identity" || rules?.codings.contains { $0.rawValue == name } == true
      } ?? true)
    let maximum = rules?.maximum ?? maximum
    // A chunked body may turn out to be empty, and then has no type.
    if !isJSON, head.contentLength != nil { throw Problem(.unsupportedMediaType) }
    let tooLarge = Problem(.bodyTooLarge, members: ["limit": .integer(Int64(maximum))])
    if let length = head.contentLength, length > maximum { throw tooLarge }

    var reservation: BodyReservation?
    if head.contentLength.map({ $0 > Self.maxAnonymousBytes }) ?? true {
      reservation =
        rules?.isWithoutToken == true
        ? BodyReservation(anonymousBudget, caller: nil)
        : BodyReservation(budget, caller: try await authenticate())
      connection?.admitBody()
    }
    if head.expectation != nil { connection?.sendContinue() }

    var body = ByteBuffer()
    for try await var part in request.body {
      if !isJSON, part.readableBytes > 0 { throw Problem(.unsupportedMediaType) }
      let length = body.readableBytes + part.readableBytes
      if length > maximum { throw tooLarge }
      try reservation?.grow(to: length)
      if body.readableBytes == 0 { body = part } else { body.writeBuffer(&part) }
    }
    request.body = RequestBody(buffer: body)
    return (body, reservation)
  }
}
