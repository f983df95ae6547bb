package import Domain
import HTTPTypes
package import Hummingbird

/// Reads the query parameters of a request, strictly, and collects everything that is wrong with
/// them, each with its name.
///
/// Like `PayloadReader`: read all, then `try finish()`, which also refuses parameters that nobody
/// asked for.
package final class QueryReader {
  /// An instant of a resource's past: what `as_of` names.
  package enum Moment: Equatable, Sendable {
    case version(Int64)
    case time(Timestamp)
  }

  /// What every JSON reader holds exactly (RFC 8259, section 6): 2^53 - 1.
  package static let largestInteger: Int64 = (1 << 53) - 1

  /// A value as a text and as a time, which differ where it has a `+`.
  private struct Value {
    let text: String
    let time: String
  }

  private var values: [String: Value] = [:]
  private var asked: Set<String> = []
  private let errors = PayloadErrors()

  package convenience init(_ request: Request) {
    let target = request.head.path ?? ""
    let query = target.utf8.firstIndex(of: UInt8(ascii: "?")).map {
      target[target.utf8.index(after: $0)...]
    }
    self.init(query: String(query ?? ""))
  }

  /// - Parameter query: what stands behind the `?`, still percent-encoded.
  package init(query: String) {
    guard !query.isEmpty else { return }
    let query = query.prefix { $0 != "#" }
    for pair in query.split(separator: "&", omittingEmptySubsequences: false) {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = Self.decode(parts[0]), !name.isEmpty else {
        errors.add(.parameter(String(parts[0].prefix(64))), "encoding", "has no well-formed name")
        continue
      }
      guard let value = Self.value(parts.count == 2 ? parts[1] : "") else {
        errors.add(.parameter(name), "encoding", "is not percent-encoded UTF-8")
        asked.insert(name)
        continue
      }
      if values.updateValue(value, forKey: name) != nil {
        errors.add(.parameter(name), "duplicate", "occurs more than once")
      }
    }
  }

  /// The moment that a read of one resource is asked for; it takes no other parameter.
  ///
  /// - Throws: `invalid-request`.
  package static func asOf(_ request: Request) throws(Problem) -> Moment? {
    guard let target = request.head.path, target.utf8.contains(UInt8(ascii: "?")) else {
      return nil
    }
    let query = QueryReader(request)
    let moment = query.asOf()
    try query.finish()
    return moment
  }

  /// - Throws: `invalid-request` with every error.
  package func finish() throws(Problem) {
    for name in values.keys.sorted() where !asked.contains(name) {
      errors.add(.parameter(name), "unknown", "is not a parameter here")
    }
    try errors.finish()
  }

  /// Adds an error of the caller's own about a parameter.
  package func refuse(_ name: String, _ code: String, _ detail: String) {
    errors.add(.parameter(name), code, detail)
  }

  package func string(
    _ name: String, _ rules: TextRules = TextRules(1...1024),
    where isAllowed: (String) -> Bool = { _ in true },
    otherwise explanation: String = "has the wrong form"
  ) -> String? {
    guard let value = value(name) else { return nil }
    switch rules.check(value) {
    case .failure(let failure):
      refuse(name, failure.code, failure.detail)
    case .success(let text):
      if isAllowed(text) { return text }
      refuse(name, "format", explanation)
    }
    return nil
  }

  package func integer(_ name: String, _ range: ClosedRange<Int64>) -> Int64? {
    guard let value = value(name) else { return nil }
    if let number = Self.integer(value), range.contains(number) { return number }
    refuse(name, "range", "must be an integer from \(range.lowerBound) to \(range.upperBound)")
    return nil
  }

  /// `true` or `false`; false when absent.
  package func bool(_ name: String) -> Bool {
    switch value(name) {
    case nil, "false": return false
    case "true": return true
    default:
      refuse(name, "type", "must be true or false")
      return false
    }
  }

  package func choice<Choice: CaseIterable & RawRepresentable<String>>(
    _ name: String, of type: Choice.Type = Choice.self
  ) -> Choice? {
    guard let value = value(name) else { return nil }
    if let choice = Choice(rawValue: value) { return choice }
    let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    refuse(name, "choice", "must be one of: \(choices)")
    return nil
  }

  /// An RFC 3339 time.
  package func time(_ name: String) -> Timestamp? {
    guard let value = values[asked(name)]?.time else { return nil }
    if let time = Timestamp(rfc3339: value) { return time }
    refuse(name, "time", TimeRules.explanation)
    return nil
  }

  // MARK: Parameters that mean the same everywhere

  /// `limit`: how long a page may be. 50 when absent; more than 200 is 200.
  package func limit() -> Int {
    guard let value = value("limit") else { return 50 }
    guard let number = Self.integer(value), number > 0 else {
      refuse("limit", "range", "must be an integer from 1 to 200")
      return 50
    }
    return Int(min(number, 200))
  }

  /// `cursor`: still sealed.
  package func cursor() -> String? { value("cursor") }

  /// `dry_run`.
  package func dryRun() -> Bool { bool("dry_run") }

  /// `as_of`: a version from 1, or a time.
  package func asOf() -> Moment? {
    guard let value = values[asked("as_of")]?.time else { return nil }
    if let version = Self.integer(value), (1...Self.largestInteger).contains(version) {
      return .version(version)
    }
    if let time = Timestamp(rfc3339: value) { return .time(time) }
    refuse("as_of", "format", "must be a version or an RFC 3339 time")
    return nil
  }

  private func value(_ name: String) -> String? { values[asked(name)]?.text }

  private func asked(_ name: String) -> String {
    asked.insert(name)
    return name
  }

  /// Decimal digits, nothing else: no sign but `-`, no space. Larger than any number here counts as
  /// the largest.
  private static func integer(_ text: String) -> Int64? {
    let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
    guard !digits.isEmpty,
      digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
    else { return nil }
    return Int64(text) ?? (digits.count == text.utf8.count ? .max : .min)
  }

  /// Browsers and forms write a space as `+`. In a time it is the sign of an offset, which would have to be written as `%2B`
  /// otherwise.
  private static func value(_ text: Substring) -> Value? {
    guard let time = decode(text) else { return nil }
    guard text.utf8.contains(UInt8(ascii: "+")) else { return Value(text: time, time: time) }
    return decode(text, plus: UInt8(ascii: " ")).map { Value(text: $0, time: time) }
  }

  /// RFC 3986 §2.1; nil for a bad escape or bytes that are not UTF-8.
  private static func decode(_ text: Substring, plus: UInt8 = UInt8(ascii: "+")) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte == UInt8(ascii: "+") ? plus : byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(hex), let low = rest.popFirst().flatMap(hex) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
