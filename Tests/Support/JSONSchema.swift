package import JSON

/// The part of JSON Schema 2020-12 that the contract uses. A keyword that it does not know is a violation, so that no
/// rule is passed over in silence.
package struct JSONSchema: Sendable {
  /// The document that `$ref` points into.
  package let document: JSONValue

  package init(document: JSONValue) {
    self.document = document
  }

  /// What is wrong with a value, each with its place; empty when it is valid.
  package func violations(_ value: JSONValue, of schema: JSONValue, at place: String = "")
    -> [String]
  {
    guard let rules = resolved(schema).object else { return ["\(place): the schema is no object"] }
    return rules.sorted { $0.key < $1.key }.flatMap { keyword, rule in
      violations(value, keyword, rule, of: rules, at: place)
    }
  }

  /// What a `$ref` leads to, or the value itself.
  package func resolved(_ value: JSONValue) -> JSONValue {
    guard let reference = value["$ref"]?.string else { return value }
    let steps = reference.split(separator: "/").dropFirst()
    return resolved(steps.reduce(document) { $0[String($1)] ?? .null })
  }

  private func violations(
    _ value: JSONValue, _ keyword: String, _ rule: JSONValue, of rules: [String: JSONValue],
    at place: String
  ) -> [String] {
    func refuse(unless isValid: Bool) -> [String] {
      isValid ? [] : ["\(place): breaks \(keyword) \(rule)"]
    }
    switch keyword {
    case "description", "examples", "example", "format", "default", "title": return []
    case "type":
      let types = rule.array?.compactMap(\.string) ?? rule.string.map { [$0] } ?? []
      return refuse(unless: types.contains { Self.is(value, $0) })
    case "const": return refuse(unless: value == rule)
    case "enum": return refuse(unless: rule.array?.contains(value) == true)
    case "oneOf", "anyOf":
      let results = (rule.array ?? []).map { violations(value, of: $0, at: place) }
      let matches = results.count { $0.isEmpty }
      if matches == 1 || (matches > 1 && keyword == "anyOf") { return [] }
      return ["\(place): matches \(matches) of \(keyword)"] + results.flatMap { $0 }
    case "allOf": return (rule.array ?? []).flatMap { violations(value, of: $0, at: place) }
    case "minimum", "maximum": return refuse(unless: isInRange(value, keyword, rule))
    case "pattern", "minLength", "maxLength":
      guard let text = value.string else { return [] }
      return refuse(unless: Self.text(text, obeys: keyword, rule))
    case "minItems":
      return refuse(unless: value.array.map { $0.count >= rule.integer ?? 0 } ?? true)
    case "maxItems":
      return refuse(unless: value.array.map { $0.count <= rule.integer ?? 0 } ?? true)
    case "uniqueItems":
      let items = value.array ?? []
      let repeated = items.indices.contains { items[..<$0].contains(items[$0]) }
      return refuse(unless: rule != .bool(true) || !repeated)
    case "items":
      return (value.array ?? []).enumerated().flatMap { index, item in
        violations(item, of: rule, at: "\(place)/\(index)")
      }
    case "required":
      guard let members = value.object else { return [] }
      return (rule.array ?? []).compactMap(\.string).filter { members[$0] == nil }
        .map { "\(place): lacks \($0)" }
    case "properties":
      guard let members = value.object else { return [] }
      return members.sorted { $0.key < $1.key }.flatMap { name, member in
        rule[name].map { violations(member, of: $0, at: "\(place)/\(name)") } ?? []
      }
    case "additionalProperties":
      guard rule == .bool(false), let members = value.object else { return [] }
      return members.keys.filter { rules["properties"]?[$0] == nil }.sorted()
        .map { "\(place): has an unknown \($0)" }
    default: return ["\(place): the schema has the unsupported keyword \(keyword)"]
    }
  }

  private func isInRange(_ value: JSONValue, _ keyword: String, _ rule: JSONValue) -> Bool {
    guard let number = value.integer, let bound = rule.integer else { return true }
    return keyword == "minimum" ? number >= bound : number <= bound
  }

  private static func text(_ text: String, obeys keyword: String, _ rule: JSONValue) -> Bool {
    switch keyword {
    case "minLength": return text.unicodeScalars.count >= rule.integer ?? 0
    case "maxLength": return text.unicodeScalars.count <= rule.integer ?? 0
    default:
      guard let pattern = rule.string, let expression = try? Regex(pattern) else { return false }
      return text.firstMatch(of: expression.matchingSemantics(.unicodeScalar)) != nil
    }
  }

  private static func `is`(_ value: JSONValue, _ type: String) -> Bool {
    switch (value, type) {
    case (.null, "null"), (.bool, "boolean"), (.integer, "integer"), (.integer, "number"),
      (.real, "number"), (.string, "string"), (.array, "array"), (.object, "object"):
      true
    default: false
    }
  }
}
