import ConfigurationFeed
import Domain
import JSON

/// What one command changes of the document, as one merge patch (RFC 7396): gateways never see half of it.
struct ConfigurationPatch {
  private var patch = JSONObject()

  /// Nil when it changes nothing.
  var bytes: [UInt8]? { patch.isEmpty ? nil : patch.canonicalBytes() }

  /// Adds what happened to one entity.
  mutating func add(from before: ConfigurationPart?, to after: ConfigurationPart?) {
    guard let path = [after?.path, before?.path].compactMap({ $0 }).first(where: { !$0.isEmpty })
    else { return }
    switch (before?.value, after?.value) {
    case (nil, nil): break
    case (_, nil): patch.set(JSONObject?.none, at: path[...])
    case (nil, let value?): patch.set(value, at: path[...])
    case (let former?, let value?):
      let difference = MergePatch.difference(from: former, to: value)
      if !difference.isEmpty { patch.set(difference, at: path[...]) }
    }
  }

  /// Adds what happened to rules of a project: as one object, because there may be thousands.
  mutating func add(
    _ former: [RuleID: ConfiguredRule?], to rules: Rules, at path: [String]
  ) {
    var changes = JSONObject()
    for (id, before) in former {
      switch (before, rules[id].map(ConfiguredRule.init)) {
      case (nil, nil): break
      case (_, nil): changes.set(key: id.description, JSONValue.null)
      case (nil, let rule?): changes.set(key: id.description, rule.json)
      case (let before?, let rule?):
        let difference = MergePatch.difference(from: before.json, to: rule.json)
        if !difference.isEmpty { changes.set(key: id.description, difference) }
      }
    }
    if !changes.isEmpty { patch.set(changes, at: path[...]) }
  }
}

extension JSONObject {
  /// Sets what stands at the end of a path, beside what stands there already; nil becomes `null`.
  fileprivate mutating func set(_ value: JSONObject?, at path: ArraySlice<String>) {
    guard let name = path.first else { return }
    // Out of its parent, it is changed in place: a member that is shared with its parent would be copied for every change.
    let former = take(name)
    if path.count == 1 {
      guard let value else { return set(key: name, JSONValue.null) }
      guard var merged = former, !merged.isEmpty else { return set(key: name, value) }
      for member in value.names { merged.set(key: member, value[member] ?? .null) }
      return set(key: name, merged)
    }
    var child = former ?? JSONObject()
    child.set(value, at: path.dropFirst())
    set(key: name, child)
  }

  /// Removes a member that is an object, and returns it; nil when there is no such member.
  private mutating func take(_ name: String) -> JSONObject? {
    guard let member = object(name) else { return nil }
    remove(name)
    return member
  }
}
