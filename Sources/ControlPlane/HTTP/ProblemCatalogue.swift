import HTTPTypes

/// Every problem the service can answer with: the one list behind `GET /problems/{code}` and the
/// API document.
package struct ProblemCatalogue: Sendable {
  /// The kinds that the floor itself uses.
  package static let floor: [ProblemKind] = [
    .malformedRequest, .malformedJSON, .malformedHeader, .unauthenticated, .notFound,
    .methodNotAllowed, .notAcceptable, .requestTimeout, .preconditionFailed, .bodyTooLarge,
    .unsupportedMediaType, .expectationFailed, .invalidRequest, .preconditionRequired,
    .headerTooLarge, .internalError, .unavailable, .notReady, .deadlineExceeded,
  ]

  private let kinds: [String: ProblemKind]

  /// The floor's kinds and `features`. Two kinds with one code are a programming error and stop the
  /// process.
  package init(_ features: [ProblemKind] = []) {
    kinds = Dictionary(
      (Self.floor + features).map { ($0.code, $0) },
      uniquingKeysWith: { first, _ in preconditionFailure("two problems called \(first.code)") })
  }

  /// Every kind, by code.
  package var all: [ProblemKind] { kinds.values.sorted { $0.code < $1.code } }

  /// The documentation of one kind as Markdown, or nil when there is no such code.
  package func documentation(of code: String) -> String? {
    kinds[code].map { "# \($0.title)\n\n`\($0.code)` · HTTP \($0.status.code)\n\n\($0.text)\n" }
  }

  /// A list of all kinds as Markdown, each linked to its own page.
  package var index: String {
    "# Problems\n\n" + all.map { "- [`\($0.code)`](/problems/\($0.code)) \($0.title)\n" }.joined()
  }
}
