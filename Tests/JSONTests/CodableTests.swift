import JSON
import Testing

private enum Change: Codable, Equatable {
  case renamed(to: String)
  case limited(perMinute: Int, scope: Scope?)

  enum Scope: String, Codable { case project, key }

  private enum CodingKeys: String, CodingKey { case type, to, perMinute = "per_minute", scope }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .renamed(let name):
      try container.encode("renamed", forKey: .type)
      try container.encode(name, forKey: .to)
    case .limited(let perMinute, let scope):
      try container.encode("limited", forKey: .type)
      try container.encode(perMinute, forKey: .perMinute)
      try container.encodeIfPresent(scope, forKey: .scope)
    }
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    switch try container.decode(String.self, forKey: .type) {
    case "renamed": self = .renamed(to: try container.decode(String.self, forKey: .to))
    default:
      self = .limited(
        perMinute: try container.decode(Int.self, forKey: .perMinute),
        scope: try container.decodeIfPresent(Scope.self, forKey: .scope))
    }
  }

  init(to name: String) { self = .renamed(to: name) }
}

private struct Identifier: Codable, Hashable, CodingKeyRepresentable {
  let text: String

  init(_ text: String) { self.text = text }

  init(from decoder: any Decoder) throws {
    text = try decoder.singleValueContainer().decode(String.self)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
  }

  var codingKey: any CodingKey { Key(stringValue: text) }

  init?<Key: CodingKey>(codingKey: Key) { text = codingKey.stringValue }

  struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { return nil }
  }
}

private struct Event: Codable, Equatable {
  var identifier = Identifier("prj_1")
  var small: UInt8 = 255
  var large: Int64 = .min
  var isLive = true
  var absent: String?
  var changes: [Change] = [.renamed(to: "\u{0}é\""), .limited(perMinute: 5, scope: .key)]
  var usage: [Identifier: Int32] = [Identifier("b"): 2, Identifier("a"): -1]
  var matrix: [[UInt64?]] = [[1, nil], []]
  var nothing: [String: String] = [:]
}

struct CodableTests {
  let encoder = CanonicalJSONEncoder()
  let decoder = StrictJSONDecoder()

  @Test func `an event is encoded canonically and comes back`() throws {
    let bytes = try encoder.encode(Event())
    #expect(
      string(bytes)
        == #"{"changes":[{"to":"\u0000é\"","type":"renamed"},"#
        + #"{"per_minute":5,"scope":"key","type":"limited"}],"identifier":"prj_1","isLive":true,"#
        + #""large":-9223372036854775808,"matrix":[[1,null],[]],"nothing":{},"small":255,"#
        + #""usage":{"a":-1,"b":2}}"#)
    #expect(try decoder.decode(Event.self, from: bytes) == Event())
    #expect(try decoder.decode(Event.self, from: encoder.encodeObject(Event())) == Event())
    #expect(try encoder.encodeObject(Event()).canonicalBytes() == bytes)
  }

  @Test func `single values and values that encode nothing`() throws {
    struct Nothing: Codable {}
    #expect(string(try encoder.encode("x")) == "\"x\"")
    #expect(string(try encoder.encode(7 as UInt16)) == "7")
    #expect(string(try encoder.encode(false)) == "false")
    #expect(string(try encoder.encode(Int?.none)) == "null")
    #expect(string(try encoder.encode(Nothing())) == "{}")
    #expect(string(try encoder.encode([Nothing()])) == "[{}]")
    #expect(try decoder.decode(Int?.self, from: Array("null".utf8)) == nil)
  }

  @Test func `nested containers, in both directions`() throws {
    let bytes = try encoder.encode(Nested())
    #expect(string(bytes) == #"{"list":[{"deep":1},[true,null,"x"],2],"object":{"deep":3}}"#)
    _ = try decoder.decode(Nested.self, from: bytes)
  }

