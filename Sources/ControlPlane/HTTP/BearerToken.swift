package import HTTPTypes

/// The credentials of a request: `Authorization: Bearer` (RFC 6750 §2.1). Never described, so never
/// logged.
package struct BearerToken: Sendable, CustomStringConvertible {
  package let value: String

  package var description: String { "<token>" }

  /// - Throws: `unauthenticated` with `WWW-Authenticate` (RFC 6750 §3): without an error code when
  /// nothing was sent, else `invalid_request`.
  package init(_ headers: HTTPFields) throws(Problem) {
    let lines = headers[values: .authorization]
    guard let line = lines.first else { throw Self.challenge() }
    let scheme = line.utf8.prefix { $0 != UInt8(ascii: " ") }
    let token = line.utf8[scheme.endIndex...].drop { $0 == UInt8(ascii: " ") }
    guard lines.count == 1, line.utf8.count <= 8 << 10, Self.isBearer(scheme),
      Self.isToken68(token)
    else {
      throw Self.challenge(.invalidRequest, "expected one Authorization: Bearer <token>")
    }
    value = String(Substring(token))
  }

  /// RFC 9110 §11.1: the scheme's case does not matter.
  private static func isBearer(_ scheme: Substring.UTF8View) -> Bool {
    scheme.count == 6 && zip(scheme, "bearer".utf8).allSatisfy { $0 | 0x20 == $1 }
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
  package static func isWellFormed(_ text: String) -> Bool { isToken68(text.utf8[...]) }

  /// RFC 9110 §11.2: letters, digits and `-._~+/`, then any number of `=`.
  private static func isToken68(_ text: Substring.UTF8View) -> Bool {
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
