import Cryptography

extension GatewayConfiguration {
  /// Reads the configuration from environment variables: `SIGNALBOX_URL` (several with commas), `SIGNALBOX_GATEWAY_TOKEN`,
  /// `SIGNALBOX_API_KEY_PEPPER` (base64url, as `api_key_pepper` is given), `GATEWAY_NAME`, and optionally
  /// `GATEWAY_SNAPSHOT` (a path), `GATEWAY_KEY_ENCRYPTION_KEYS` (`1:<key>,2:<key>`) and `GATEWAY_EVIDENCE_CAPACITY`.
  ///
  /// - Throws: ``Invalid``, which names the variable.
  public init(environment: [String: String]) throws(Invalid) {
    func required(_ name: String) throws(Invalid) -> String {
      guard let value = environment[name], !value.isEmpty else {
        throw Invalid(description: "\(name) is not set")
      }
      return value
    }
    guard let pepper = Base64URL.decode(try required("SIGNALBOX_API_KEY_PEPPER")),
      pepper.count == 32
    else {
      throw Invalid(
        description: "SIGNALBOX_API_KEY_PEPPER must be 32 bytes in base64url without padding")
    }
    var capacity = 100_000
    if let text = environment["GATEWAY_EVIDENCE_CAPACITY"] {
      guard let number = Int(text), number > 0 else {
        throw Invalid(description: "GATEWAY_EVIDENCE_CAPACITY must be a number above zero")
      }
      capacity = number
    }
    self.init(
      controlPlanes: try required("SIGNALBOX_URL").split(separator: ",").map(String.init),
      token: try required("SIGNALBOX_GATEWAY_TOKEN"),
      name: try required("GATEWAY_NAME"), apiKeyPepper: pepper,
      snapshotPath: environment["GATEWAY_SNAPSHOT"],
      keyEncryptionKeys: environment["GATEWAY_KEY_ENCRYPTION_KEYS"], evidenceCapacity: capacity)
    try validate()
  }
}
