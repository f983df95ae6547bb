package import Domain

/// Which targets webhooks may be sent to. Whoever can name a URL must not thereby have us talk to what only we can reach: this
/// machine, its network, the metadata service of its cloud.
package struct TargetPolicy: Sendable {
  /// For development and tests: any address, and plain http.
  package let allowsPrivate: Bool
  /// The ports that webhooks may be sent to: of https, and its usual alternative. Anything else could be some other service
  /// that takes what looks like a command.
  package let ports: Set<UInt16>

  package static let standardPorts: Set<UInt16> = [443, 8443]

  package init(allowsPrivate: Bool = false, ports: Set<UInt16> = Self.standardPorts) {
    self.allowsPrivate = allowsPrivate
    self.ports = ports
  }

  /// What is wrong with a URL as far as it tells itself. What its name leads to is known only when it is connected to.
  func check(_ url: WebhookURL) throws(WebhookURL.Refusal) {
    if allowsPrivate { return }
    guard url.isSecure else { throw .scheme }
    switch url.host {
    case .address(let address):
      if !allows(address) { throw .target }
    case .name(let name):
      // A name without a point is one of our network, and those of RFC 6761 and RFC 6762 are nobody else's.
      let isLocal =
        !name.contains(".")
        || ["localhost", "local", "internal", "home.arpa"].contains {
          name == $0 || name.hasSuffix(".\($0)")
        }
      if isLocal { throw .target }
    }
    guard ports.contains(url.port) else { throw .port }
  }

  /// Whether an address is of the internet, by the registries of special-purpose addresses (RFC 6890, as IANA keeps them).
  package func allows(_ address: IPAddress) -> Bool {
    if allowsPrivate { return true }
    if address.isIPv4 { return Self.isGlobal(version4: UInt32(truncatingIfNeeded: address.bits)) }
    let bits = address.bits
    if let embedded = Self.embeddedVersion4(bits) { return Self.isGlobal(version4: embedded) }
    // Everything else is not given out (RFC 4291, section 2.4).
    guard bits >> 125 == 0b001 else { return false }
    return !Self.special6.contains { bits >> (128 - UInt128($0.length)) == $0.prefix }
  }

  private static func isGlobal(version4 bits: UInt32) -> Bool {
    !special4.contains { bits >> (32 - $0.length) == $0.prefix >> (32 - $0.length) }
  }

  /// The IPv4 address that packets to this one end up at: NAT64 (RFC 6052) and 6to4 (RFC 3056).
  private static func embeddedVersion4(_ bits: UInt128) -> UInt32? {
    if bits >> 32 == 0x0064_ff9b_0000_0000_0000_0000 { return UInt32(truncatingIfNeeded: bits) }
    if bits >> 112 == 0x2002 { return UInt32(truncatingIfNeeded: bits >> 80) }
    return nil
  }

  private static let special4: [(prefix: UInt32, length: UInt32)] = [
    (0x0000_0000, 8),  // this network
    (0x0a00_0000, 8),  // private
    (0x6440_0000, 10),  // carrier-grade NAT
    (0x7f00_0000, 8),  // loopback
    (0xa9fe_0000, 16),  // link-local, metadata services
    (0xa83f_8110, 32),  // Azure's platform: metadata, DNS, health probes
    (0xac10_0000, 12),  // private
    (0xc000_0000, 24),  // protocol assignments
    (0xc000_0200, 24),  // documentation
    (0xc058_6300, 24),  // 6to4 relays
    (0xc0a8_0000, 16),  // private
    (0xc612_0000, 15),  // benchmarks
    (0xc633_6400, 24),  // documentation
    (0xcb00_7100, 24),  // documentation
    (0xe000_0000, 4),  // multicast
    (0xf000_0000, 4),  // reserved, broadcast
  ]

  /// Of global unicast; the prefixes are right-aligned.
  private static let special6: [(prefix: UInt128, length: Int)] = [
    (0x2001_0000 >> 9, 23),  // protocol assignments, Teredo among them
    (0x2001_0db8, 32),  // documentation
    (0x3fff0, 20),  // documentation
  ]
}
