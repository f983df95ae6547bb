import Glibc

/// An IP address. IPv4 is held as its IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2), so that both
/// ways to write one are the same address.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
  /// Most significant bit first, as it is written.
  package let bits: UInt128

  package init(bits: UInt128) {
    self.bits = bits
  }

  /// Reads the address alone: four decimal numbers, or RFC 4291 §2.2 without brackets or zone.
  package init?(_ text: some StringProtocol) {
    // No address is longer, and C would stop at a NUL.
    guard 2..<Int(INET6_ADDRSTRLEN) ~= text.utf8.count, !text.utf8.contains(0) else { return nil }
    let text = String(text)
    if text.utf8.contains(UInt8(ascii: ":")) {
      var address = in6_addr()
      guard inet_pton(AF_INET6, text, &address) == 1 else { return nil }
      bits = withUnsafeBytes(of: address) {
        UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self))
      }
    } else {
      var address = in_addr()
      guard inet_pton(AF_INET, text, &address) == 1 else { return nil }
      bits = 0xFFFF << 32 | UInt128(UInt32(bigEndian: address.s_addr))
    }
  }

  package var isIPv4: Bool { bits >> 32 == 0xFFFF }

  /// The one way in which we write it.
  package var description: String {
    String(unsafeUninitializedCapacity: Int(INET6_ADDRSTRLEN)) { buffer in
      buffer.withMemoryRebound(to: CChar.self) { buffer in
        if isIPv4 {
          var address = in_addr(s_addr: UInt32(truncatingIfNeeded: bits).bigEndian)
          inet_ntop(AF_INET, &address, buffer.baseAddress, socklen_t(buffer.count))
        } else {
          var address = bits.bigEndian
          inet_ntop(AF_INET6, &address, buffer.baseAddress, socklen_t(buffer.count))
        }
        return buffer.firstIndex(of: 0) ?? 0
      }
    }
  }
}
