package import HTTPTypes

/// The preconditions of one request: RFC 9110 §13. Read them first (400 when malformed), then ask
/// them about the current version.
package struct Preconditions: Equatable, Sendable {
  package let ifMatch: ETagCondition?
  package let ifNoneMatch: ETagCondition?

  /// - Throws: `malformed-header` that names the field.
  package init(_ headers: HTTPFields) throws(Problem) {
    ifMatch = try Self.condition(.ifMatch, headers)
    ifNoneMatch = try Self.condition(.ifNoneMatch, headers)
  }

  /// For a change to something that exists now as `current`, or does not exist (nil).
  ///
  /// - Parameter isRequired: whether `If-Match` must be there at all.
  /// - Throws: `precondition-required` (428) when it is not, `precondition-failed` (412) when it
  /// names another version.
  package func requireMatch(_ current: ETag?, isRequired: Bool = true) throws(Problem) {
    switch ifMatch {
    case nil:
      if isRequired { throw Problem(.preconditionRequired) }
    case .any:
      if current == nil { throw Problem(.preconditionFailed) }
    case .tags(let tags):
      guard let current, tags.contains(where: { $0.stronglyMatches(current) }) else {
        throw Problem(.preconditionFailed)
      }
    }
    if matchesNone(current) == false { throw Problem(.preconditionFailed) }
  }

  /// For a read: whether what the caller has is current, so that the answer is 304 (§13.1.2).
  package func isNotModified(_ current: ETag) -> Bool {
    matchesNone(current) == false
  }

  /// Whether `If-None-Match` holds; nil when there is none.
  private func matchesNone(_ current: ETag?) -> Bool? {
    guard let ifNoneMatch else { return nil }
    guard let current else { return true }
    return switch ifNoneMatch {
    case .any: false
    case .tags(let tags): !tags.contains { $0.weaklyMatches(current) }
    }
  }

  private static func condition(
    _ name: HTTPField.Name, _ headers: HTTPFields
  ) throws(Problem) -> ETagCondition? {
    guard headers.contains(name) else { return nil }
    guard let condition = ETagCondition(headers[values: name]) else {
      throw .header(name.rawName, "expected * or a list of quoted entity tags")
    }
    return condition
  }
}
