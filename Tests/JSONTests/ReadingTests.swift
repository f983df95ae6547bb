import JSON
import Testing

struct ReadingTests {
  @Test(
    arguments: [
      ("", .prematureEnd, 1, 1),
      ("  ", .prematureEnd, 1, 2),
      ("{\"a\":1", .prematureEnd, 1, 6),
      ("[1,\n 2", .prematureEnd, 2, 2),
      ("{\"a\":1,\n\"a\":2}", .duplicateKey, 2, 3),
      ("{\"a\":{\"b\":1,\"\\u0062\":2}}", .duplicateKey, 1, 20),
      ("{} {}", .trailingData, 1, 4),
      ("1\0", .syntax, 1, 2),
      ("true\0", .syntax, 1, 5),
      ("[1\0,2]", .syntax, 1, 3),
      ("[\"a\0b\"]", .syntax, 1, 4),
      ("[\"\\\0\"]", .syntax, 1, 4),
      ("[9223372036854775808]", .number, 1, 20),
      ("[-9223372036854775809]", .number, 1, 21),
      ("[1e400]", .number, 1, 6),
      ("{\"a\\u0000b\":1}", .nulInKey, 1, 11),
      ("[\"\\ud800\"]", .syntax, 1, 9),
      ("[\"\\udc00\"]", .syntax, 1, 9),
      ("[\"\\ud800\\u0041\"]", .syntax, 1, 15),
      ("[01]", .syntax, 1, 2),
      ("[+1]", .syntax, 1, 2),
      ("[1.]", .syntax, 1, 3),
      ("[NaN]", .syntax, 1, 4),
      ("[1,]", .syntax, 1, 4),
      ("['a']", .syntax, 1, 2),
      ("[\"a\tb\"]", .syntax, 1, 3),
      ("[1 /* no */]", .syntax, 1, 4),
      ("\u{FEFF}1", .syntax, 1, 1),
      ("\0", .syntax, 1, 1),
    ] as [(String, JSONSyntaxError.Kind, Int, Int)])
  func `what is not strict JSON is refused, and where`(
    text: String, kind: JSONSyntaxError.Kind, line: Int, column: Int
  ) {
    let error = JSONSyntaxError(kind: kind, line: line, column: column)
    #expect(throws: error) { try JSONValue.parse(Array(text.utf8)) }
  }

  /// Overlong, surrogate, beyond U+10FFFF, truncated, stray continuation.
  @Test(
    arguments: [
      [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
      [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0x80], [0xFF],
    ] as [[UInt8]])
  func `bad UTF-8 is refused`(sequence: [UInt8]) {
    let error = #expect(throws: JSONSyntaxError.self) {
      try JSONValue.parse([UInt8(ascii: "\"")] + sequence + [UInt8(ascii: "\"")])
    }
    #expect(error?.kind == .encoding)
  }

  @Test func `32 levels are read, 33 are refused where the last one opens`() throws {
    let deepest = String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
    _ = try JSONValue.parse(Array(deepest.utf8))
    #expect(throws: JSONSyntaxError(kind: .depth, line: 2, column: 33)) {
      try JSONValue.parse(Array(("\n" + String(repeating: "[", count: 33)).utf8))
    }
    // Columns count characters; brackets in strings count for nothing.
    #expect(throws: JSONSyntaxError(kind: .depth, line: 1, column: 14)) {
      try JSONValue.parse(Array("{\"é[[\\\"[[\": [{}]}".utf8), maximumDepth: 2)
    }
    #expect(throws: JSONSyntaxError(kind: .depth, line: 1, column: 1)) {
      try JSONValue.parse(Array("[]".utf8), maximumDepth: 0)
    }
  }

  @Test func `a million brackets neither crash nor reach the parser`() {
    for bracket in ["[", "{\"a\":", "[{\"\":"] {
      let error = #expect(throws: JSONSyntaxError.self) {
        try JSONValue.parse(Array(String(repeating: bracket, count: 1_000_000).utf8))
      }
      #expect(error?.kind == .depth)
    }
  }

  @Test func `an error repeats nothing of the input`() {
    for text in ["{\"sk-secret\":1,\"sk-secret\":2}", "[sk-secret]", "\"sk-secret"] {
      let error = #expect(throws: JSONSyntaxError.self) { try JSONValue.parse(Array(text.utf8)) }
      #expect(error.map { "\($0)".contains("secret") } == false)
    }
  }

  @Test(
    arguments: [
      (" null\n", .null), ("true", .bool(true)), ("false", .bool(false)), ("-0", .integer(0)),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("1.0", .real(1)), ("1e2", .real(100)), ("5e-324", .real(5e-324)), ("\"\"", .string("")),
      ("\"a\\u0000b\"", .string("a\0b")), ("\"\\ud83d\\ude82\"", .string("🚂")),
      ("\"\\b\\f\\n\\r\\t\\/\\\\\\\"\"", .string("\u{8}\u{C}\n\r\t/\\\"")), ("[]", .array([])),
      ("[1,[\"x\"]]", .array([.integer(1), .array([.string("x")])])), ("{}", .object([:])),
      ("{\"\":null}", .object(["": .null])),
    ] as [(String, JSONValue)])
  func `any value may stand at the top`(text: String, value: JSONValue) throws {
    #expect(try JSONValue.parse(Array(text.utf8)) == value)
  }

  @Test func `members are reached by name, and absence differs from null`() throws {
    let value = try JSONValue.parse(Array(#"{"s":"x","n":null,"b":true,"i":7,"a":[1]}"#.utf8))
    #expect(value["s"]?.string == "x")
    #expect(value["n"]?.isNull == true)
    #expect(value["absent"] == nil)
    #expect(value["b"]?.bool == true)
    #expect(value["i"]?.integer == 7)
    #expect(value["a"]?.array == [.integer(1)])
    #expect(value["s"]?.integer == nil)
    #expect(value["s"]?["x"] == nil)
  }
}
