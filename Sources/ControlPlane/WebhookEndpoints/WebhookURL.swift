package import Domain

/// Where webhooks are sent to, read by one strict grammar: what was checked is what is connected to, and nothing can be taken
/// for another host by one reader than by the next.
///
/// `https://host[:port][/path][?query]`, in ASCII: no user, no fragment, no backslash, no space. The host is a name of
/// letters, digits and hyphens, an IPv4 address of four decimal numbers, or an IPv6 address in brackets.
package struct WebhookURL: Hashable, Sendable {
  package enum Host: Hashable, Sendable {
    /// In lower case.
    case name(String)
    case address(IPAddress)
  }

  /// What is wrong with a URL.
  package enum Refusal: Error, Equatable, Sendable {
    case malformed
    /// It is not https.
    case scheme
    /// The port is not one that webhooks are sent to.
    case port
    /// A name of this machine, or an address of a network that is not the internet.
    case target

    var code: String {
      switch self {
      case .malformed: "format"
      case .scheme: "scheme"
      case .port: "port"
      case .target: "private-target"
      }
    }

    var detail: String {
      switch self {
      case .malformed:
        "must be a URL like https://example.com/hooks, without user, fragment or spaces, in ASCII"
      case .scheme: "must begin with https://"
      case .port:
        "must have port 443 or 8443, or another one that the server allows webhooks to be sent to"
      case .target: "must not lead to this machine or to a private network"
      }
    }
  }

  static let longest = 2000

  package let isSecure: Bool
  package let host: Host
  package let port: UInt16
  /// Path and query, as they are sent.
  package let target: String
  /// As `Host` is sent: with the port where it is not the scheme's own.
  package let authority: String

  package var text: String { "\(isSecure ? "https" : "http")://\(authority)\(target)" }

  /// - Throws: ``Refusal``.
  package init(_ text: String) throws(Refusal) {
    guard text.utf8.count <= Self.longest,
      text.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "\\") }),
      let separator = text.firstRange(of: "://")
    else { throw .malformed }
    switch text[..<separator.lowerBound].lowercased() {
    case "https": isSecure = true
    case "http": isSecure = false
    default: throw .scheme
    }
    let rest = text[separator.upperBound...]
    guard !rest.contains("#") else { throw .malformed }
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    let tail = rest[end...]
    target = tail.hasPrefix("/") ? String(tail) : "/\(tail)"
    guard let (host, port) = Self.place(rest[..<end]) else { throw .malformed }
    let usual: UInt16 = isSecure ? 443 : 80
    self.host = host
    self.port = port ?? usual
    let name =
      switch host {
      case .name(let name): name
      case .address(let address): address.isIPv4 ? "\(address)" : "[\(address)]"
      }
    authority = self.port == usual ? name : "\(name):\(self.port)"
  }

  /// Host and port; a nil port is the scheme's own. Nil when there is no such place.
  private static func place(_ authority: Substring) -> (Host, UInt16?)? {
    let host: Host
    let rest: Substring
    if authority.hasPrefix("[") {
      guard let close = authority.firstIndex(of: "]") else { return nil }
      let inside = authority[authority.index(after: authority.startIndex)..<close]
      guard inside.contains(":"), let address = IPAddress(inside) else { return nil }
      host = .address(address)
      rest = authority[authority.index(after: close)...]
    } else {
      let end = authority.firstIndex(of: ":") ?? authority.endIndex
      guard let found = Self.host(authority[..<end].lowercased()) else { return nil }
      host = found
      rest = authority[end...]
    }
    if rest.isEmpty { return (host, nil) }
    let digits = rest.dropFirst()
    guard rest.first == ":", 1...5 ~= digits.utf8.count,
      digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let port = UInt16(digits), port > 0
    else { return nil }
    return (host, port)
  }

  private static func host(_ name: String) -> Host? {
    if let address = IPAddress(name) { return address.isIPv4 ? .address(address) : nil }
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    guard name.utf8.count <= 253, labels.allSatisfy({ isLabel($0) }), let last = labels.last
    else { return nil }
    // What ends in a number is an IPv4 address to some (WHATWG URL, 3.5): 127.1, 0x7f000001.
    let endsInNumber =
      last.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      || last.hasPrefix("0x")
    return endsInNumber ? nil : .name(name)
  }

  /// RFC 1123, section 2.1, and the underscore, which is found in the wild.
  private static func isLabel(_ label: Substring) -> Bool {
    let isPlain: (UInt8) -> Bool = {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "_")
    }
    guard 1...63 ~= label.utf8.count, let first = label.utf8.first, let last = label.utf8.last
    else { return false }
    return isPlain(first) && isPlain(last)
      && label.utf8.allSatisfy { isPlain($0) || $0 == UInt8(ascii: "-") }
  }
}
