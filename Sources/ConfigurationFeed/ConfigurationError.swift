package import JSON

/// Why something is not a configuration, or not a change of one. Never repeats what it was read from, which holds secrets.
package enum ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The text is not strict JSON; line and column are those of the whole text.
  case syntax(JSONSyntaxError)
  /// `format` is not the one that is known here.
  case unknownFormat
  /// The change is not newer than the document that it is to change.
  case notNewer(than: Int64)
  /// What stands at a JSON pointer (RFC 6901) is not what must stand there; the reason completes "… must be an object".
  case invalid(pointer: String, reason: String)

  package var description: String {
    switch self {
    case .syntax(let error): "\(error)"
    case .unknownFormat:
      "/format: must be \(ConfigurationDocument.format), the only format that is known here"
    case .notNewer(let position): "the change is not newer than position \(position)"
    case .invalid(let pointer, let reason):
      "\(pointer.isEmpty ? "the document" : pointer): \(reason)"
    }
  }

  /// The same error, seen from further outside.
  func inside(_ outer: String) -> ConfigurationError {
    guard case .invalid(let pointer, let reason) = self else { return self }
    return .invalid(pointer: outer + pointer, reason: reason)
  }
}

/// Lets errors of what is read inside of something tell where that is.
package func inside<Value>(
  _ pointer: @autoclosure () -> String, _ body: () throws(ConfigurationError) -> Value
) throws(ConfigurationError) -> Value {
  do throws(ConfigurationError) {
    return try body()
  } catch {
    throw error.inside(pointer())
  }
}
