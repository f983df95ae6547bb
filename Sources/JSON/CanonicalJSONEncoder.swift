import CJansson

/// Encodes values into the canonical form (see `JSONObject.canonicalBytes`): for events, and for
/// whatever else is hashed.
///
/// Names are those of the coding keys. `encodeIfPresent` leaves nil out; `encodeNil` writes `null`.
///
/// - Throws: `EncodingError.invalidValue`, with its coding path, for a floating-point number, for
///   an integer outside `Int64`, and for `superEncoder` (class inheritance), which is not supported.
package struct CanonicalJSONEncoder: Sendable {
  package init() {}

  package func encode(_ value: some Encodable) throws -> [UInt8] {
    try NodeEncoder.node(for: value, at: [], leavingOut: nil).bytes(sortingKeys: true)
  }

  /// The value as an object that can be compared with, or embedded in, another one.
  ///
  /// - Throws: as `encode` does, and `EncodingError.invalidValue` when it is not an object.
  package func encodeObject(_ value: some Encodable) throws -> JSONObject {
    try encodeObject(value, leavingOut: nil)
  }

  /// The value as an object without those of its members whose type must not be shown, however deep they are.
  ///
  /// - Parameter isLeftOut: whether a member is to be left out; strings, integers and booleans are never asked about.
  /// - Returns: the object, and a JSON Pointer (RFC 6901) to each member that is missing, in the order of encoding.
  /// - Throws: as `encodeObject` does.
  package func encodeObject(
    _ value: some Encodable, leavingOut isLeftOut: @escaping (any Encodable) -> Bool
  ) throws -> (object: JSONObject, missing: [String]) {
    let omission = Omission(isLeftOut)
    return (try encodeObject(value, leavingOut: omission), omission.pointers)
  }

  private func encodeObject(
    _ value: some Encodable, leavingOut omission: Omission?
  ) throws -> JSONObject {
    let node = try NodeEncoder.node(for: value, at: [], leavingOut: omission)
    guard node.pointer.pointee.type == JSON_OBJECT else {
      throw EncodingError.invalidValue(
        value, .init(codingPath: [], debugDescription: "The value is not encoded as an object."))
    }
    return JSONObject(node)
  }
}

/// What an encoding leaves out, and what it has left out so far.
private final class Omission {
  private let isLeftOut: (any Encodable) -> Bool
  private(set) var pointers: [String] = []

  init(_ isLeftOut: @escaping (any Encodable) -> Bool) {
    self.isLeftOut = isLeftOut
  }

  func leavesOut(_ value: some Encodable, at path: [any CodingKey]) -> Bool {
    guard isLeftOut(value) else { return false }
    pointers.append(
      path.map { key in
        let text = key.intValue.map { "\($0)" } ?? key.stringValue
        return "/" + text.replacing("~", with: "~0").replacing("/", with: "~1")
      }.joined())
    return true
  }
}

/// Encodes one value. What it encoded to is known when the value's `encode(to:)` has returned.
private final class NodeEncoder: Encoder {
  let codingPath: [any CodingKey]
  let userInfo: [CodingUserInfoKey: Any] = [:]
  /// Nil to encode everything.
  let omission: Omission?
  private var storage: JSONStorage?
  /// The first call of a container method that cannot throw but was wrong: thrown at the end.
  var misuse: EncodingError?

  init(codingPath: [any CodingKey], leavingOut omission: Omission?) {
    self.codingPath = codingPath
    self.omission = omission
  }

  static func node(
    for value: some Encodable, at path: [any CodingKey], leavingOut omission: Omission?
  ) throws -> JSONNode {
    let encoder = NodeEncoder(codingPath: path, leavingOut: omission)
    try value.encode(to: encoder)
    if let misuse = encoder.misuse { throw misuse }
    // A value that encoded nothing is an object without members.
    guard let storage = encoder.storage else { return .object() }
    return JSONNode(sharing: storage.node.pointer)
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    KeyedEncodingContainer(
      KeyedContainer(encoder: self, object: open(JSON_OBJECT), codingPath: codingPath))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    UnkeyedContainer(encoder: self, array: open(JSON_ARRAY), codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { SingleContainer(encoder: self) }

  func store(_ node: consuming JSONNode) {
    if storage != nil { refuse("More than one value was encoded.", at: codingPath) }
    storage = JSONStorage(node)
  }

  /// Asking twice for the same kind of container continues the first one, as `Encodable` demands.
  private func open(_ type: json_type) -> JSONStorage {
    if let storage, storage.node.pointer.pointee.type == type { return storage }
    if storage != nil { refuse("Two kinds of container were asked for.", at: codingPath) }
    let new = JSONStorage(type == JSON_OBJECT ? .object() : JSONNode(owning: json_array()))
    storage = new
    return new
  }

  func refuse(_ reason: String, at path: [any CodingKey]) {
    if misuse == nil {
      misuse = .invalidValue((), .init(codingPath: path, debugDescription: reason))
    }
  }
}

// In each container the three methods `encode` stand for the protocol's fifteen: the compiler
// takes the most specific one that fits.

private struct KeyedContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let encoder: NodeEncoder
  let object: JSONStorage
  let codingPath: [any CodingKey]

  func encodeNil(forKey key: Key) { object.node.set(key.stringValue, .null) }

  func encode(_ value: Bool, forKey key: Key) { object.node.set(key.stringValue, value.json()) }

  func encode(_ value: String, forKey key: Key) { object.node.set(key.stringValue, value.json()) }

  func encode<Value: FixedWidthInteger & Encodable>(_ value: Value, forKey key: Key) throws {
    guard let integer = Int64(exactly: value) else { throw outOfRange(value, codingPath + [key]) }
    object.node.set(key.stringValue, integer.json())
  }

  func encode<Value: BinaryFloatingPoint & Encodable>(_ value: Value, forKey key: Key) throws {
    throw floatingPoint(value, codingPath + [key])
  }

  func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
    let path = codingPath + [key]
    if encoder.omission?.leavesOut(value, at: path) == true { return }
    object.node.set(
      key.stringValue, try NodeEncoder.node(for: value, at: path, leavingOut: encoder.omission))
  }

