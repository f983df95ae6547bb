import Testing

@testable import JSON

/// The scanner reads what the parser reads, and nothing else.
@Suite struct JSONScannerTests {
  static let objects = [
    "{}", " { } ", #"{"a":1}"#, #"{"a":"b","c":null,"d":true,"e":[1,{"x":"]}"}],"f":{"g":"\"}"}}"#,
    #"{"a":-0,"b":1.5e3,"c":9223372036854775807,"d":-9223372036854775808,"e":0}"#,
    #"{"\u0061":"\ud83d\ude82","ü":"🚂"}"#, #"{"a":"\\"}"#, "{\"a\"\n:\t1\r,\"b\" : 2 }",
    #"{"a":1000000000000000000}"#, #"{"a":""}"#,
    // Refused.
    "", "{", "}", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{,}"#, #"{"a":1 "b":2}"#, #"{"a":01}"#,
    #"{"a":-}"#, #"{"a":1.}"#, #"{"a":.5}"#, #"{"a":+1}"#, #"{"a":1e}"#, #"{"a":--1}"#,
    #"{"a":nul}"#, #"{"a":nulll}"#, #"{"a":NULL}"#, #"{"a":"b}"#,
    #"{"a":"\"#, #"{"a":"\x"}"#, #"{"a":"\ud800"}"#, "{\"a\":\"\u{1F}\"}", #"{"a":[1}"#,
    #"{"a":[}]}"#, #"{"a":{"b":1,"b":2}}"#, #"{a:1}"#, #"{"a":1}}"#, #"{"a":1}{}"#,
    "{\"a\":1\u{0}}",
    #"{"a":'b'}"#, #"{"a":1/**/}"#, #"{"a":0x10}"#, #"{"a":1_0}"#, #"{"a":12-3}"#,
  ]

  @Test(arguments: objects) func `it reads what the parser reads`(text: String) {
    let parsed = try? JSONValue.parse(Array(text.utf8)).object
    #expect(Self.scanned(Array(text.utf8)) == parsed?.mapValues { Self.flat($0) }, "\(text)")
  }

  @Test(arguments: [
    "9223372036854775808", "-9223372036854775809", "1e999", "-1E+999", "1.5e400",
    "100000000000000000000000000000",
  ])
  func `a number that is too large is a value, which the parser refuses`(number: String) throws {
    let text = Array(#"{"a":\#(number),"b":1}"#.utf8)
    let error = #expect(throws: JSONSyntaxError.self) { try JSONValue.parse(text) }
    #expect(error?.kind == .number)
    #expect(Self.scanned(text) == ["a": .array([]), "b": .integer(1)])
  }

  @Test(arguments: ["1e999.5", "1e999e1", "01e999", "1.e999", "-e999", "1e999-", "--1e999"])
  func `a large number that is written wrongly is refused`(number: String) {
    #expect(Self.scanned(Array(#"{"a":\#(number)}"#.utf8)) == nil)
  }

  @Test func `bytes that are not UTF-8 are refused`() {
    for bad: [UInt8] in [
      [0xC3], [0xFF], [0xED, 0xA0, 0x80], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80],
    ] {
      let bytes = Array(#"{"a":""#.utf8) + bad + Array(#""}"#.utf8)
      #expect(Self.scanned(bytes) == nil)
    }
  }

  @Test func `random bytes are read as the parser reads them`() {
    var random = SystemRandomNumberGenerator()
    let alphabet = Array(#"{}[]":,\ab01-.e "#.utf8) + [0xC3, 0xA4, 0x0A]
    for _ in 0..<20_000 {
      let inner = (0..<Int.random(in: 0..<8, using: &random)).map { _ in
        alphabet.randomElement(using: &random) ?? 0
      }
      let bytes = Array(#"{"k":"#.utf8) + inner + Array("}".utf8)
      let parsed: [String: JSONValue]?
      do throws(JSONSyntaxError) {
        parsed = try JSONValue.parse(bytes).object
      } catch {
        if error.kind == .number { continue }
        parsed = nil
      }
      #expect(
        Self.scanned(bytes) == parsed?.mapValues { Self.flat($0) },
        "\(String(decoding: bytes, as: UTF8.self))")
    }
  }

  @Test func `an error says where`() {
    let bytes = Array("{\"a\":1,\n \"b\":x}".utf8)
    let error = #expect(throws: JSONSyntaxError.self) {
      try bytes.withUnsafeBytes { buffer in
        var scanner = JSONScanner(buffer)
        return try Self.members(&scanner).count
      }
    }
    #expect(error?.line == 2)
    #expect(error?.column == 6)
  }

  /// The members of one object, nil when there is none or more.
  private static func scanned(_ bytes: [UInt8]) -> [String: JSONValue]? {
    bytes.withUnsafeBytes { buffer in
      var scanner = JSONScanner(buffer)
      guard let members = try? members(&scanner), scanner.isAtEnd else { return nil }
      return members
    }
  }

  private static func members(
    _ scanner: inout JSONScanner
  ) throws(JSONSyntaxError) -> [String: JSONValue] {
    try scanner.expect("{")
    var members: [String: JSONValue] = [:]
    var isFirst = true
    while let name = try scanner.nextName(isFirst: isFirst) {
      isFirst = false
      let value = try scanner.value()
      guard case .string(let key) = flat(name) else { throw scanner.failure() }
      // As whoever uses it has to.
      guard members[key] == nil else { throw scanner.failure(.duplicateKey) }
      members[key] = flat(value)
    }
    return members
  }

  private static func flat(_ value: JSONScanner.Value) -> JSONValue {
    switch value {
    case .text(let text): .string(String(decoding: text, as: UTF8.self))
    case .string(let text): .string(text)
    case .integer(let number): .integer(number)
    case .real(let number): .real(number)
    case .null: .null
    case .other: .array([])
    }
  }

  private static func flat(_ value: JSONValue) -> JSONValue {
    switch value {
    case .bool, .array, .object: .array([])
    case .null, .integer, .real, .string: value
    }
  }
}
