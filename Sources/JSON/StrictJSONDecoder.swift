import CJansson

/// Decodes values from JSON that is read as strictly as `JSONValue.parse` does.
///
/// - Throws: `JSONSyntaxError` when the text is not JSON, `DecodingError`, with its coding path,
///   when it is not the value's. Members that the value does not ask for are not looked at.
package struct StrictJSONDecoder: Sendable {
  package let maximumDepth: Int

  package init(maximumDepth: Int = 32) {
    self.maximumDepth = maximumDepth
  }

  package func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: [UInt8]
  ) throws -> Value {
    try decode(type, from: JSONNode(parsing: bytes, maximumDepth: maximumDepth))
  }

  package func decode<Value: Decodable>(
    _ type: Value.Type, from object: JSONObject
  ) throws -> Value {
    try decode(type, from: object.json())
  }

  private func decode<Value: Decodable>(
    _ type: Value.Type, from node: consuming JSONNode
  ) throws -> Value {
    let root = JSONStorage(node)
    return try Value(from: NodeDecoder(root: root, node: root.node.pointer, codingPath: []))
  }
}

/// One node of a tree that nobody changes, and the root that keeps it alive.
private struct NodeDecoder: Decoder {
  let root: JSONStorage
  let node: UnsafeMutablePointer<json_t>
  let codingPath: [any CodingKey]

  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard node.pointee.type == JSON_OBJECT else { throw mismatch([String: Any].self, "an object") }
    return KeyedDecodingContainer(KeyedContainer(object: self))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard node.pointee.type == JSON_ARRAY else { throw mismatch([Any].self, "an array") }
    return UnkeyedContainer(array: self)
  }

  func singleValueContainer() -> any SingleValueDecodingContainer { SingleContainer(value: self) }

  var isNull: Bool { node.pointee.type == JSON_NULL }

  func bool() throws -> Bool {
    switch node.pointee.type {
    case JSON_TRUE: return true
    case JSON_FALSE: return false
    default: throw mismatch(Bool.self, "a boolean")
    }
  }

  func string() throws -> String {
    guard node.pointee.type == JSON_STRING else { throw mismatch(String.self, "a string") }
    return text(of: node)
  }

  func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
    guard node.pointee.type == JSON_INTEGER else { throw mismatch(type, "an integer") }
    guard let value = Value(exactly: json_integer_value(node)) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: codingPath, debugDescription: "The integer does not fit \(type)."))
    }
    return value
  }

  func real<Value: BinaryFloatingPoint>(_ type: Value.Type) throws -> Value {
    guard node.pointee.type == JSON_REAL || node.pointee.type == JSON_INTEGER else {
      throw mismatch(type, "a number")
    }
    return Value(json_number_value(node))
  }

  private func mismatch(_ type: Any.Type, _ expected: String) -> DecodingError {
    let context = DecodingError.Context(
      codingPath: codingPath, debugDescription: "Expected \(expected).")
    return isNull ? .valueNotFound(type, context) : .typeMismatch(type, context)
  }

  func refuseSuper() -> DecodingError {
    .dataCorrupted(
      .init(codingPath: codingPath, debugDescription: "superDecoder is not supported."))
  }
}

// In each container the generic methods `decode` stand for the protocol's fifteen: the compiler
// takes the most specific one that fits.

