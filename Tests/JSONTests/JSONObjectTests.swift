import JSON
import Testing

struct JSONObjectTests {
  @Test func `members are written in the order in which they were first set`() {
    var object = JSONObject()
    object.set("z", "text")
    object.set("a", 1)
    object.set("l", Int64.min)
    object.set("t", true)
    object.set("f", false)
    object.set("n", String?.none)
    object.set("s", String?.some("x"))
    object.set("list", ["a", "b"])
    object.set(key: "dyn\"amic", 2)
    object.set("z", "again")
    #expect(
      string(object.bytes())
        == #"{"z":"again","a":1,"l":-9223372036854775808,"t":true,"f":false,"n":null,"s":"x","#
        + #""list":["a","b"],"dyn\"amic":2}"#)
  }

  @Test func `a copy does not change with the original, nor the original with the copy`() {
    var original = JSONObject()
    original.set("a", 1)
    var copy = original
    copy.set("a", 2)
    original.set("b", 3)
    #expect(string(original.bytes()) == #"{"a":1,"b":3}"#)
    #expect(string(copy.bytes()) == #"{"a":2}"#)
  }

  @Test func `what was stored in another object does not change any more`() {
    // given an object inside an array inside an object
    var inner = JSONObject()
    inner.set("a", 1)
    var array = JSONArray()
    array.append(inner)
    var outer = JSONObject()
    outer.set("array", array)
    // when the parts are changed afterwards
    inner.set("a", 2)
    array.append("late")
    // then the whole is as it was
    #expect(string(outer.bytes()) == #"{"array":[{"a":1}]}"#)
    #expect(string(array.bytes()) == #"[{"a":1},"late"]"#)
    #expect(string(inner.bytes()) == #"{"a":2}"#)
  }

  @Test func `an object stored in itself is stored as it was`() {
    var object = JSONObject()
    object.set("a", 1)
    object.set("self", object)
    object.set(key: "again", object)
    #expect(
      string(object.bytes())
        == #"{"a":1,"self":{"a":1},"again":{"a":1,"self":{"a":1}}}"#)
    var array = JSONArray()
    array.append(1)
    array.append(array)
    #expect(string(array.bytes()) == "[1,[1]]")
  }

  @Test func `equality looks at members, not at their order or at identity`() throws {
    let one = try JSONObject(parsing: Array(#"{"a":[1,{"b":2}],"c":null}"#.utf8))
    let two = try JSONObject(parsing: Array(#"{"c":null,"a":[1,{"b":2}]}"#.utf8))
    let three = try JSONObject(parsing: Array(#"{"c":null,"a":[1,{"b":3}]}"#.utf8))
    let fewer = try JSONObject(parsing: Array(#"{"a":[1,{"b":2}]}"#.utf8))
    #expect(one == two)
    #expect(one.canonicalBytes() == two.canonicalBytes())
    #expect(one != three)
    #expect(one != fewer)
    #expect(fewer != one)
  }

  @Test func `differences are the top-level members that are not equal`() throws {
    let before = try JSONObject(
      parsing: Array(#"{"same":{"x":1},"changed":1,"removed":null,"deep":{"a":1,"b":2}}"#.utf8))
    let after = try JSONObject(
      parsing: Array(#"{"deep":{"a":1,"b":3},"added":true,"changed":"1","same":{"x":1}}"#.utf8))
    let difference = after.differences(from: before)
    #expect(
      string(difference.before.canonicalBytes())
        == #"{"changed":1,"deep":{"a":1,"b":2},"removed":null}"#)
    #expect(
      string(difference.after.canonicalBytes())
        == #"{"added":true,"changed":"1","deep":{"a":1,"b":3}}"#)
    #expect(after.differences(from: after).after.isEmpty)
    #expect(after.differences(from: after).before.isEmpty)
  }

  @Test(arguments: ["[]", "1", "null", "\"{}\""])
  func `only an object is read as an object`(text: String) {
    #expect(throws: JSONSyntaxError(kind: .syntax, line: 1, column: 1)) {
      try JSONObject(parsing: Array(text.utf8))
    }
  }

  @Test func `a member is read back; an absent one is nil`() {
    var object = JSONObject()
    object.set("a", "x\0y")
    #expect(object["a"] == .string("x\0y"))
    #expect(object["b"] == nil)
  }

  @Test func `values that share nodes may be changed on many threads`() async {
    var shared = JSONObject()
    shared.set("inner", JSONObject())
    shared.set("text", "x")
    let original = shared
    await withTaskGroup(of: Bool.self) { group in
      for task in 0..<8 {
        group.addTask {
          (0..<2_000).allSatisfy { turn in
            var mine = original
            mine.set("text", turn)
            mine.set(key: "task", task)
            return mine["text"] == .integer(Int64(turn)) && original["text"] == .string("x")
          }
        }
      }
      for await isRight in group { #expect(isRight) }
    }
    #expect(string(original.bytes()) == #"{"inner":{},"text":"x"}"#)
  }
}
