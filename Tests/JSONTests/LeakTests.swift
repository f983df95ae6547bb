import CJansson
import Glibc
import JSON
import Synchronization
import Testing

/// Every C node is freed, and freed once: counted by jansson's own allocation hooks.
struct LeakTests {
  @Test func `nothing is left, whatever was built, shared, read, refused or dropped`() throws {
    let bytes = Array(#"{"a":[1,{"b":"c"}],"d":null}"#.utf8)
    let refused = Array(#"{"a":[1,{"b":"c"}],"d":nil}"#.utf8)
    try exercise(bytes, refused)  // what is made once per process is made here
    let left = try blocksLeft {
      for _ in 0..<2_000 { try exercise(bytes, refused) }
    }
    #expect(left == 0)
  }

  @Test func `the count sees a leak`() {
    var leaked: UnsafeMutablePointer<json_t>?
    let left = blocksLeft { leaked = json_integer(1) }
    #expect(left == 1)
    json_decref(leaked)
  }

  private func exercise(_ bytes: [UInt8], _ refused: [UInt8]) throws {
    var object = try JSONObject(parsing: bytes)
    let copy = object
    object.set("a", copy)
    object.set("list", ["x", "y"])
    object.set("list", Int?.none)
    var array = JSONArray()
    array.append(object)
    let alias = array
    array.append(alias)
    _ = "never stored".json()
    let difference = object.differences(from: copy)
    #expect(difference.after.bytes() != difference.before.canonicalBytes())
    _ = try JSONValue.parse(object.bytes()).canonicalBytes()
    #expect(throws: JSONSyntaxError.self) { try JSONValue.parse(refused) }
    #expect(throws: JSONSyntaxError.self) { try JSONObject(parsing: Array("[1]".utf8)) }
    let encoder = CanonicalJSONEncoder()
    _ = try StrictJSONDecoder().decode([String: [Int]].self, from: encoder.encode(["a": [1, 2]]))
    _ = try encoder.encodeObject(["a": ["b": 1]])
    #expect(throws: EncodingError.self) { try encoder.encode(["a": [1.5]]) }
    #expect(throws: EncodingError.self) { try encoder.encodeObject([1]) }
    #expect(throws: DecodingError.self) { try StrictJSONDecoder().decode([Int].self, from: bytes) }
  }
}

// Tests run in parallel and the hooks are global: only what the watched thread does is counted.
nonisolated(unsafe) private var watchedThread: pthread_t?
nonisolated(unsafe) private var blocks = 0
private let oneAtATime = Mutex(())

private func blocksLeft(_ body: () throws -> Void) rethrows -> Int {
  try oneAtATime.withLock { _ in
    watchedThread = pthread_self()
    blocks = 0
    defer { watchedThread = nil }
    json_set_alloc_funcs(
      { size in
        if watchedThread == pthread_self() { blocks += 1 }
        return malloc(size)
      },
      { block in
        if block != nil, watchedThread == pthread_self() { blocks -= 1 }
        free(block)
      })
    try body()
    return blocks
  }
}
