/// The domain names of addresses.
enum DomainName {
  private static let prefix = "xn--"

  /// The name in ASCII and lower case, with labels of other letters as IDNA encodes them (RFC 5891, section 4.4).
  ///
  /// - Returns: nil unless it is a name that a mail server can have: labels of letters, digits and hyphens, at least two of
  ///   them unless it is `localhost`, and no address of IP version 4.
  static func ascii(_ text: String) -> String? {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    let labels = parts.compactMap { label(String(Substring($0))) }
    guard labels.count == parts.count, labels.count > 1 || labels == ["localhost"],
      labels.last?.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        == false
    else { return nil }
    let name = labels.joined(separator: ".")
    return name.utf8.count <= 253 ? name : nil
  }

  private static func label(_ text: String) -> String? {
    let hyphen = UInt8(ascii: "-")
    guard text.utf8.first != hyphen, text.utf8.last != hyphen else { return nil }
    let lower = InternationalText.lowercased(text)
    var isASCII = true
    for scalar in text.unicodeScalars {
      if let byte = UInt8(exactly: scalar.value), byte < 0x80 {
        guard byte.isLetterOrDigit || byte == hyphen else { return nil }
      } else {
        guard InternationalText.allows(scalar) else { return nil }
        isASCII = false
      }
    }
    guard !isASCII else { return (1...63).contains(lower.utf8.count) ? lower : nil }
    // A label begins with no mark, and has no two hyphens where the prefix has them (RFC 5891, section 4.2.3).
    guard let first = lower.unicodeScalars.first, !isMark(first),
      !lower.utf8.dropFirst(2).starts(with: "--".utf8), let encoded = Punycode.encode(lower)
    else { return nil }
    let ascii = prefix + encoded
    return ascii.utf8.count <= 63 ? ascii : nil
  }

  private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: true
    default: false
    }
  }
}

/// RFC 3492: any text in letters, digits and hyphens of ASCII.
enum Punycode {
  private static let (base, tMin, tMax, skew, damp): (Int, Int, Int, Int, Int) = (
    36, 1, 26, 38, 700
  )

  /// - Returns: nil for a text that is longer than any label could be.
  static func encode(_ text: String) -> String? {
    let scalars = text.unicodeScalars.map { Int($0.value) }
    // Each scalar takes at least one character: beyond this there is no label, and no arithmetic that could overflow.
    guard scalars.count <= 63 else { return nil }
    var output = scalars.filter { $0 < 0x80 }.map { UInt8($0) }
    let basicCount = output.count
    var handled = basicCount
    if basicCount > 0 { output.append(UInt8(ascii: "-")) }
    var (n, delta, bias) = (0x80, 0, 72)
    while handled < scalars.count, let next = scalars.filter({ $0 >= n }).min() {
      delta += (next - n) * (handled + 1)
      n = next
      for scalar in scalars {
        if scalar < n { delta += 1 }
        guard scalar == n else { continue }
        var (q, k) = (delta, base)
        while true {
          let threshold = min(max(k - bias, tMin), tMax)
          guard q >= threshold else { break }
          output.append(digit(threshold + (q - threshold) % (base - threshold)))
          q = (q - threshold) / (base - threshold)
          k += base
        }
        output.append(digit(q))
        bias = adapted(delta, handled + 1, isFirst: handled == basicCount)
        delta = 0
        handled += 1
      }
      delta += 1
      n += 1
    }
    return String(decoding: output, as: UTF8.self)
  }

  private static func digit(_ value: Int) -> UInt8 {
    UInt8(value < 26 ? 97 + value : 22 + value)
  }

  private static func adapted(_ delta: Int, _ count: Int, isFirst: Bool) -> Int {
    var delta = isFirst ? delta / damp : delta / 2
    delta += delta / count
    var k = 0
    while delta > (base - tMin) * tMax / 2 {
      delta /= base - tMin
      k += base
    }
    return k + (base - tMin + 1) * delta / (delta + skew)
  }
}
