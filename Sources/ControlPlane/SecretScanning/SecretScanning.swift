package import Identity

/// Whether, and by whose signature, tokens that were found publicly are taken away.
package struct SecretScanning: Sendable {
  /// Where GitHub publishes the keys that it signs alerts with.
  package static let gitHubKeys = "https://api.github.com/meta/public_keys/secret_scanning"

  let keysURL: String
  let fetch: DocumentFetch

  /// - Parameter keysURL: an https URL, or http of this machine.
  /// - Throws: ``SecretScanningError``.
  package init(
    keysURL: String = gitHubKeys, fetch: @escaping DocumentFetch = HTTPDocument.fetch
  ) throws(SecretScanningError) {
    guard HTTPDocument.canFetch(keysURL) else { throw SecretScanningError() }
    self.keysURL = keysURL
    self.fetch = fetch
  }
}

/// The URL of the keys is none that they can be trusted from.
package struct SecretScanningError: Error, Equatable, CustomStringConvertible {
  package var description: String {
    "SIGNALBOX_SECRET_SCANNING_KEYS_URL is not an https URL (or http of this machine)."
  }
}
