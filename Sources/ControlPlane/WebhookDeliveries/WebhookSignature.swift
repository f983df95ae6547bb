package import Cryptography

/// Signatures as Standard Webhooks 1.0.0 wants them: HMAC-SHA256 of `id.timestamp.body`, in base64.
package enum WebhookSignature {
  /// What a secret begins with where it is shown.
  package static let secretPrefix = "whsec_"

  /// A secret as it is shown.
  package static func text(ofSecret secret: [UInt8]) -> String {
    secretPrefix + Base64.encode(secret)
  }

  /// The value of `webhook-signature`: one for each secret, separated by spaces.
  ///
  /// - Parameters:
  ///   - id: the value of `webhook-id`.
  ///   - timestamp: the value of `webhook-timestamp`, in seconds since 1970.
  package static func header(
    id: String, timestamp: Int64, body: [UInt8], secrets: [[UInt8]]
  ) -> String {
    let message = Array("\(id).\(timestamp).".utf8) + body
    return secrets.map { secret in
      "v1,\(Base64.encode(HMACSHA256(key: secret).authenticationCode(for: message)))"
    }.joined(separator: " ")
  }
}
