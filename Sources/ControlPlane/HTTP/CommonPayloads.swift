import NIOCore

extension TextRules {
  /// What people call a thing: one line, without spaces around it.
  static let name = TextRules(1...100, allowsOuterSpaces: false)
  /// A short name in addresses.
  static let slug = TextRules(3...40)
  /// Why somebody does something.
  static let reason = TextRules(0...500)
}

/// `true` or `false` as a filter that may also be absent.
enum Flag: String, CaseIterable {
  case `true`, `false`

  var isTrue: Bool { self == .true }
}

/// The body of an operation that needs none: nothing, or an empty object.
enum NoPayload {
  /// - Throws: a ``Problem`` of 400 or 422.
  static func check(_ body: ByteBuffer) throws {
    guard body.readableBytes > 0 else { return }
    try PayloadReader(body).finish()
  }
}

extension PayloadReader {
  /// A change to something that cannot be removed: null is an error.
  func replacement<Value>(_ name: String, _ change: Change<Value>) -> Value? {
    switch change {
    case .absent: return nil
    case .value(let value): return value
    case .null:
      refuse(name, "null", "cannot be removed")
      return nil
    }
  }
}

extension Change {
  /// As deciders take it: the outer nil leaves it as it is, the inner nil removes it.
  var removable: Value?? {
    switch self {
    case .absent: .none
    case .null: .some(nil)
    case .value(let value): .some(value)
    }
  }
}