  func nestedContainer<NestedKey: CodingKey>(
    keyedBy keyType: NestedKey.Type, forKey key: Key
  ) -> KeyedEncodingContainer<NestedKey> {
    let nested = JSONStorage(.object())
    object.node.set(key.stringValue, JSONNode(sharing: nested.node.pointer))
    return KeyedEncodingContainer(
      KeyedContainer<NestedKey>(encoder: encoder, object: nested, codingPath: codingPath + [key]))
  }

  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    let nested = JSONStorage(JSONNode(owning: json_array()))
    object.node.set(key.stringValue, JSONNode(sharing: nested.node.pointer))
    return UnkeyedContainer(encoder: encoder, array: nested, codingPath: codingPath + [key])
  }

  func superEncoder() -> any Encoder { refuseSuper(encoder, at: codingPath) }

  func superEncoder(forKey key: Key) -> any Encoder { refuseSuper(encoder, at: codingPath + [key]) }
}

private struct UnkeyedContainer: UnkeyedEncodingContainer {
  let encoder: NodeEncoder
  let array: JSONStorage
  let codingPath: [any CodingKey]

  var count: Int { json_array_size(array.node.pointer) }

  private var elementPath: [any CodingKey] { codingPath + [IndexKey(intValue: count)] }

  func encodeNil() { array.node.append(.null) }

  func encode(_ value: Bool) { array.node.append(value.json()) }

  func encode(_ value: String) { array.node.append(value.json()) }

  func encode<Value: FixedWidthInteger & Encodable>(_ value: Value) throws {
    guard let integer = Int64(exactly: value) else { throw outOfRange(value, elementPath) }
    array.node.append(integer.json())
  }

  func encode<Value: BinaryFloatingPoint & Encodable>(_ value: Value) throws {
    throw floatingPoint(value, elementPath)
  }

  func encode<Value: Encodable>(_ value: Value) throws {
    let path = elementPath
    // An element keeps its place, so that the pointers to those behind it stay right.
    if encoder.omission?.leavesOut(value, at: path) == true { return array.node.append(.null) }
    array.node.append(try NodeEncoder.node(for: value, at: path, leavingOut: encoder.omission))
  }

  func nestedContainer<NestedKey: CodingKey>(
    keyedBy keyType: NestedKey.Type
  ) -> KeyedEncodingContainer<NestedKey> {
    let path = elementPath
    let nested = JSONStorage(.object())
    array.node.append(JSONNode(sharing: nested.node.pointer))
    return KeyedEncodingContainer(
      KeyedContainer<NestedKey>(encoder: encoder, object: nested, codingPath: path))
  }

  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
    let path = elementPath
    let nested = JSONStorage(JSONNode(owning: json_array()))
    array.node.append(JSONNode(sharing: nested.node.pointer))
    return UnkeyedContainer(encoder: encoder, array: nested, codingPath: path)
  }

  func superEncoder() -> any Encoder { refuseSuper(encoder, at: codingPath) }
}

private struct SingleContainer: SingleValueEncodingContainer {
  let encoder: NodeEncoder

  var codingPath: [any CodingKey] { encoder.codingPath }

  func encodeNil() { encoder.store(.null) }

  func encode(_ value: Bool) { encoder.store(value.json()) }

  func encode(_ value: String) { encoder.store(value.json()) }

  func encode<Value: FixedWidthInteger & Encodable>(_ value: Value) throws {
    guard let integer = Int64(exactly: value) else { throw outOfRange(value, codingPath) }
    encoder.store(integer.json())
  }

  func encode<Value: BinaryFloatingPoint & Encodable>(_ value: Value) throws {
    throw floatingPoint(value, codingPath)
  }

  func encode<Value: Encodable>(_ value: Value) throws {
    encoder.store(
      try NodeEncoder.node(for: value, at: codingPath, leavingOut: encoder.omission))
  }
}

/// The place of an array's element in a coding path.
struct IndexKey: CodingKey {
  let index: Int

  init(intValue: Int) { index = intValue }

  init?(stringValue: String) { return nil }

  var intValue: Int? { index }

  var stringValue: String { "Index \(index)" }
}

private func outOfRange(_ value: Any, _ path: [any CodingKey]) -> EncodingError {
  .invalidValue(value, .init(codingPath: path, debugDescription: "The integer exceeds Int64."))
}

private func floatingPoint(_ value: Any, _ path: [any CodingKey]) -> EncodingError {
  .invalidValue(
    value,
    .init(
      codingPath: path,
      debugDescription: "Canonical JSON has no floating-point numbers: use a scaled integer."))
}

/// The protocol gives no way to throw here, so the whole encoding fails at its end instead.
private func refuseSuper(_ encoder: NodeEncoder, at path: [any CodingKey]) -> any Encoder {
  encoder.refuse("superEncoder is not supported.", at: path)
  return NodeEncoder(codingPath: path, leavingOut: encoder.omission)
}
