package import HTTPTypes

/// The credentials of a request: `Authorization: Bearer` (RFC 6750 §2.1). Never described, so never
/// logged.
package struct BearerToken: Sendable, CustomStringConvertible {
  package let value: String

  /// A token has 16 KiB at most: access tokens that list many groups grow long. The rest is for the scheme.
  private static let maxLength = (16 << 10) + 16

  package var description: String { "<token>" }

  /// - Throws: `unauthenticated` with `WWW-Authenticate` (RFC 6750 §3): without an error code when
  /// nothing was sent, else `invalid_request`.
  package init(_ headers: HTTPFields) throws(Problem) {
    let lines = headers[values: .authorization]
    guard var line = lines.first else { throw Self.challenge() }
    let token = line.utf8.count <= Self.maxLength ? line.withUTF8 { Self.token(in: $0) } : nil
    guard lines.count == 1, let token else {
      throw Self.challenge(.invalidRequest, "expected one Authorization: Bearer <token>")
    }
    value = token
  }

  private static func token(in line: UnsafeBufferPointer<UInt8>) -> String? {
    // RFC 9110 §11.1: the scheme's case does not matter.
    let scheme = line.prefix { $0 != UInt8(ascii: " ") }
    guard scheme.count == 6, zip(scheme, "bearer".utf8).allSatisfy({ $0 | 0x20 == $1 }) else {
      return nil
    }
    let token = line[scheme.endIndex...].drop { $0 == UInt8(ascii: " ") }
    return isToken68(token) ? String(decoding: token, as: UTF8.self) : nil
  }

  /// RFC 6750 §3.1.
  package enum Failure: String, Sendable {
    case invalidRequest = "invalid_request"
    case invalidToken = "invalid_token"
  }

  /// 401 that says how to authenticate. `detail` must not repeat the token.
  package static func challenge(_ failure: Failure? = nil, _ detail: String? = nil) -> Problem {
    let error = failure.map { ", error=\"\($0.rawValue)\"" } ?? ""
    return Problem(
      .unauthenticated, detail, headers: [.wwwAuthenticate: "Bearer realm=\"signalbox\"\(error)"])
  }

  /// Whether a text can be sent as a token at all.
  package static func isWellFormed(_ text: String) -> Bool { isToken68(text.utf8) }

  /// RFC 9110 §11.2: letters, digits and `-._~+/`, then any number of `=`.
  private static func isToken68(_ text: some Collection<UInt8>) -> Bool {
    var hasEnded = false
    for byte in text {
      switch byte {
      case UInt8(ascii: "="): hasEnded = true
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"):
        if hasEnded { return false }
      default: return false
      }
    }
    return !text.isEmpty && text.first != UInt8(ascii: "=")
  }
}