  @Test func `a floating-point number is refused, and where it is`() {
    struct Price: Encodable { let amounts: [[String: Double]] }
    let error = #expect(throws: EncodingError.self) {
      try encoder.encode(Price(amounts: [[:], ["usd": 1.0]]))
    }
    #expect(path(error) == ["amounts", "Index 1", "usd"])
    #expect(throws: EncodingError.self) { try encoder.encode(1.5) }
    #expect(throws: EncodingError.self) { try encoder.encode(Float(1)) }
  }

  @Test func `an integer beyond Int64 is refused, and where it is`() throws {
    let error = #expect(throws: EncodingError.self) {
      try encoder.encode(["a": [1, UInt64(Int64.max) + 1]])
    }
    #expect(path(error) == ["a", "Index 1"])
    #expect(string(try encoder.encode(UInt64(Int64.max))) == "9223372036854775807")
  }

  @Test func `inheritance and doubled values are refused instead of lost`() {
    struct Subclass: Encodable {
      func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        try "lost".encode(to: container.superEncoder())
      }
    }
    struct Twice: Encodable {
      func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(1)
        try container.encode(2)
      }
    }
    #expect(throws: EncodingError.self) { try encoder.encode(["a": Subclass()]) }
    #expect(throws: EncodingError.self) { try encoder.encode([Twice()]) }
    #expect(throws: EncodingError.self) { try encoder.encodeObject(["not an object"]) }
  }

  @Test(arguments: [
    #"{}"#, #"{"a":null}"#, #"{"a":"1"}"#, #"{"a":true}"#, #"{"a":1.0}"#, #"{"a":128}"#,
    #"{"a":-129}"#, #"{"a":{}}"#, #"[1]"#, #"null"#,
  ])
  func `what does not fit the type is refused`(text: String) {
    struct Small: Decodable { let a: Int8 }
    #expect(throws: DecodingError.self) { try decoder.decode(Small.self, from: Array(text.utf8)) }
  }

  @Test func `a decoding error says where`() {
    let error = #expect(throws: DecodingError.self) {
      try decoder.decode([String: [Int]].self, from: Array(#"{"a":[1,"2"]}"#.utf8))
    }
    guard case .typeMismatch(_, let context) = error else {
      Issue.record("not a mismatch: \(String(describing: error))")
      return
    }
    #expect(context.codingPath.map(\.stringValue) == ["a", "Index 1"])
  }

  @Test func `decoding is as strict as reading`() {
    for text in [#"{"a":1,"a":1}"#, #"{"a":1}x"#, String(repeating: "[", count: 33)] {
      #expect(throws: JSONSyntaxError.self) {
        try decoder.decode([String: Int].self, from: Array(text.utf8))
      }
    }
  }

  private func path(_ error: EncodingError?) -> [String]? {
    guard case .invalidValue(_, let context) = error else { return nil }
    return context.codingPath.map(\.stringValue)
  }
}

/// Written and read by nested containers only.
private struct Nested: Codable {
  private enum Keys: String, CodingKey { case list, object, deep }

  init() {}

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    var list = container.nestedUnkeyedContainer(forKey: .list)
    var first = list.nestedContainer(keyedBy: Keys.self)
    var second = list.nestedUnkeyedContainer()
    try list.encode(2)
    try second.encode(true)
    try second.encodeNil()
    try first.encode(1, forKey: .deep)
    try second.encode("x")
    var object = container.nestedContainer(keyedBy: Keys.self, forKey: .object)
    try object.encode(3, forKey: .deep)
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Keys.self)
    var list = try container.nestedUnkeyedContainer(forKey: .list)
    #expect(list.count == 3)
    let first = try list.nestedContainer(keyedBy: Keys.self)
    #expect(try first.decode(Int.self, forKey: .deep) == 1)
    var second = try list.nestedUnkeyedContainer()
    #expect(try second.decode(Bool.self))
    #expect(try second.decodeNil())
    #expect(try !second.decodeNil())
    #expect(try second.decode(String.self) == "x")
    #expect(second.isAtEnd)
    #expect(throws: DecodingError.self) { try second.decode(String.self) }
    #expect(try list.decode(Int.self) == 2)
    let object = try container.nestedContainer(keyedBy: Keys.self, forKey: .object)
    #expect(try object.decode(Int.self, forKey: .deep) == 3)
    #expect(object.allKeys == [.deep])
  }
}
