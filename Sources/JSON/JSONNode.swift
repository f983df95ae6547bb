import CJansson

/// One JSON value on its way into an object or array: exactly one owned reference to a C node, so
/// that a node that is never stored is freed, and one that is stored cannot be freed twice.
package struct JSONNode: ~Copyable {
  let pointer: UnsafeMutablePointer<json_t>

  /// Takes over a new reference, which is nil only when memory ran out.
  init(owning new: UnsafeMutablePointer<json_t>?) {
    guard let new else { fatalError("jansson: out of memory") }
    pointer = new
  }

  /// Adds a reference to a node that somebody else owns.
  init(sharing pointer: UnsafeMutablePointer<json_t>) {
    self.pointer = json_incref(pointer)
  }

  deinit { json_decref(pointer) }

  /// Hands the reference over to a C function that "steals" it.
  consuming func release() -> UnsafeMutablePointer<json_t> {
    let pointer = pointer
    discard self
    return pointer
  }

  /// JSON `null`.
  package static var null: JSONNode { JSONNode(owning: json_null()) }
}

/// A type with one obvious JSON value, which `JSONObject.set` and `JSONArray.append` accept.
///
/// Conform by forwarding: `func json() -> JSONNode { description.json() }`.
package protocol JSONConvertible {
  func json() -> JSONNode
}

extension String: JSONConvertible {
  package func json() -> JSONNode {
    var copy = self
    // A Swift string is valid UTF-8 already: jansson need not look again.
    let new = copy.withUTF8 { utf8 in
      utf8.withMemoryRebound(to: CChar.self) { json_stringn_nocheck($0.baseAddress, $0.count) }
    }
    return JSONNode(owning: new)
  }
}

extension Int64: JSONConvertible {
  package func json() -> JSONNode { JSONNode(owning: json_integer(json_int_t(self))) }
}

extension Int: JSONConvertible {
  package func json() -> JSONNode { JSONNode(owning: json_integer(json_int_t(self))) }
}

extension Bool: JSONConvertible {
  package func json() -> JSONNode { JSONNode(owning: self ? json_true() : json_false()) }
}

extension Optional: JSONConvertible where Wrapped: JSONConvertible {
  /// `nil` is JSON `null`; to leave a member out, do not set it.
  package func json() -> JSONNode {
    switch self {
    case .some(let value): value.json()
    case .none: .null
    }
  }
}

extension Array: JSONConvertible where Element: JSONConvertible {
  package func json() -> JSONNode {
    let array = JSONNode(owning: json_array())
    for element in self { array.append(element.json()) }
    return array
  }
}

extension JSONNode {
  /// Appends to a node that is an array.
  func append(_ value: consuming JSONNode) {
    let status = json_array_append_new(pointer, value.release())
    precondition(status == 0, "jansson: out of memory")
  }

  /// Sets a member of a node that is an object. The name must be UTF-8; it is copied.
  func set(_ name: UnsafeRawBufferPointer, _ value: consuming JSONNode) {
    let text = name.baseAddress?.assumingMemoryBound(to: CChar.self)
    let status = json_object_setn_new_nocheck(pointer, text, name.count, value.release())
    precondition(status == 0, "jansson: out of memory")
  }

  func set(_ name: String, _ value: consuming JSONNode) {
    var name = name
    let value = value.release()
    name.withUTF8 { set(UnsafeRawBufferPointer($0), JSONNode(owning: value)) }
  }

  /// An empty object. The first one seeds the hash function from the operating system, before any
  /// hostile name can be stored: otherwise chosen names could all collide.
  static func object() -> JSONNode {
    seedOnce
    return JSONNode(owning: json_object())
  }
}

/// Evaluated once per process, by whoever makes or reads the first object.
let seedOnce: Void = json_object_seed(0)

/// A member of an object, borrowed for as long as the object is unchanged.
func member(
  _ name: String, of object: UnsafeMutablePointer<json_t>
) -> UnsafeMutablePointer<json_t>? {
  var name = name
  return name.withUTF8 { utf8 in
    utf8.withMemoryRebound(to: CChar.self) { json_object_getn(object, $0.baseAddress, $0.count) }
  }
}
