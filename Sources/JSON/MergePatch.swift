import CJansson

/// JSON Merge Patch (RFC 7396): a change of a document, written as the part of it that changes; `null` removes a member.
///
/// Trees share what did not change: a patch costs what it names, not what the document holds.
package enum MergePatch {
  /// The document with the patch applied (RFC 7396 §2).
  package static func apply(_ patch: JSONObject, to target: JSONObject) -> JSONObject {
    JSONObject(merged(target.pointer, patch.pointer))
  }

  /// The same for any value: a patch that is no object replaces the whole target.
  package static func apply(_ patch: JSONValue, to target: JSONValue) -> JSONValue {
    let patch = patch.json()
    let target = target.json()
    let result = merged(target.pointer, patch.pointer)
    // A pointer does not keep its node alive.
    return withExtendedLifetime(patch) {
      withExtendedLifetime(target) { withExtendedLifetime(result) { JSONValue(result.pointer) } }
    }
  }

  /// The smallest patch that makes one document of another: `apply(difference(from: a, to: b), to: a) == b`. Empty when they
  /// are equal. An array is replaced as a whole.
  ///
  /// - Precondition: `new` holds no `null` as a member's value: a merge patch cannot say that.
  package static func difference(from old: JSONObject, to new: JSONObject) -> JSONObject {
    JSONObject(difference(old.pointer, new.pointer))
  }

  private static func merged(
    _ target: UnsafeMutablePointer<json_t>?, _ patch: UnsafeMutablePointer<json_t>
  ) -> JSONNode {
    guard patch.pointee.type == JSON_OBJECT else { return JSONNode(sharing: patch) }
    let result = objectCopy(target)
    forEachMember(of: patch) { name, value in
      let text = name.baseAddress?.assumingMemoryBound(to: CChar.self)
      if value.pointee.type == JSON_NULL {
        // Fails only when there is no such member, which is what the patch wants.
        json_object_deln(result.pointer, text, name.count)
      } else {
        result.set(name, merged(json_object_getn(result.pointer, text, name.count), value))
      }
    }
    return result
  }

  /// One level of it; an empty object in place of anything else.
  private static func objectCopy(_ node: UnsafeMutablePointer<json_t>?) -> JSONNode {
    guard let node, node.pointee.type == JSON_OBJECT else { return .object() }
    return JSONNode(owning: json_copy(node))
  }

  private static func difference(
    _ old: UnsafeMutablePointer<json_t>, _ new: UnsafeMutablePointer<json_t>
  ) -> JSONNode {
    let patch = JSONNode.object()
    forEachMember(of: old) { name, _ in
      let text = name.baseAddress?.assumingMemoryBound(to: CChar.self)
      if json_object_getn(new, text, name.count) == nil { patch.set(name, .null) }
    }
    forEachMember(of: new) { name, value in
      let text = name.baseAddress?.assumingMemoryBound(to: CChar.self)
      let former = json_object_getn(old, text, name.count)
      if json_equal(former, value) == 1 { return }
      if let former, former.pointee.type == JSON_OBJECT, value.pointee.type == JSON_OBJECT {
        patch.set(name, difference(former, value))
      } else {
        patch.set(name, JSONNode(sharing: value))
      }
    }
    return patch
  }
}

/// The JSON pointer (RFC 6901) of a `null`; nil when there is none.
func pointerToNull(in node: UnsafeMutablePointer<json_t>) -> String? {
  switch node.pointee.type {
  case JSON_NULL: return ""
  case JSON_OBJECT:
    var found: String?
    forEachMember(of: node) { name, value in
      guard found == nil, let rest = pointerToNull(in: value) else { return }
      found = "/\(String(decoding: name, as: UTF8.self).asPointerToken)\(rest)"
    }
    return found
  case JSON_ARRAY:
    for index in 0..<json_array_size(node) {
      guard let element = json_array_get(node, index) else { fatalError("jansson: index") }
      if let rest = pointerToNull(in: element) { return "/\(index)\(rest)" }
    }
    return nil
  default: return nil
  }
}
