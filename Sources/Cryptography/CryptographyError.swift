import COpenSSL

/// A failure of libcrypto, or an input that it must not be given.
package enum CryptographyError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The ciphertext, its tag, its nonce or its associated data is not what was sealed, or the key
  /// is another one. Which of them is not known, and must not be told.
  case authenticationFailure
  /// A key that is not of the one length (in bytes) that the algorithm takes.
  case keySize(expected: Int, actual: Int)
  /// What should be a key is none, or one of another kind.
  case malformedKey
  /// libcrypto refused; `reason` is its own text, which names no data.
  case openSSL(function: String, reason: String)

  package var description: String {
    switch self {
    case .authenticationFailure: "authentication failed"
    case .keySize(let expected, let actual): "a key of \(actual) bytes instead of \(expected)"
    case .malformedKey: "not a key of the kind that is expected"
    case .openSSL(let function, let reason): "\(function): \(reason)"
    }
  }

  /// Takes the oldest entry of this thread's error queue, which caused those after it, and empties
  /// the queue, so that it explains no later failure.
  static func last(_ function: StaticString) -> CryptographyError {
    let code = ERR_get_error()
    ERR_clear_error()
    let reason = ERR_reason_error_string(code).map { String(cString: $0) }
    return .openSSL(function: "\(function)", reason: reason ?? "error \(code)")
  }
}

/// Ends the process where libcrypto cannot fail unless memory or the library itself is broken, and
/// where going on without its result would be worse.
func require(_ succeeded: Bool, _ function: StaticString) {
  if !succeeded { fatalError(CryptographyError.last(function).description) }
}

/// `require` for a pointer.
func require<Pointer>(_ pointer: Pointer?, _ function: StaticString) -> Pointer {
  guard let pointer else { fatalError(CryptographyError.last(function).description) }
  return pointer
}
