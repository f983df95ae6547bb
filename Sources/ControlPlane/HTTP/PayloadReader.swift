package import Domain
import Hummingbird
package import JSON
package import NIOCore

/// A member of a merge patch (RFC 7396): not there, there as null, or there with a value.
package enum Change<Value> {
  case absent
  case null
  case value(Value)
}

extension Change: Equatable where Value: Equatable {}
extension Change: Sendable where Value: Sendable {}

extension Change {
  /// What becomes of `current`: kept, removed, replaced.
  package func applied(to current: Value?) -> Value? {
    switch self {
    case .absent: current
    case .null: nil
    case .value(let value): value
    }
  }
}

/// Reads a JSON object member by member and collects everything that is wrong with it, each with
/// its pointer (RFC 6901).
///
/// A method returns nil when the member is absent or wrong; whatever was wrong is thrown by
/// `finish()`, which also refuses members that nobody asked for. So: read all members, `try
/// finish()`, then unwrap with `!`-free `guard let`.
///
/// ```swift
/// let reader = try PayloadReader(context.body)
/// let name = reader.string("name", TextRules(1...80))
/// let limit = reader.optionalInteger("limit", 0...1_000)
/// try reader.finish()
/// ```
package final class PayloadReader {
  private let members: [String: JSONValue]
  private let pointer: String
  private let errors: PayloadErrors
  private var asked: Set<String> = []
  private var children: [PayloadReader] = []

  /// Reads a request's body.
  ///
  /// - Throws: `malformed-json` (400) when it is empty or not JSON, `invalid-request` (422) when it
  /// is not an object.
  package init(_ body: ByteBuffer) throws {
    guard body.readableBytes > 0 else {
      throw Problem(.malformedJSON, "a JSON object is required as body")
    }
    let value = try JSONValue.parse(Array(body.readableBytesView))
    guard case .object(let members) = value else {
      throw Problem.invalid([.init(.pointer(""), "type", "must be an object")])
    }
    self.members = members
    pointer = ""
    errors = PayloadErrors()
  }

  private init(_ members: [String: JSONValue], _ pointer: String, _ errors: PayloadErrors) {
    self.members = members
    self.pointer = pointer
    self.errors = errors
  }

  /// The names that are there, e.g. for objects whose names are data. Asking for them makes them
  /// known.
  package var names: [String] {
    asked.formUnion(members.keys)
    return members.keys.sorted()
  }

  /// Adds an error of the caller's own about a member, e.g. one that depends on another.
  package func refuse(_ name: String, _ code: String, _ detail: String) {
    errors.add(.pointer(pointer(to: name)), code, detail)
  }

  /// Ends the reading of this object and of those inside it.
  ///
  /// - Throws: `invalid-request` with every error.
  package func finish() throws(Problem) {
    refuseUnknown()
    try errors.finish()
  }

  /// Whether a member is there, and not null.
  package func isThere(_ name: String) -> Bool { members[name].map { $0 != .null } ?? false }

  // MARK: Members

  package func string(
    _ name: String, _ rules: TextRules, where isAllowed: (String) -> Bool = { _ in true },
    otherwise explanation: String = "has the wrong form"
  ) -> String? {
    required(name) { self.string($0, name, rules, isAllowed, explanation) }
  }

  package func optionalString(
    _ name: String, _ rules: TextRules, where isAllowed: (String) -> Bool = { _ in true },
    otherwise explanation: String = "has the wrong form"
  ) -> String? {
    optional(name) { self.string($0, name, rules, isAllowed, explanation) }
  }

  package func stringChange(
    _ name: String, _ rules: TextRules, where isAllowed: (String) -> Bool = { _ in true },
    otherwise explanation: String = "has the wrong form"
  ) -> Change<String> {
    change(name) { self.string($0, name, rules, isAllowed, explanation) }
  }

  /// A string that is kept as it was sent, and compared by its bytes.
  func exactText(_ name: String, _ rules: TextRules) -> ExactText? {
    string(name, rules).map { ExactText($0) }
  }

  func optionalExactText(_ name: String, _ rules: TextRules) -> ExactText? {
    optionalString(name, rules).map { ExactText($0) }
  }

  func exactTextChange(_ name: String, _ rules: TextRules) -> Change<ExactText> {
    change(name) { self.string($0, name, rules, { _ in true }, "").map { ExactText($0) } }
  }

  /// One of a closed set of strings: the raw values of `Choice`.
  package func choice<Choice: CaseIterable & RawRepresentable<String>>(
    _ name: String, of type: Choice.Type = Choice.self
  ) -> Choice? {
    required(name) { self.choice($0, name) }
  }

  package func optionalChoice<Choice: CaseIterable & RawRepresentable<String>>(
    _ name: String, of type: Choice.Type = Choice.self
  ) -> Choice? {
    optional(name) { self.choice($0, name) }
  }

  package func choiceChange<Choice: CaseIterable & RawRepresentable<String>>(
    _ name: String, of type: Choice.Type = Choice.self
  ) -> Change<Choice> {
    change(name) { self.choice($0, name) }
  }

  package func bool(_ name: String) -> Bool? { required(name) { self.bool($0, name) } }

  package func optionalBool(_ name: String) -> Bool? { optional(name) { self.bool($0, name) } }

  package func boolChange(_ name: String) -> Change<Bool> { change(name) { self.bool($0, name) } }

  package func integer(_ name: String, _ range: ClosedRange<Int64>) -> Int64? {
    required(name) { self.integer($0, name, range) }
  }

  package func optionalInteger(_ name: String, _ range: ClosedRange<Int64>) -> Int64? {
    optional(name) { self.integer($0, name, range) }
  }

  package func integerChange(_ name: String, _ range: ClosedRange<Int64>) -> Change<Int64> {
    change(name) { self.integer($0, name, range) }
  }

  /// An RFC 3339 time.
  package func time(_ name: String) -> Timestamp? { required(name) { self.time($0, name) } }

  package func optionalTime(_ name: String) -> Timestamp? { optional(name) { self.time($0, name) } }

  package func timeChange(_ name: String) -> Change<Timestamp> {
    change(name) { self.time($0, name) }
  }

  /// A nested object. Its errors and its unknown members are this reader's too: only the outermost
  /// `finish()` is called.
  package func object(_ name: String) -> PayloadReader? {
    required(name) { self.object($0, self.pointer(to: name)) }
  }

  package func optionalObject(_ name: String) -> PayloadReader? {
    optional(name) { self.object($0, self.pointer(to: name)) }
  }

  package func objectChange(_ name: String) -> Change<PayloadReader> {
    change(name) { self.object($0, self.pointer(to: name)) }
  }

  /// An array of objects.
  package func objects(_ name: String, _ count: ClosedRange<Int>) -> [PayloadReader]? {
    required(name) { self.array($0, name, count, self.object) }
  }

  package func optionalObjects(_ name: String, _ count: ClosedRange<Int>) -> [PayloadReader]? {
    optional(name) { self.array($0, name, count, self.object) }
  }

  /// An array of strings.
  package func strings(
    _ name: String, _ count: ClosedRange<Int>, each rules: TextRules,
    where isAllowed: (String) -> Bool = { _ in true },
    otherwise explanation: String = "has the wrong form"
  ) -> [String]? {
    required(name) { value in
      self.array(value, name, count) { self.text($0, $1, rules, isAllowed, explanation) }
    }
  }

  package func optionalStrings(
    _ name: String, _ count: ClosedRange<Int>, each rules: TextRules,
    where isAllowed: (String) -> Bool = { _ in true },
    otherwise explanation: String = "has the wrong form"
  ) -> [String]? {
    optional(name) { value in
      self.array(value, name, count) { self.text($0, $1, rules, isAllowed, explanation) }
    }
  }

  package func stringsChange(
    _ name: String, _ count: ClosedRange<Int>, each rules: TextRules,
    where isAllowed: (String) -> Bool = { _ in true },
    otherwise explanation: String = "has the wrong form"
  ) -> Change<[String]> {
    change(name) { value in
      self.array(value, name, count) { self.text($0, $1, rules, isAllowed, explanation) }
    }
  }

  /// Any JSON whose strings could be stored: none contains U+0000.
  package func anything(_ name: String) -> JSONValue? {
    required(name) { self.withoutNUL($0, self.pointer(to: name)) ? $0 : nil }
  }

  // MARK: Presence

  private func required<Value>(_ name: String, _ read: (JSONValue) -> Value?) -> Value? {
    asked.insert(name)
    guard let value = members[name] else {
      refuse(name, "required", "is required")
      return nil
    }
    return read(value)
  }

  private func optional<Value>(_ name: String, _ read: (JSONValue) -> Value?) -> Value? {
    asked.insert(name)
    guard let value = members[name], value != .null else { return nil }
    return read(value)
  }

  private func change<Value>(_ name: String, _ read: (JSONValue) -> Value?) -> Change<Value> {
    asked.insert(name)
    guard let value = members[name] else { return .absent }
    if value == .null { return .null }
    return read(value).map(Change.value) ?? .absent
  }

  private func refuseUnknown() {
    for name in members.keys.sorted() where !asked.contains(name) {
      refuse(name, "unknown", "is not a member of this object")
    }
    for child in children { child.refuseUnknown() }
  }

  // MARK: Values

  private func string(
    _ value: JSONValue, _ name: String, _ rules: TextRules, _ isAllowed: (String) -> Bool,
    _ explanation: String
  ) -> String? {
    text(value, pointer(to: name), rules, isAllowed, explanation)
  }

  private func text(
    _ value: JSONValue, _ pointer: String, _ rules: TextRules, _ isAllowed: (String) -> Bool,
    _ explanation: String
  ) -> String? {
    guard case .string(let text) = value else { return wrongType(pointer, "a string") }
    switch rules.check(text) {
    case .failure(let failure):
      errors.add(.pointer(pointer), failure.code, failure.detail)
      return nil
    case .success(let text):
      guard isAllowed(text) else {
        errors.add(.pointer(pointer), "format", explanation)
        return nil
      }
      return text
    }
  }

  private func choice<Choice: CaseIterable & RawRepresentable<String>>(
    _ value: JSONValue, _ name: String
  ) -> Choice? {
    if case .string(let text) = value, let choice = Choice(rawValue: text) { return choice }
    let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    refuse(name, "choice", "must be one of: \(choices)")
    return nil
  }

  private func bool(_ value: JSONValue, _ name: String) -> Bool? {
    guard case .bool(let flag) = value else {
      return wrongType(pointer(to: name), "true or false")
    }
    return flag
  }

  private func integer(_ value: JSONValue, _ name: String, _ range: ClosedRange<Int64>) -> Int64? {
    if let number = value.wholeNumber, range.contains(number) { return number }
    refuse(name, "range", "must be an integer from \(range.lowerBound) to \(range.upperBound)")
    return nil
  }

  private func time(_ value: JSONValue, _ name: String) -> Timestamp? {
    if case .string(let text) = value, let time = Timestamp(rfc3339: text) { return time }
    refuse(name, "time", TimeRules.explanation)
    return nil
  }

  private func object(_ value: JSONValue, _ pointer: String) -> PayloadReader? {
    guard case .object(let members) = value else { return wrongType(pointer, "an object") }
    let child = PayloadReader(members, pointer, errors)
    children.append(child)
    return child
  }

  private func array<Element>(
    _ value: JSONValue, _ name: String, _ count: ClosedRange<Int>,
    _ read: (JSONValue, String) -> Element?
  ) -> [Element]? {
    let pointer = pointer(to: name)
    guard case .array(let values) = value else { return wrongType(pointer, "an array") }
    guard count.contains(values.count) else {
      errors.add(
        .pointer(pointer), "count",
        "must have from \(count.lowerBound) to \(count.upperBound) elements")
      return nil
    }
    let elements = values.enumerated().compactMap { read($0.element, "\(pointer)/\($0.offset)") }
    return elements.count == values.count ? elements : nil
  }

  private func withoutNUL(_ value: JSONValue, _ pointer: String) -> Bool {
    switch value {
    case .string(let text):
      guard text.utf8.contains(0) else { return true }
      errors.add(.pointer(pointer), "control-character", "must not contain U+0000")
      return false
    case .array(let values):
      return values.enumerated().map { withoutNUL($0.element, "\(pointer)/\($0.offset)") }
        .allSatisfy { $0 }
    case .object(let members):
      return members.map { withoutNUL($0.value, "\(pointer)/\($0.key.asPointerToken)") }
        .allSatisfy { $0 }
    case .null, .bool, .integer, .real:
      return true
    }
  }

  private func wrongType<Value>(_ pointer: String, _ expected: String) -> Value? {
    errors.add(.pointer(pointer), "type", "must be \(expected)")
    return nil
  }

  private func pointer(to name: String) -> String { "\(pointer)/\(name.asPointerToken)" }
}

extension JSONValue {
  /// An integer, also when it is spelt like 2.0: JSON has only numbers (JSON Schema, 6.1.1).
  fileprivate var wholeNumber: Int64? {
    switch self {
    case .integer(let number): number
    case .real(let number): Int64(exactly: number)
    case .null, .bool, .string, .array, .object: nil
    }
  }
}
