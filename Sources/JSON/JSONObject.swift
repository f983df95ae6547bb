import CJansson
import Synchronization

/// A JSON object that is built straight in C, for replies and audit rows: no dictionary, no copy of
/// the names as Swift strings.
///
///     var reply = JSONObject()
///     reply.set("id", project.id.description)
///     reply.set("deleted_at", project.deletedAt)  // nil is null
///     reply.set("settings", settings)             // another JSONObject
///
/// It is a value: a copy, or an object that was stored in another one, never changes when the
/// original does. What is shared is copied (one level) when it is next written.
package struct JSONObject: Equatable, Sendable, JSONConvertible {
  private var storage: JSONStorage

  package init() {
    storage = JSONStorage(.object())
  }

  init(_ node: consuming JSONNode) {
    storage = JSONStorage(node)
  }

  /// Reads a stored object, as strictly as `JSONValue.parse`, so that it can be embedded or compared.
  ///
  /// - Throws: `JSONSyntaxError`; of kind `syntax` at 1:1 when the text is not an object.
  package init(parsing bytes: [UInt8], maximumDepth: Int = 32) throws(JSONSyntaxError) {
    let node = try JSONNode(parsing: bytes, maximumDepth: maximumDepth)
    guard node.pointer.pointee.type == JSON_OBJECT else {
      throw JSONSyntaxError(kind: .syntax, line: 1, column: 1)
    }
    self.init(node)
  }

  /// Sets a member; one that was there already keeps its place. An optional that is nil is `null`.
  package mutating func set(_ name: StaticString, _ value: some JSONConvertible) {
    // Before `makeUnique`: if the value is this very object, it is shared from here on.
    let node = value.json()
    makeUnique()
    let utf8 = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    storage.node.set(utf8, node)
  }

  /// Sets a member whose name is data, such as an identifier.
  package mutating func set(key name: String, _ value: some JSONConvertible) {
    let node = value.json()
    makeUnique()
    storage.node.set(name, node)
  }

  /// Removes a member, if there is one.
  package mutating func remove(_ name: String) {
    guard contains(name) else { return }
    makeUnique()
    var name = name
    let status = name.withUTF8 { utf8 in
      utf8.withMemoryRebound(to: CChar.self) {
        json_object_deln(storage.node.pointer, $0.baseAddress, $0.count)
      }
    }
    precondition(status == 0, "jansson: no such member")
  }

  /// The C node, for as long as this value lives.
  var pointer: UnsafeMutablePointer<json_t> { storage.node.pointer }

  package var isEmpty: Bool { json_object_size(storage.node.pointer) == 0 }

  package func contains(_ name: String) -> Bool { member(name, of: storage.node.pointer) != nil }

  /// The members' names, in the order in which they were first set.
  package var names: [String] {
    var names: [String] = []
    names.reserveCapacity(json_object_size(storage.node.pointer))
    forEachMember(of: storage.node.pointer) { name, _ in
      names.append(String(decoding: name, as: UTF8.self))
    }
    return names
  }

  /// A member that is an object, without copying it; nil when it is absent, or something else.
  package func object(_ name: String) -> JSONObject? {
    guard let node = member(name, of: storage.node.pointer), node.pointee.type == JSON_OBJECT else {
      return nil
    }
    return JSONObject(JSONNode(sharing: node))
  }

  /// The JSON pointer (RFC 6901) of a `null` anywhere in the object; nil when there is none.
  package var pointerToNull: String? { JSON.pointerToNull(in: storage.node.pointer) }

  /// A member as Swift data; nil when absent.
  package subscript(name: String) -> JSONValue? {
    member(name, of: storage.node.pointer).map { JSONValue($0) }
  }

  package func json() -> JSONNode { JSONNode(sharing: storage.node.pointer) }

  /// Whether both have equal members, in whatever order.
  package static func == (left: JSONObject, right: JSONObject) -> Bool {
    json_equal(left.storage.node.pointer, right.storage.node.pointer) == 1
  }

  /// The top-level members that are not equal in both, as they were and as they are: the before and
  /// after of an audit row. A member that one side lacks is left out on that side.
  package func differences(from before: JSONObject) -> (before: JSONObject, after: JSONObject) {
    (before.members(differingFrom: self), members(differingFrom: before))
  }

  private func members(differingFrom other: JSONObject) -> JSONObject {
    let result = JSONNode.object()
    forEachMember(of: storage.node.pointer) { name, value in
      let text = name.baseAddress?.assumingMemoryBound(to: CChar.self)
      let theirs = json_object_getn(other.storage.node.pointer, text, name.count)
      if json_equal(value, theirs) == 0 { result.set(name, JSONNode(sharing: value)) }
    }
    return JSONObject(result)
  }

  private mutating func makeUnique() {
    if !isKnownUniquelyReferenced(&storage) || !storage.node.isUnique {
      storage = JSONStorage(JSONNode(owning: json_copy(storage.node.pointer)))
    }
  }
}

extension JSONObject {
  /// Compact JSON, members in the order in which they were first set: for replies.
  package func bytes() -> [UInt8] { storage.node.bytes(sortingKeys: false) }

  /// The canonical form, over which hashes are made; equal objects have equal bytes.
  ///
  /// - No white space. Members sorted by the bytes of their names in UTF-8, on every level.
  /// - Strings in UTF-8, escaping only `\"`, `\\`, and U+0000 to U+001F: `\b`, `\f`, `\n`, `\r`,
  ///   `\t`, the others as `\u00XX` with upper-case digits. `/`, U+007F and all the rest stand for
  ///   themselves.
  /// - Integers in decimal, without sign for zero. Events hold no other numbers; a real that was
  ///   parsed is written as C's `%.17g`, with `.0` where neither a point nor an exponent shows it.
  package func canonicalBytes() -> [UInt8] { storage.node.bytes(sortingKeys: true) }
}

/// The owner of a C node that several Swift values may share.
///
/// `@unchecked Sendable`: a node is changed only while nobody else refers to it, neither through a
/// storage nor from inside another node, and jansson's reference counts are atomic.
final class JSONStorage: @unchecked Sendable {
  let node: JSONNode

  init(_ node: consuming JSONNode) {
    self.node = node
  }
}

extension JSONNode {
  var isUnique: Bool {
    guard pointer.pointee.refcount == 1 else { return false }
    // Pairs with the release in the decrement by which another thread gave up its reference.
    atomicMemoryFence(ordering: .acquiring)
    return true
  }
}
