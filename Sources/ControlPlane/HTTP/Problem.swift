package import HTTPTypes
package import Hummingbird
import JSON
import NIOCore

/// A failure as the caller sees it: RFC 9457 problem details. Holds nothing internal; may be thrown
/// by any handler.
package struct Problem: Error, Equatable, Sendable {
  /// One of the things that are wrong with the request.
  package struct Detail: Equatable, Sendable {
    /// Where: a JSON pointer (RFC 6901) into the body, a query parameter, a header field or a
    /// health check.
    package enum Place: Equatable, Sendable {
      case pointer(String)
      case parameter(String)
      case header(String)
      case check(String)
    }

    package let place: Place
    /// Stable and kebab-case, e.g. `too-long`.
    package let code: String
    package let detail: String

    package init(_ place: Place, _ code: String, _ detail: String) {
      self.place = place
      self.code = code
      self.detail = detail
    }
  }

  /// The value of an extension member (RFC 9457 §3.2).
  package enum Member: Equatable, Sendable {
    case string(String)
    case integer(Int64)
    case boolean(Bool)
    case strings([String])
  }

  package var kind: ProblemKind
  package var detail: String?
  package var errors: [Detail] = []
  package var members: [String: Member] = [:]
  /// Header fields the status needs: `Allow`, `Retry-After`, `WWW-Authenticate`.
  package var headers: HTTPFields = [:]

  package init(
    _ kind: ProblemKind, _ detail: String? = nil, errors: [Detail] = [],
    members: [String: Member] = [:], headers: HTTPFields = [:]
  ) {
    self.kind = kind
    self.detail = detail
    self.errors = errors
    self.members = members
    self.headers = headers
  }
}

/// An error that knows which problem the caller should see. Domain errors stay ignorant of HTTP:
/// their conformances are written in one file of the features' own. Every other error is answered
/// with `internal-error` and logged.
package protocol ProblemConvertible: Error {
  var problem: Problem { get }
}

extension Problem: ProblemConvertible {
  package var problem: Problem { self }
}

extension Problem {
  /// 422 with everything that is wrong.
  package static func invalid(_ errors: [Detail]) -> Problem {
    Problem(.invalidRequest, errors: errors)
  }

  /// 400 about one header field.
  package static func header(_ name: String, _ detail: String) -> Problem {
    Problem(.malformedHeader, errors: [Detail(.header(name), "malformed", detail)])
  }

  /// 503 that asks the caller to come back after that many seconds.
  package static func unavailable(
    _ kind: ProblemKind = .unavailable, retryAfter seconds: Int = 1, _ detail: String? = nil
  ) -> Problem {
    Problem(kind, detail, headers: [.retryAfter: "\(seconds)"])
  }

  /// The last line of JSON lines whose status is sent already: says what broke them off.
  var lastLine: [UInt8] {
    var problem = JSONObject()
    problem.set("code", kind.code)
    problem.set("title", kind.title)
    var line = JSONObject()
    line.set("error", problem)
    return line.bytes() + [UInt8(ascii: "\n")]
  }

  /// The document, `application/problem+json`. `instance` is the path of the request, nil when it
  /// must not be repeated.
  package func document(instance: String?, requestID: String) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(384)
    bytes.append("{\"type\":\"/problems/")
    bytes.append(contentsOf: kind.code.utf8)
    bytes.append("\",\"title\":")
    bytes.append(jsonString: kind.title)
    bytes.append(",\"status\":")
    bytes.append(decimal: kind.status.code)
    func member(_ name: StaticString, _ value: String?) {
      guard let value else { return }
      bytes.append(",\"")
      bytes.append(name)
      bytes.append("\":")
      bytes.append(jsonString: value)
    }
    member("detail", detail)
    member("instance", instance)
    member("code", kind.code)
    member("request_id", requestID)
    for (index, error) in errors.enumerated() {
      bytes.append(index == 0 ? ",\"errors\":[" : ",")
      error.append(to: &bytes)
    }
    if !errors.isEmpty { bytes.append("]") }
    for (name, value) in members.sorted(by: { $0.key < $1.key }) {
      bytes.append(",")
      bytes.append(jsonString: name)
      bytes.append(":")
      switch value {
      case .string(let text): bytes.append(jsonString: text)
      case .integer(let number): bytes.append(decimal: number)
      case .boolean(let flag): bytes.append(flag ? "true" : "false")
      case .strings(let texts):
        bytes.append("[")
        for (index, text) in texts.enumerated() {
          if index > 0 { bytes.append(",") }
          bytes.append(jsonString: text)
        }
        bytes.append("]")
      }
    }
    bytes.append("}")
    return bytes
  }

  /// The reply, without `X-Request-Id`, which the floor adds to every reply.
  package func response(instance: String?, requestID: String) -> Response {
    var headers = self.headers
    headers.append(.problemJSON)
    headers.append(.noStore)
    let body = ByteBuffer(bytes: document(instance: instance, requestID: requestID))
    return Response(status: kind.status, headers: headers, body: ResponseBody(byteBuffer: body))
  }
}

extension Problem.Detail {
  fileprivate func append(to bytes: inout [UInt8]) {
    let (name, value): (StaticString, String) =
      switch place {
      case .pointer(let pointer): ("pointer", pointer)
      case .parameter(let parameter): ("parameter", parameter)
      case .header(let header): ("header", header)
      case .check(let check): ("check", check)
      }
    bytes.append("{\"")
    bytes.append(name)
    bytes.append("\":")
    bytes.append(jsonString: value)
    bytes.append(",\"code\":")
    bytes.append(jsonString: code)
    bytes.append(",\"detail\":")
    bytes.append(jsonString: detail)
    bytes.append("}")
  }
}
