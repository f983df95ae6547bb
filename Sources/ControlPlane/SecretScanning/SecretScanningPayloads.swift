import Cryptography
import JSON
import NIOCore

/// One token that was found, as GitHub reports it. Members that are not known here are left alone.
struct SecretAlert: Hashable {
  static let most = 5000
  private static let longest = 2000

  let token: String
  let type: String
  /// Where it was found; nil when that is not told.
  let url: String?

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  static func list(_ body: ByteBuffer) throws -> [SecretAlert] {
    guard body.readableBytes > 0 else {
      throw Problem(.malformedJSON, "a JSON array is required as body")
    }
    guard case .array(let items) = try JSONValue.parse(Array(body.readableBytesView)) else {
      throw Problem.invalid([.init(.pointer(""), "type", "must be an array")])
    }
    guard 1...most ~= items.count else {
      throw Problem.invalid([
        .init(.pointer(""), "count", "must have from 1 to \(most) elements")
      ])
    }
    let errors = PayloadErrors()
    let alerts = items.enumerated().compactMap { index, item in
      let token = text("token", of: item, at: index, errors)
      let type = text("type", of: item, at: index, errors)
      return token.flatMap { token in
        type.map { SecretAlert(token: token, type: $0, url: item["url"]?.string) }
      }
    }
    try errors.finish()
    return alerts
  }

  private static func text(
    _ name: String, of item: JSONValue, at index: Int, _ errors: PayloadErrors
  ) -> String? {
    if let text = item[name]?.string, text.utf8.count <= longest { return text }
    errors.add(
      .pointer("/\(index)/\(name)"), "type", "must be a string of at most \(longest) bytes")
    return nil
  }

  /// Why the token is revoked. The place is told when it is short, and holds nothing that could be a token itself.
  var reason: String {
    let reason = "Found publicly by GitHub secret scanning"
    guard let url, url.hasPrefix("https://"), url.utf8.count <= 300,
      url.utf8.allSatisfy({ 0x21...0x7E ~= $0 }), !url.contains(token),
      !TokenFormat.all.contains(where: { url.contains($0.prefix) })
    else { return reason }
    return "\(reason): \(url)"
  }

  /// What GitHub is told of it: whether it was a real token, named by its SHA-256 and never by itself.
  func feedback(isReal: Bool) -> JSONObject {
    var object = JSONObject()
    object.set("token_hash", SHA256.hash(Array(token.utf8)).hexString)
    object.set("token_type", type)
    object.set("label", isReal ? "true_positive" : "false_positive")
    return object
  }
}
