import Domain

/// The names and addresses of this machine itself.
package enum LocalHost {
  /// Whether a `Host` field (RFC 9110, section 7.2) names this machine, with or without a port.
  package static func isLocal(authority: String) -> Bool {
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { return false }
      return isLocal(host: String(authority[..<end].dropFirst()))
    }
    let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
    return parts.count <= 2 && isLocal(host: parts.first.map(String.init) ?? "")
  }

  /// Whether a name or an address means this machine: `localhost`, 127.0.0.0/8 or ::1.
  package static func isLocal(host: String) -> Bool {
    let name = host.lowercased()
    if name == "localhost" || name.hasSuffix(".localhost") { return true }
    guard let address = IPAddress(host) else { return false }
    return address.description == "::1"
      || address.isIPv4 && address.description.hasPrefix("127.")
  }
}
