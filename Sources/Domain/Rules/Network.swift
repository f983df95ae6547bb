/// A block of addresses (CIDR: RFC 4632 §3.1, RFC 4291 §2.3), in canonical form: the bits behind the prefix are zero.
package struct Network: Hashable, Sendable {
  package let base: IPAddress
  /// From 0 to 32 for IPv4, to 128 for IPv6.
  package let prefixLength: Int

  /// Every address that begins as this one does.
  ///
  /// - Returns: nil when the prefix is longer than an address.
  package init?(_ address: IPAddress, prefixLength: Int) {
    guard 0...(address.isIPv4 ? 32 : 128) ~= prefixLength else { return nil }
    let width = address.isIPv4 ? 32 : 128
    base = IPAddress(bits: address.bits & ~Self.ones(width - prefixLength))
    self.prefixLength = prefixLength
  }

  package var isIPv4: Bool { base.isIPv4 }

  /// The first and the last address.
  package var range: ClosedRange<UInt128> {
    base.bits...(base.bits | Self.ones((isIPv4 ? 32 : 128) - prefixLength))
  }

  /// An IPv6 network holds no IPv4 address, although all of them are mapped into `::/80`.
  package func contains(_ address: IPAddress) -> Bool {
    range.contains(address.bits) && address.isIPv4 == isIPv4
  }

  private static func ones(_ count: Int) -> UInt128 {
    count == 128 ? .max : 1 << UInt128(count) - 1
  }
}

extension Network: LosslessStringConvertible {
  /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address. Bits behind the prefix are taken for a way of writing.
  package init?(_ text: String) {
    let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = IPAddress(Substring(parts[0])) else { return nil }
    let isMapped = address.isIPv4 && parts[0].contains(UInt8(ascii: ":"))
    guard parts.count == 2 else {
      self.init(address, prefixLength: address.isIPv4 ? 32 : 128)
      return
    }
    let digits = parts[1]
    guard 1...3 ~= digits.count, digits.count == 1 || digits.first != UInt8(ascii: "0"),
      digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
      let length = Int(Substring(digits))
    else { return nil }
    // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
    self.init(address, prefixLength: isMapped ? length - 96 : length)
  }

  package var description: String { "\(base)/\(prefixLength)" }
}
