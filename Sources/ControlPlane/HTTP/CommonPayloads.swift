import Domain
import Mail
import NIOCore

extension TextRules {
  /// What people call a thing: one line, without spaces around it.
  static let name = TextRules(1...100, allowsOuterSpaces: false, isName: true)
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
  /// An address that mail can be sent to.
  func emailAddress(_ name: String) -> EmailAddress? {
    string(
      name, TextRules(1...254), where: { EmailAddress($0) != nil }, otherwise: EmailAddress.rule
    ).flatMap { EmailAddress($0) }
  }

  /// An id of one kind of thing.
  func id<Entity: Identified>(_ name: String, of type: Entity.Type) -> TypeID<Entity>? {
    string(
      name, TextRules(1...64), where: { TypeID<Entity>($0) != nil },
      otherwise: "must be an id that starts with \(Entity.idPrefix)_"
    ).flatMap { TypeID<Entity>($0) }
  }

  /// A time to come.
  func future(_ name: String, after now: Timestamp, within longest: Int64? = nil) -> Timestamp? {
    time(name).flatMap { check($0, name, now, longest) }
  }

  /// A time to come, or nothing.
  func optionalFuture(_ name: String, after now: Timestamp) -> Timestamp? {
    optionalTime(name).flatMap { check($0, name, now, nil) }
  }

  private func check(
    _ time: Timestamp, _ name: String, _ now: Timestamp, _ longest: Int64?
  ) -> Timestamp? {
    if time <= now {
      refuse(name, "past", "must be in the future")
    } else if let longest, time.microseconds(since: now) > longest {
      refuse(name, "too-late", "must be within \(longest / 86_400_000_000) days")
    } else {
      return time
    }
    return nil
  }

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

extension QueryReader {
  /// An id of one kind of thing.
  func id<Entity: Identified>(
    _ name: String, of type: Entity.Type
  ) -> TypeID<Entity>? {
    string(
      name, TextRules(1...64), where: { TypeID<Entity>($0) != nil },
      otherwise: "must be an id that starts with \(Entity.idPrefix)_"
    ).flatMap { TypeID<Entity>($0) }
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
