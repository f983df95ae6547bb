import CJansson

/// A JSON array that is built straight in C. A value, like `JSONObject`.
package struct JSONArray: Equatable, Sendable, JSONConvertible {
  private var storage: JSONStorage

  package init() {
    storage = JSONStorage(JSONNode(owning: json_array()))
  }

  package mutating func append(_ value: some JSONConvertible) {
    // First: if the value is this very array, it is shared from here on.
    let node = value.json()
    if !isKnownUniquelyReferenced(&storage) || !storage.node.isUnique {
      storage = JSONStorage(JSONNode(owning: json_copy(storage.node.pointer)))
    }
    storage.node.append(node)
  }

  package var count: Int { json_array_size(storage.node.pointer) }

  package func json() -> JSONNode { JSONNode(sharing: storage.node.pointer) }

  package static func == (left: JSONArray, right: JSONArray) -> Bool {
    json_equal(left.storage.node.pointer, right.storage.node.pointer) == 1
  }

  /// Compact JSON, members of objects in the order in which they were first set.
  package func bytes() -> [UInt8] { storage.node.bytes(sortingKeys: false) }

  /// The canonical form: see `JSONObject.canonicalBytes`.
  package func canonicalBytes() -> [UInt8] { storage.node.bytes(sortingKeys: true) }
}
