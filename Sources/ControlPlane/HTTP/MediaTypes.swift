import Compression

/// Which media types a caller takes and sends: RFC 9110 §12.5.1 (Accept) and §8.3 (Content-Type),
/// for an API that speaks JSON.
enum MediaTypes {
  /// Whether an `Accept` value allows `application/json` with a quality above zero. The most
  /// specific range decides (§12.5.1); a range that is not well-formed is ignored.
  static func acceptsJSON(_ accept: String) -> Bool {
    accept == "*/*" || accept == "application/json"
      || accepts(["application/json", "application/problem+json"], accept)
  }

  /// The same for one of some other types, all of one kind (`application`, say), in lower case.
  static func accepts(_ types: [String], _ accept: String) -> Bool {
    var best = (specificity: 0, accepted: false)
    for item in accept.split(separator: ",", omittingEmptySubsequences: true) {
      let parts = item.split(separator: ";", omittingEmptySubsequences: false)
      let specificity: Int
      switch parts[0].trimmed.lowercased() {
      case let type where types.contains(String(type)): specificity = 3
      case let range where range.hasSuffix("/*") && types[0].hasPrefix(range.dropLast(1)):
        specificity = 2
      case "*/*": specificity = 1
      default: continue
      }
      guard let accepted = weight(parts.dropFirst()).map({ $0 > 0 }) else { continue }
      // All of the types suit us, so of two equally specific ranges the willing one decides.
      if specificity > best.specificity || (specificity == best.specificity && accepted) {
        best = (specificity, accepted)
      }
    }
    return best.accepted || accept.allSatisfy { $0 == " " || $0 == "," }
  }

  /// The content coding that an `Accept-Encoding` value prefers (RFC 9110 §12.5.3); of those that it likes as much as each
  /// other, the first of ours. Nil for none.
  static func preferredCoding(_ value: String) -> ContentCoding? {
    var weights: [ContentCoding: Int] = [:]
    var (others, identity): (Int?, Int?)
    for item in value.split(separator: ",") {
      let parts = item.split(separator: ";", omittingEmptySubsequences: false)
      guard let weight = weight(parts.dropFirst()) else { continue }
      switch parts[0].trimmed.lowercased() {
      case "*": others = weight
      case "identity": identity = weight
      case "x-gzip": weights[.gzip] = weight
      case let name:
        if let coding = ContentCoding(rawValue: name) { weights[coding] = weight }
      }
    }
    var best: (coding: ContentCoding, weight: Int)?
    for coding in ContentCoding.allCases {
      let weight = weights[coding] ?? others ?? 0
      if weight > best?.weight ?? 0 { best = (coding, weight) }
    }
    // What is not compressed is good enough for everybody, but preferred only by who says so.
    guard let best, best.weight >= identity ?? 0 else { return nil }
    return best.coding
  }

  /// Whether a `Content-Type` is JSON in UTF-8; for a merge patch also
  /// `application/merge-patch+json` (RFC 7396 §4).
  static func isJSON(_ contentType: String, allowMergePatch: Bool) -> Bool {
    if contentType == "application/json" { return true }
    let parts = contentType.split(separator: ";", omittingEmptySubsequences: false)
    guard let type = parts.first?.trimmed.lowercased() else { return false }
    guard type == "application/json" || (allowMergePatch && type == "application/merge-patch+json")
    else { return false }
    return isUTF8(parts.dropFirst())
  }

  /// Whether a `Content-Type` is newline-delimited JSON in UTF-8.
  static func isNDJSON(_ contentType: String) -> Bool {
    let parts = contentType.split(separator: ";", omittingEmptySubsequences: false)
    return parts.first?.trimmed.lowercased() == "application/x-ndjson"
      && isUTF8(parts.dropFirst())
  }

  private static func isUTF8(_ parameters: ArraySlice<Substring>) -> Bool {
    parameters.allSatisfy { parameter in
      switch parameter.trimmed.lowercased() {
      case "", "charset=utf-8", "charset=\"utf-8\"", "charset=utf8", "charset=\"utf8\"": true
      default: false
      }
    }
  }

  /// The `q` parameter in thousandths, 1000 without one; nil when it breaks §12.4.2.
  private static func weight(_ parameters: ArraySlice<Substring>) -> Int? {
    for parameter in parameters {
      let text = parameter.trimmed.lowercased()
      guard text.hasPrefix("q=") else { continue }
      let value = Array(text.utf8.dropFirst(2))
      guard let first = value.first, first == UInt8(ascii: "0") || first == UInt8(ascii: "1"),
        value.count <= 5, value.count == 1 || value[1] == UInt8(ascii: ".")
      else { return nil }
      var weight = first == UInt8(ascii: "1") ? 1000 : 0
      for (digit, unit) in zip(value.dropFirst(2), [100, 10, 1]) {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
        weight += Int(digit - UInt8(ascii: "0")) * unit
      }
      return weight <= 1000 ? weight : nil
    }
    return 1000
  }
}

extension Substring {
  /// Without optional whitespace (RFC 9110 §5.6.3) at both ends.
  var trimmed: Substring {
    var text = self
    while let first = text.utf8.first, first == 0x20 || first == 0x09 { text.removeFirst() }
    while let last = text.utf8.last, last == 0x20 || last == 0x09 { text.removeLast() }
    return text
  }
}
