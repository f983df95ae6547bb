import JSON
import Testing

struct MergePatchTests {
  /// RFC 7396, appendix A: original, patch, result.
  static let examples = [
    (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
    (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
    (#"{"a":"b"}"#, #"{"a":null}"#, #"{}"#),
    (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
    (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
    (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
    (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
    (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#),
    (#"["a","b"]"#, #"["c","d"]"#, #"["c","d"]"#),
    (#"{"a":"b"}"#, #"["c"]"#, #"["c"]"#),
    (#"{"a":"foo"}"#, #"null"#, #"null"#),
    (#"{"a":"foo"}"#, #""bar""#, #""bar""#),
    (#"{"e":null}"#, #"{"a":1}"#, #"{"a":1,"e":null}"#),
    (#"[1,2]"#, #"{"a":"b","c":null}"#, #"{"a":"b"}"#),
    (#"{}"#, #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
  ]

  @Test(arguments: examples)
  func `the examples of RFC 7396`(original: String, patch: String, result: String) throws {
    let applied = MergePatch.apply(
      try JSONValue.parse(Array(patch.utf8)), to: try JSONValue.parse(Array(original.utf8)))
    #expect(string(applied.canonicalBytes()) == result)
  }

  @Test func `a difference applied to the one document is the other`() throws {
    var random = SeededGenerator(state: 7396)
    for _ in 0..<5_000 {
      let (old, new) = (try random.document(), try random.document())
      let patch = MergePatch.difference(from: old, to: new)
      #expect(MergePatch.apply(patch, to: old) == new)
      #expect(MergePatch.difference(from: new, to: new).isEmpty)
    }
  }

  @Test func `a difference says no more than what suffices`() throws {
    let old = try JSONObject(
      parsing: Array(#"{"a":{"x":1,"y":{"z":[1]}},"b":1,"c":{"d":1},"e":[1,{"f":2}]}"#.utf8))
    let new = try JSONObject(
      parsing: Array(#"{"a":{"x":1,"y":{"z":[2]}},"c":{},"e":[1,{"f":2}],"g":{"h":{}}}"#.utf8))
    let patch = MergePatch.difference(from: old, to: new)
    #expect(
      string(patch.canonicalBytes())
        == #"{"a":{"y":{"z":[2]}},"b":null,"c":{"d":null},"g":{"h":{}}}"#)
  }

  @Test func `every member of a difference is needed`() throws {
    var random = SeededGenerator(state: 42)
    for _ in 0..<1_000 {
      let (old, new) = (try random.document(), try random.document())
      let patch = MergePatch.difference(from: old, to: new)
      for name in patch.names {
        var less = patch
        less.remove(name)
        #expect(MergePatch.apply(less, to: old) != new)
      }
    }
  }

  @Test func `applying agrees with the RFC's algorithm on Swift data`() throws {
    var random = SeededGenerator(state: 5)
    for _ in 0..<5_000 {
      let (target, patch) = (random.value(depth: 4), random.value(depth: 4))
      #expect(MergePatch.apply(patch, to: target) == naive(patch, target))
    }
  }

  @Test func `neither the document nor the patch changes with the result`() throws {
    let document = try JSONObject(parsing: Array(#"{"a":{"b":1},"c":{"d":2}}"#.utf8))
    let patch = try JSONObject(parsing: Array(#"{"a":{"e":{"f":1}}}"#.utf8))
    var result = MergePatch.apply(patch, to: document)
    result = MergePatch.apply(
      try JSONObject(parsing: Array(#"{"a":{"e":{"f":2}},"c":null}"#.utf8)), to: result)
    #expect(string(document.bytes()) == #"{"a":{"b":1},"c":{"d":2}}"#)
    #expect(string(patch.bytes()) == #"{"a":{"e":{"f":1}}}"#)
    #expect(string(result.bytes()) == #"{"a":{"b":1,"e":{"f":2}}}"#)
  }

  @Test func `a null is found wherever it is`() throws {
    func pointer(_ text: String) throws -> String? {
      try JSONObject(parsing: Array(text.utf8)).pointerToNull
    }
    #expect(try pointer(#"{"a":{"b":[1,{"~c/":null}]}}"#) == "/a/b/1/~0c~1")
    #expect(try pointer(#"{"a":null}"#) == "/a")
    #expect(try pointer(#"{"a":[0,"null"]}"#) == nil)
  }

  @Test func `members are removed and looked into`() throws {
    var object = try JSONObject(parsing: Array(#"{"a":1,"b":{"c":2},"d":[]}"#.utf8))
    let copy = object
    object.remove("a")
    object.remove("absent")
    #expect(string(object.bytes()) == #"{"b":{"c":2},"d":[]}"#)
    #expect(copy.contains("a"))
    #expect(copy.names == ["a", "b", "d"])
    #expect(copy.object("b")?["c"] == .integer(2))
    #expect(copy.object("d") == nil)
    #expect(copy.object("e") == nil)
  }

  /// RFC 7396 §2, to the letter.
  private func naive(_ patch: JSONValue, _ target: JSONValue) -> JSONValue {
    guard case .object(let changes) = patch else { return patch }
    var result = target.object ?? [:]
    for (name, value) in changes {
      result[name] = value.isNull ? nil : naive(value, result[name] ?? .null)
    }
    return .object(result)
  }
}

extension SeededGenerator {
  /// An object without `null`, with few names, so that two have some of them in common.
  mutating func document(depth: Int = 4) throws -> JSONObject {
    try JSONObject(parsing: object(depth: depth).canonicalBytes())
  }

  private mutating func object(depth: Int) -> JSONValue {
    var members: [String: JSONValue] = [:]
    for _ in 0..<Int.random(in: 0..<5, using: &self) {
      let name = ["a", "b", "c", "d", "é"][Int.random(in: 0..<5, using: &self)]
      members[name] =
        switch Int.random(in: 0..<(depth > 0 ? 6 : 3), using: &self) {
        case 0: .integer(Int64.random(in: 0..<2, using: &self))
        case 1: .bool(.random(using: &self))
        case 2: .array([.string(name), .integer(Int64.random(in: 0..<2, using: &self))])
        default: object(depth: depth - 1)
        }
    }
    return .object(members)
  }
}
