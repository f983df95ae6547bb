import Domain

/// The proxies in front of us, whose word about who sent a request is taken.
///
/// Every proxy appends the address it was asked from to `X-Forwarded-For`, so only the right end of
/// the field is worth anything: whoever sends a request writes the left end as they please.
package struct TrustedProxies: Sendable {
  /// A list of networks that cannot be meant. Says which entry, and how to write it.
  package struct Invalid: Error, Equatable, CustomStringConvertible {
    package let description: String
  }

  private struct Network {
    let base: IPAddress
    let mask: UInt128

    func contains(_ address: IPAddress) -> Bool {
      // An IPv6 network holds no IPv4 address, although all of them are mapped into `::/80`.
      address.bits & mask == base.bits && address.isIPv4 == base.isIPv4
    }
  }

  private let networks: [Network]

  /// No proxy: the peer is the client.
  package static let none = TrustedProxies(networks: [])

  private static let maximumHops = 32

  private init(networks: [Network]) {
    self.networks = networks
  }

  /// Reads single addresses and CIDR blocks (RFC 4632 §3.1, RFC 4291 §2.3), separated by commas.
  /// Nothing but spaces is ``none``.
  package init(_ list: String) throws(Invalid) {
    guard list.contains(where: { $0 != " " }) else {
      self = .none
      return
    }
    var networks: [Network] = []
    for entry in list.split(separator: ",", omittingEmptySubsequences: false) {
      networks.append(try Self.network(String(Substring(entry.utf8.trimmingSpaces))))
    }
    self.networks = networks
  }

  /// Who sent the request: the right-most hop that is not trusted, or the last trusted one when the
  /// next entry is no address, or there is none.
  ///
  /// - Parameters:
  ///   - peer: the address of the other end of the connection.
  ///   - lines: the values of all `X-Forwarded-For` lines, in order.
  package func clientAddress(peer: String, forwardedFor lines: [String]) -> String {
    guard !networks.isEmpty, let address = IPAddress(peer) else {
      // What a socket says is in our writing already, but for mapped addresses.
      return peer.utf8.starts(with: "::".utf8) ? IPAddress(peer)?.description ?? peer : peer
    }
    var hop = address
    var hops = 0
    for line in lines.reversed() {
      var rest = line.utf8[...]
      while hops < Self.maximumHops, isTrusted(hop) {
        let comma = rest.lastIndex(of: UInt8(ascii: ","))
        let entry = comma.map { rest[rest.index(after: $0)...] } ?? rest
        guard let next = Self.address(ofHop: entry.trimmingSpaces) else { return hop.description }
        hop = next
        hops += 1
        guard let comma else { break }
        rest = rest[..<comma]
      }
    }
    return hop.description
  }

  package var namesAny: Bool { !networks.isEmpty }

  /// Whether the other end of a connection is one of the proxies.
  package func trusts(peer: String) -> Bool {
    guard !networks.isEmpty, let address = IPAddress(peer) else { return false }
    return isTrusted(address)
  }

  private func isTrusted(_ address: IPAddress) -> Bool {
    networks.contains { $0.contains(address) }
  }

  /// The address of an entry, which may come with a port, and then with brackets around IPv6.
  private static func address(ofHop entry: Substring.UTF8View) -> IPAddress? {
    if entry.first == UInt8(ascii: "[") {
      guard let end = entry.firstIndex(of: UInt8(ascii: "]")) else { return nil }
      let inside = entry[..<end].dropFirst()
      let port = entry[end...].dropFirst()
      guard inside.contains(UInt8(ascii: ":")), port.isEmpty || isPort(port) else { return nil }
      return IPAddress(Substring(inside))
    }
    guard let colon = entry.firstIndex(of: UInt8(ascii: ":")), isPort(entry[colon...]) else {
      return IPAddress(Substring(entry))
    }
    return IPAddress(Substring(entry[..<colon]))
  }

  private static func isPort(_ text: Substring.UTF8View) -> Bool {
    let digits = text.dropFirst()
    return text.first == UInt8(ascii: ":") && digits.isDecimal
      && UInt16(Substring(digits)) != nil
  }

  private static func network(_ entry: String) throws(Invalid) -> Network {
    let parts = entry.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let base = IPAddress(parts[0]) else {
      throw Invalid(
        description: "'\(entry)' is no address or network; write 10.0.0.0/8, fd00::/8 or 192.0.2.1")
    }
    guard parts.count == 2 else { return Network(base: base, mask: .max) }
    let width = entry.utf8.contains(UInt8(ascii: ":")) ? 128 : 32
    guard parts[1].utf8.isDecimal, let length = Int(parts[1]), 0...width ~= length else {
      throw Invalid(
        description: "'\(entry)' has no prefix length from 1 to \(width) after the slash")
    }
    guard length > 0 else {
      throw Invalid(
        description: "'\(entry)' trusts everybody, so that clients could say any address is theirs")
    }
    let mask = UInt128.max << UInt128(width - length)
    let first = IPAddress(bits: base.bits & mask)
    guard first == base else {
      throw Invalid(description: "'\(entry)' is inside a network; write \(first)/\(length)")
    }
    return Network(base: base, mask: mask)
  }
}

extension Substring.UTF8View {
  /// Without the spaces and tabs at its ends (RFC 9110 §5.6.3).
  fileprivate var trimmingSpaces: Substring.UTF8View {
    let isSpace: (UInt8) -> Bool = { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    let head = drop(while: isSpace)
    guard let last = head.lastIndex(where: { !isSpace($0) }) else { return head }
    return head[...last]
  }

  fileprivate var isDecimal: Bool {
    !isEmpty && allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
  }
}
