package import HTTPTypes

/// What can go wrong, once: the stable code, the status it answers with, and the words that explain
/// it.
///
/// `code` is kebab-case and is also the last part of the problem's `type`, `/problems/<code>`,
/// where `GET` answers `text`.
package struct ProblemKind: Hashable, Sendable {
  package let code: String
  package let status: HTTPResponse.Status
  package let title: String
  /// What the caller should understand and do: one paragraph of Markdown.
  package let text: String

  package init(_ code: String, _ status: HTTPResponse.Status, _ title: String, _ text: String) {
    self.code = code
    self.status = status
    self.title = title
    self.text = text
  }
}

extension ProblemKind {
  package static let malformedRequest = ProblemKind(
    "malformed-request", .badRequest, "The request is not valid HTTP",
    "The request line, a header field or the framing of the body breaks RFC 9110 or RFC 9112.")
  package static let malformedJSON = ProblemKind(
    "malformed-json", .badRequest, "The body is not valid JSON",
    "The body breaks RFC 8259, repeats a key, nests deeper than 32 levels, is not UTF-8 or has "
      + "trailing data. `line` and `column` say where.")
  package static let malformedHeader = ProblemKind(
    "malformed-header", .badRequest, "A header field is not well-formed",
    "`errors` names the header field and what is wrong with it.")
  package static let unauthenticated = ProblemKind(
    "unauthenticated", .unauthorized, "Authentication is required",
    "Send `Authorization: Bearer <token>` with a token that is valid now.")
  package static let notFound = ProblemKind(
    "not-found", .notFound, "There is nothing here",
    "Nothing has this path, or nothing that you may know of. Paths have no trailing or double "
      + "slash and no percent-encoding.")
  package static let methodNotAllowed = ProblemKind(
    "method-not-allowed", .methodNotAllowed, "The resource does not have this method",
    "`Allow` lists the methods that it has.")
  package static let notAcceptable = ProblemKind(
    "not-acceptable", .notAcceptable, "The reply cannot be what Accept asks for",
    "Accept `application/json`, or leave the field out.")
  package static let requestTimeout = ProblemKind(
    "request-timeout", .requestTimeout, "The request took too long to arrive",
    "The header and the body must each arrive completely within their time. Try again.")
  package static let preconditionFailed = ProblemKind(
    "precondition-failed", .preconditionFailed, "The resource has changed",
    "`If-Match` names another version than the current one. Read it again, then decide again.")
  package static let bodyTooLarge = ProblemKind(
    "body-too-large", .contentTooLarge, "The body is too large",
    "A body may have at most the bytes that `limit` says.")
  package static let unsupportedMediaType = ProblemKind(
    "unsupported-media-type", .unsupportedMediaType, "The body has an unsupported media type",
    "Send `Content-Type: application/json` in UTF-8; a PATCH may say "
      + "`application/merge-patch+json`. Compressed bodies are not taken.")
  package static let expectationFailed = ProblemKind(
    "expectation-failed", .expectationFailed, "The expectation cannot be met",
    "The only expectation that is understood is `Expect: 100-continue`.")
  package static let invalidRequest = ProblemKind(
    "invalid-request", .unprocessableContent, "The request breaks the schema",
    "`errors` lists every problem at once, each with the JSON pointer or the parameter.")
  package static let preconditionRequired = ProblemKind(
    "precondition-required", .preconditionRequired, "If-Match is required",
    "Send `If-Match` with the ETag that you read, or `*` if you do not mind what is there.")
  package static let headerTooLarge = ProblemKind(
    "header-too-large", .requestHeaderFieldsTooLarge, "The request header is too large",
    "Shorten the path, the query or the header fields.")
  package static let internalError = ProblemKind(
    "internal-error", .internalServerError, "Something went wrong on our side",
    "The cause is logged under `request_id`. Repeating the request with the same "
      + "`Idempotency-Key` is safe.")
  package static let unavailable = ProblemKind(
    "unavailable", .serviceUnavailable, "The service cannot answer now",
    "Try again after `Retry-After` seconds; with the same `Idempotency-Key` that is safe.")
  package static let notReady = ProblemKind(
    "not-ready", .serviceUnavailable, "The service is not ready",
    "`errors` names the checks that do not pass.")
  package static let deadlineExceeded = ProblemKind(
    "deadline-exceeded", .serviceUnavailable, "The answer was not ready in time",
    "Whether a change was made is not known. Repeat it with the same `Idempotency-Key`: the "
      + "first result is then replayed, or the change is made now, exactly once.")
}