private struct KeyedContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let object: NodeDecoder

  var codingPath: [any CodingKey] { object.codingPath }

  var allKeys: [Key] {
    var keys: [Key] = []
    forEachMember(of: object.node) { name, _ in
      if let key = Key(stringValue: String(decoding: name, as: UTF8.self)) { keys.append(key) }
    }
    return keys
  }

  func contains(_ key: Key) -> Bool { member(key.stringValue, of: object.node) != nil }

  func decodeNil(forKey key: Key) throws -> Bool { try value(key).isNull }

  func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try value(key).bool() }

  func decode(_ type: String.Type, forKey key: Key) throws -> String { try value(key).string() }

  func decode<Value: FixedWidthInteger & Decodable>(
    _ type: Value.Type, forKey key: Key
  ) throws -> Value { try value(key).integer(type) }

  func decode<Value: BinaryFloatingPoint & Decodable>(
    _ type: Value.Type, forKey key: Key
  ) throws -> Value { try value(key).real(type) }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try Value(from: value(key))
  }

  func nestedContainer<NestedKey: CodingKey>(
    keyedBy type: NestedKey.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<NestedKey> { try value(key).container(keyedBy: type) }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try value(key).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder { throw object.refuseSuper() }

  func superDecoder(forKey key: Key) throws -> any Decoder { throw object.refuseSuper() }

  private func value(_ key: Key) throws -> NodeDecoder {
    guard let node = member(key.stringValue, of: object.node) else {
      throw DecodingError.keyNotFound(
        key,
        .init(codingPath: codingPath, debugDescription: "\"\(key.stringValue)\" is missing."))
    }
    return NodeDecoder(root: object.root, node: node, codingPath: codingPath + [key])
  }
}

private struct UnkeyedContainer: UnkeyedDecodingContainer {
  let array: NodeDecoder
  private(set) var currentIndex = 0

  init(array: NodeDecoder) {
    self.array = array
  }

  var codingPath: [any CodingKey] { array.codingPath }

  var count: Int? { json_array_size(array.node) }

  var isAtEnd: Bool { currentIndex == json_array_size(array.node) }

  mutating func decodeNil() throws -> Bool {
    let isNull = try peek(Never.self).isNull
    if isNull { currentIndex += 1 }  // the protocol: a value that is not null stays the next one
    return isNull
  }

  mutating func decode(_ type: Bool.Type) throws -> Bool { try next(type) { try $0.bool() } }

  mutating func decode(_ type: String.Type) throws -> String { try next(type) { try $0.string() } }

  mutating func decode<Value: FixedWidthInteger & Decodable>(_ type: Value.Type) throws -> Value {
    try next(type) { try $0.integer(type) }
  }

  mutating func decode<Value: BinaryFloatingPoint & Decodable>(_ type: Value.Type) throws -> Value {
    try next(type) { try $0.real(type) }
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try next(type) { try Value(from: $0) }
  }

  mutating func nestedContainer<NestedKey: CodingKey>(
    keyedBy type: NestedKey.Type
  ) throws -> KeyedDecodingContainer<NestedKey> {
    try next([String: Any].self) { try $0.container(keyedBy: type) }
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try next([Any].self) { try $0.unkeyedContainer() }
  }

  func superDecoder() throws -> any Decoder { throw array.refuseSuper() }

  private mutating func next<Value>(
    _ type: Any.Type, _ decode: (NodeDecoder) throws -> Value
  ) throws -> Value {
    let value = try decode(peek(type))
    currentIndex += 1
    return value
  }

  private func peek(_ type: Any.Type) throws -> NodeDecoder {
    let path = codingPath + [IndexKey(intValue: currentIndex)]
    guard let node = json_array_get(array.node, currentIndex) else {
      throw DecodingError.valueNotFound(
        type, .init(codingPath: path, debugDescription: "The array has ended."))
    }
    return NodeDecoder(root: array.root, node: node, codingPath: path)
  }
}

private struct SingleContainer: SingleValueDecodingContainer {
  let value: NodeDecoder

  var codingPath: [any CodingKey] { value.codingPath }

  func decodeNil() -> Bool { value.isNull }

  func decode(_ type: Bool.Type) throws -> Bool { try value.bool() }

  func decode(_ type: String.Type) throws -> String { try value.string() }

  func decode<Value: FixedWidthInteger & Decodable>(_ type: Value.Type) throws -> Value {
    try value.integer(type)
  }

  func decode<Value: BinaryFloatingPoint & Decodable>(_ type: Value.Type) throws -> Value {
    try value.real(type)
  }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try Value(from: value) }
}
