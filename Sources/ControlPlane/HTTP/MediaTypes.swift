/// Which media types a caller takes and sends: RFC 9110 §12.5.1 (Accept) and §8.3 (Content-Type),
/// for an API that speaks JSON.
enum MediaTypes {
  /// Whether an `Accept` value allows `application/json` with a quality above zero. The most
  /// specific range decides (§12.5.1); a range that is not well-formed is ignored.
  static func acceptsJSON(_ accept: String) -> Bool {
    if accept == "*/*" || accept == "application/json" { return true }
    var best = (specificity: 0, accepted: false)
    for item in accept.split(separator: ",", omittingEmptySubsequences: true) {
      let parts = item.split(separator: ";", omittingEmptySubsequences: false)
      let specificity: Int
      switch parts[0].trimmed.lowercased() {
      case "application/json", "application/problem+json": specificity = 3
      case "application/*": specificity = 2
      case "*/*": specificity = 1
      default: continue
      }
      guard let accepted = quality(parts.dropFirst()) else { continue }
      // Both JSON types suit us, so of two equally specific ranges the willing one decides.
      if specificity > best.specificity || (specificity == best.specificity && accepted) {
        best = (specificity, accepted)
      }
    }
    return best.accepted || accept.allSatisfy { $0 == " " || $0 == "," }
  }

  /// Whether an `Accept-Encoding` value allows gzip (RFC 9110 §12.5.3).
  static func acceptsGzip(_ value: String) -> Bool {
    var all: Bool?
    for item in value.split(separator: ",") {
      let parts = item.split(separator: ";", omittingEmptySubsequences: false)
      guard let accepted = quality(parts.dropFirst()) else { continue }
      switch parts[0].trimmed.lowercased() {
      case "gzip", "x-gzip": return accepted
      case "*": all = accepted
      default: continue
      }
    }
    return all ?? false
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
      case "", "charset=utf-8", "charset=\"utf-8\"": true
      default: false
      }
    }
  }

  /// True unless a `q` parameter says 0; nil when `q` breaks §12.4.2.
  private static func quality(_ parameters: ArraySlice<Substring>) -> Bool? {
    for parameter in parameters {
      let text = parameter.trimmed.lowercased()
      guard text.hasPrefix("q=") else { continue }
      let value = Array(text.utf8.dropFirst(2))
      guard let first = value.first, first == UInt8(ascii: "0") || first == UInt8(ascii: "1"),
        value.count <= 5, value.count == 1 || value[1] == UInt8(ascii: ".")
      else { return nil }
      let digits = value.dropFirst(2)
      guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
        return nil
      }
      let isFraction = digits.contains { $0 != UInt8(ascii: "0") }
      guard first == UInt8(ascii: "0") || !isFraction else { return nil }
      return first == UInt8(ascii: "1") || isFraction
    }
    return true
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
