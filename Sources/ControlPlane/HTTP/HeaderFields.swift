package import HTTPTypes

/// Header fields this API has beside the registered ones; made once, because making a name
/// validates it.
extension HTTPField.Name {
  package static let requestID = HTTPField.Name("X-Request-Id")!
  package static let position = HTTPField.Name("Signalbox-Position")!
  package static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
  package static let idempotencyReplayed = HTTPField.Name("Idempotency-Replayed")!
}

extension HTTPField {
  package static let json = HTTPField(name: .contentType, value: "application/json")
  package static let problemJSON = HTTPField(
    name: .contentType, value: "application/problem+json")
  package static let markdown = HTTPField(
    name: .contentType, value: "text/markdown; charset=utf-8")
  package static let prometheusText = HTTPField(
    name: .contentType, value: "text/plain; version=0.0.4; charset=utf-8")
  /// Browsers take what a reply says it is, and nothing else (Fetch standard, section 3.6).
  package static let noSniff = HTTPField(name: .xContentTypeOptions, value: "nosniff")
  package static let noStore = HTTPField(name: .cacheControl, value: "no-store")
}
