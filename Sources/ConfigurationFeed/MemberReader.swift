import Domain
import JSON

/// Reads the members of an object of the document. Members that are not asked for are left to later control planes.
struct MemberReader {
  let members: [String: JSONValue]

  init(_ value: JSONValue) throws(ConfigurationError) {
    guard let members = value.object else { throw .notAnObject("") }
    self.members = members
  }

  func string(_ name: String) throws(ConfigurationError) -> String? {
    try read(name, "a string", \.string)
  }

  /// A number of something.
  func count(_ name: String) throws(ConfigurationError) -> Int64? {
    try read(name, "an integer that is not negative") { $0.integer.flatMap { $0 < 0 ? nil : $0 } }
  }

  func integer(_ name: String) throws(ConfigurationError) -> Int64? {
    try read(name, "an integer", \.integer)
  }

  func time(_ name: String) throws(ConfigurationError) -> Timestamp? {
    try read(name, "an RFC 3339 time") { $0.string.flatMap { Timestamp(rfc3339: $0) } }
  }

  func strings(_ name: String) throws(ConfigurationError) -> [String]? {
    try read(name, "an array of strings") { value in
      guard let array = value.array else { return nil }
      let strings = array.compactMap(\.string)
      return strings.count == array.count ? strings : nil
    }
  }

  func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ name: String, of type: Choice.Type
  ) throws(ConfigurationError) -> Choice? {
    let names = type.allCases.map(\.rawValue).joined(separator: ", ")
    return try read(name, "one of \(names)") { $0.string.flatMap { Choice(rawValue: $0) } }
  }

  func object<Value>(
    _ name: String, _ body: (JSONValue) throws(ConfigurationError) -> Value
  ) throws(ConfigurationError) -> Value? {
    guard let value = members[name] else { return nil }
    return try inside("/\(name)") { () throws(ConfigurationError) in try body(value) }
  }

  /// An object whose members' names are data.
  func dictionary<Key: Hashable, Value>(
    _ name: String, _ key: (String) throws(ConfigurationError) -> Key,
    _ body: (JSONValue) throws(ConfigurationError) -> Value
  ) throws(ConfigurationError) -> [Key: Value] {
    guard let value = members[name] else { return [:] }
    guard let members = value.object else { throw .notAnObject("/\(name)") }
    var result = [Key: Value](minimumCapacity: members.count)
    for (member, value) in members {
      result[try inside("/\(name)") { () throws(ConfigurationError) in try key(member) }] =
        try inside("/\(name)/\(member.asPointerToken)") { () throws(ConfigurationError) in
          try body(value)
        }
    }
    return result
  }

  func required<Value>(
    _ name: String, _ value: Value?
  ) throws(ConfigurationError) -> Value {
    guard let value else { throw .invalid(pointer: "/\(name)", reason: "is required") }
    return value
  }

  private func read<Value>(
    _ name: String, _ expected: @autoclosure () -> String, _ body: (JSONValue) -> Value?
  ) throws(ConfigurationError) -> Value? {
    guard let value = members[name] else { return nil }
    guard let value = body(value) else {
      throw .invalid(pointer: "/\(name)", reason: "must be \(expected())")
    }
    return value
  }
}
