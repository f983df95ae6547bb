/// An IP address. IPv4 is held as its IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2), so that both ways to write one are the
/// same address.
package struct IPAddress: Hashable, Sendable {
  /// Most significant bit first, as it is written.
  package let bits: UInt128

  package init(bits: UInt128) {
    self.bits = bits
  }

  package var isIPv4: Bool { bits >> 32 == 0xFFFF }
}

extension IPAddress: LosslessStringConvertible {
  /// Reads the address alone: four decimal numbers without leading zeros, or RFC 4291 §2.2 without brackets or zone.
  package init?(_ text: some StringProtocol) {
    // No address is longer.
    guard 2..<46 ~= text.utf8.count else { return nil }
    let bytes = Array(text.utf8)
    let bits =
      bytes.contains(UInt8(ascii: ":"))
      ? Self.version6(bytes) : Self.version4(bytes[...]).map { 0xFFFF << 32 | UInt128($0) }
    guard let bits else { return nil }
    self.bits = bits
  }

  /// The one way in which we write it (RFC 5952 §4).
  package var description: String {
    if isIPv4 {
      return (0..<4).map { "\(UInt8(truncatingIfNeeded: bits >> (24 - 8 * UInt128($0))))" }
        .joined(separator: ".")
    }
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: bits >> (112 - 16 * UInt128($0))) }
    func text(_ groups: some Collection<UInt16>) -> String {
      groups.map { String($0, radix: 16) }.joined(separator: ":")
    }
    guard let zeros = Self.longestZeros(groups) else { return text(groups) }
    return "\(text(groups[..<zeros.lowerBound]))::\(text(groups[zeros.upperBound...]))"
  }

  /// The first of the longest runs of zeros, of two at least.
  private static func longestZeros(_ groups: [UInt16]) -> Range<Int>? {
    var longest: Range<Int>?
    var start: Int?
    for place in 0...groups.count {
      if place < groups.count, groups[place] == 0 {
        start = start ?? place
      } else if let run = start.map({ $0..<place }) {
        start = nil
        if run.count > max(longest?.count ?? 0, 1) { longest = run }
      }
    }
    return longest
  }

  private static func version4(_ text: ArraySlice<UInt8>) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bits: UInt32 = 0
    for part in parts {
      guard 1...3 ~= part.count, part.count == 1 || part.first != UInt8(ascii: "0") else {
        return nil
      }
      var number: UInt32 = 0
      for digit in part {
        guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= digit else { return nil }
        number = 10 * number + UInt32(digit - UInt8(ascii: "0"))
      }
      guard number <= 255 else { return nil }
      bits = bits << 8 | number
    }
    return bits
  }

  private static func version6(_ text: [UInt8]) -> UInt128? {
    let colon = UInt8(ascii: ":")
    let gap = text.indices.dropLast().first { text[$0] == colon && text[$0 + 1] == colon }
    guard let gap else {
      guard let all = groups(text[...], mayEndInVersion4: true), all.count == 8 else { return nil }
      return number(all)
    }
    guard let left = groups(text[..<gap], mayEndInVersion4: false),
      let right = groups(text[(gap + 2)...], mayEndInVersion4: true), left.count + right.count < 8
    else { return nil }
    let zeros = [UInt16](repeating: 0, count: 8 - left.count - right.count)
    return number(left + zeros + right)
  }

  private static func number(_ groups: [UInt16]) -> UInt128 {
    groups.reduce(0) { $0 << 16 | UInt128($1) }
  }

  private static func groups(_ text: ArraySlice<UInt8>, mayEndInVersion4: Bool) -> [UInt16]? {
    guard !text.isEmpty else { return [] }
    let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    var groups: [UInt16] = []
    for (place, part) in parts.enumerated() {
      if mayEndInVersion4, place == parts.count - 1, part.contains(UInt8(ascii: ".")) {
        guard let bits = version4(part) else { return nil }
        groups += [UInt16(bits >> 16), UInt16(truncatingIfNeeded: bits)]
      } else {
        guard 1...4 ~= part.count else { return nil }
        var group: UInt16 = 0
        for byte in part {
          guard let digit = byte.hexDigit else { return nil }
          group = group << 4 | digit
        }
        groups.append(group)
      }
    }
    return groups
  }
}

extension UInt8 {
  fileprivate var hexDigit: UInt16? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(self - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(self - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(self - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
