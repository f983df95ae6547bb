import CJansson

/// A JSON value as Swift data: for validating what a caller sent, where each part is looked at.
///
/// Replies and events are not built from this (see `JSONObject`, `CanonicalJSONEncoder`), which
/// would cost a dictionary per object.
package enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  case integer(Int64)
  case real(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])
}

extension JSONValue {
  /// Reads one JSON text (RFC 8259; any value at the top level), strictly.
  ///
  /// Refused, with line and column: names that occur twice in an object, names that contain U+0000,
  /// bad UTF-8, lone surrogates, anything after the value, a byte order mark, integers outside
  /// `Int64`, reals outside `Double`, and more than `maximumDepth` nested arrays and objects.
  /// `\u0000` in a string value is read as U+0000. A number is `.real` if it is written with a
  /// fraction or an exponent, else `.integer`.
  ///
  /// - Throws: `JSONSyntaxError`, which never repeats the input.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer, maximumDepth: Int = 32
  ) throws(JSONSyntaxError) -> JSONValue {
    let node = try JSONNode(parsing: bytes, maximumDepth: maximumDepth)
    // A pointer does not keep its node alive.
    return withExtendedLifetime(node) { JSONValue(node.pointer) }
  }

  package static func parse(
    _ bytes: [UInt8], maximumDepth: Int = 32
  ) throws(JSONSyntaxError) -> JSONValue {
    let node = try JSONNode(parsing: bytes, maximumDepth: maximumDepth)
    return withExtendedLifetime(node) { JSONValue(node.pointer) }
  }

  /// The canonical form (see `JSONObject.canonicalBytes`) of this value.
  ///
  /// - Precondition: no `.real` is infinite or not a number: JSON has no such values, and `parse`
  ///   never returns one.
  package func canonicalBytes() -> [UInt8] { json().bytes(sortingKeys: true) }
}

extension JSONValue {
  /// A member of an object; nil when absent, or when this is not an object.
  package subscript(key: String) -> JSONValue? { object?[key] }

  package var isNull: Bool { self == .null }

  package var bool: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }

  package var integer: Int64? {
    guard case .integer(let value) = self else { return nil }
    return value
  }

  package var string: String? {
    guard case .string(let value) = self else { return nil }
    return value
  }

  package var array: [JSONValue]? {
    guard case .array(let value) = self else { return nil }
    return value
  }

  package var object: [String: JSONValue]? {
    guard case .object(let value) = self else { return nil }
    return value
  }
}

extension JSONValue {
  /// Copies a tree of C nodes, whose depth the reader has bounded.
  init(_ node: UnsafeMutablePointer<json_t>) {
    switch node.pointee.type {
    case JSON_OBJECT:
      var members = [String: JSONValue](minimumCapacity: json_object_size(node))
      forEachMember(of: node) { name, value in
        members[String(decoding: name, as: UTF8.self)] = JSONValue(value)
      }
      self = .object(members)
    case JSON_ARRAY:
      self = .array(
        (0..<json_array_size(node)).map { index in
          guard let element = json_array_get(node, index) else { fatalError("jansson: index") }
          return JSONValue(element)
        })
    case JSON_STRING: self = .string(text(of: node))
    case JSON_INTEGER: self = .integer(Int64(json_integer_value(node)))
    case JSON_REAL: self = .real(json_real_value(node))
    case JSON_TRUE: self = .bool(true)
    case JSON_FALSE: self = .bool(false)
    default: self = .null
    }
  }
}

extension JSONValue: JSONConvertible {
  package func json() -> JSONNode {
    switch self {
    case .null: return .null
    case .bool(let value): return value.json()
    case .integer(let value): return value.json()
    case .real(let value):
      precondition(value.isFinite, "JSON has no infinity and no NaN")
      return JSONNode(owning: json_real(value))
    case .string(let value): return value.json()
    case .array(let elements): return elements.json()
    case .object(let members):
      let object = JSONNode.object()
      for (name, value) in members { object.set(name, value.json()) }
      return object
    }
  }
}

/// The members of an object in the order in which they were first set, without copying.
func forEachMember(
  of object: UnsafeMutablePointer<json_t>,
  _ body: (UnsafeRawBufferPointer, UnsafeMutablePointer<json_t>) throws -> Void
) rethrows {
  var iterator = json_object_iter(object)
  while let current = iterator, let value = json_object_iter_value(current) {
    let name = UnsafeRawBufferPointer(
      start: json_object_iter_key(current), count: json_object_iter_key_len(current))
    try body(name, value)
    iterator = json_object_iter_next(object, current)
  }
}

/// The text of a string node, U+0000 included.
func text(of string: UnsafeMutablePointer<json_t>) -> String {
  let utf8 = UnsafeRawBufferPointer(
    start: json_string_value(string), count: json_string_length(string))
  return String(decoding: utf8, as: UTF8.self)
}
