import CJansson
import Testing

@testable import JSON

struct WritingTests {
  @Test func `the canonical form`() throws {
    let text = #"""
      { "b" : [1, -2, 0, true, null, {}, []], "é":"ü/", "a":{"z":"","y":"\u0000\u001f\b\f\n\r\t\"\\\u007f"},
        "aa": "\u20ac", "": 9223372036854775807, "min": -9223372036854775808 }
      """#
    let canonical =
      #"{"":9223372036854775807,"a":{"y":"\u0000\u001F\b\f\n\r\t\"\\"# + "\u{7F}"
      + #"","z":""},"aa":"€","b":[1,-2,0,true,null,{},[]],"min":-9223372036854775808,"é":"ü/"}"#
    #expect(string(try JSONObject(parsing: Array(text.utf8)).canonicalBytes()) == canonical)
    #expect(string(try JSONValue.parse(Array(text.utf8)).canonicalBytes()) == canonical)
  }

  @Test func `names are sorted by their bytes, not as strings or UTF-16`() {
    var object = JSONObject()
    for name in ["\u{10000}", "\u{FFFF}", "z", "aa", "a", "B", "e\u{301}", "é"] {
      object.set(key: name, 1)
    }
    #expect(
      string(object.canonicalBytes())
        == "{\"B\":1,\"a\":1,\"aa\":1,\"e\u{301}\":1,\"z\":1,\"é\":1,\"\u{FFFF}\":1,\"\u{10000}\":1}"
    )
  }

  @Test func `every character is written as jansson writes it`() {
    for scalar in (0...0x10FFFF).lazy.filter({ $0 < 0x400 || $0 % 97 == 0 })
      .compactMap({ Unicode.Scalar(UInt32($0)) })
    {
      let node = JSONValue.array([.string(String(Character(scalar)))]).json()
      #expect(node.bytes(sortingKeys: false) == janssonBytes(node, sortingKeys: false))
    }
  }

  @Test func `random values are written as jansson writes them`() {
    var random = SeededGenerator(state: 1)
    for _ in 0..<5_000 {
      let node = random.value(depth: 5).json()
      #expect(node.bytes(sortingKeys: true) == janssonBytes(node, sortingKeys: true))
      #expect(node.bytes(sortingKeys: false) == janssonBytes(node, sortingKeys: false))
    }
  }

  @Test func `a text of a megabyte that must all be escaped is written whole`() throws {
    let text = String(repeating: "\u{1}", count: 1 << 20)
    let bytes = JSONValue.string(text).canonicalBytes()
    #expect(bytes.count == (6 << 20) + 2)
    #expect(try JSONValue.parse(bytes) == .string(text))
  }

  private func janssonBytes(_ node: borrowing JSONNode, sortingKeys: Bool) -> [UInt8] {
    let flags = Int(JSON_COMPACT | JSON_ENCODE_ANY | (sortingKeys ? JSON_SORT_KEYS : 0))
    let size = json_dumpb(node.pointer, nil, 0, flags)
    var bytes = [CChar](repeating: 0, count: size)
    #expect(json_dumpb(node.pointer, &bytes, size, flags) == size)
    return bytes.map { UInt8(bitPattern: $0) }
  }
}
