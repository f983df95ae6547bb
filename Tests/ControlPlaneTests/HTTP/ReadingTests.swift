import ControlPlane
import Domain
import HTTPTypes
import JSON
import NIOCore
import Testing

/// What is wrong, as `place: code`, in order.
private func errors(_ body: () throws -> Void) -> [String] {
  do {
    try body()
    return []
  } catch let problem as Problem {
    return problem.errors.map { error in
      switch error.place {
      case .pointer(let place), .parameter(let place), .header(let place), .check(let place):
        "\(place): \(error.code)"
      }
    }
  } catch {
    return ["\(error)"]
  }
}

@Suite("Reading payloads")
struct PayloadReaderTests {
  private enum Color: String, CaseIterable { case red, blue }

  private func reader(_ json: String) throws -> PayloadReader {
    try PayloadReader(ByteBuffer(string: json))
  }

  @Test("everything that is wrong is listed at once, nested places included")
  func everything() throws {
    let found = errors {
      let reader = try reader(
        #"{"s":1,"c":"green","b":"x","i":1.5,"j":11,"t":"now","o":{"x":1},"a":[{"n":true},3],"l":["a",2],"z":null}"#
      )
      _ = reader.string("s", TextRules(1...5))
      _ = reader.choice("c", of: Color.self)
      _ = reader.bool("b")
      _ = reader.integer("i", 0...10)
      _ = reader.integer("j", 0...10)
      _ = reader.time("t")
      _ = reader.object("o")?.string("n", TextRules(1...5))
      for element in reader.objects("a", 1...5) ?? [] { _ = element.string("n", TextRules(1...5)) }
      _ = reader.strings("l", 0...5, each: TextRules(1...5))
      _ = reader.string("missing", TextRules(1...5))
      try reader.finish()
    }
    #expect(
      found == [
        "/s: type", "/c: choice", "/b: type", "/i: range", "/j: range", "/t: time",
        "/o/n: required", "/a/1: type", "/l/1: type", "/missing: required", "/z: unknown",
        "/o/x: unknown", "/a/0/n: unknown",
      ])
  }

  @Test("absent, null and a value are three things in a patch")
  func changes() throws {
    let reader = try reader(#"{"a":null,"b":"x","n":3}"#)
    #expect(reader.stringChange("a", TextRules(1...5)) == .null)
    #expect(reader.stringChange("b", TextRules(1...5)) == .value("x"))
    #expect(reader.stringChange("c", TextRules(1...5)) == .absent)
    #expect(reader.integerChange("n", 0...5) == .value(3))
    try reader.finish()
    #expect(Change<Int>.absent.applied(to: 1) == 1)
    #expect(Change<Int>.null.applied(to: 1) == nil)
    #expect(Change.value(2).applied(to: 1) == 2)
  }

  @Test("NUL and other control characters are refused where they stand")
  func control() throws {
    let found = errors {
      let reader = try reader(#"{"a":"x\u0000","b":"\u001b[0m","c":"l\nm","d":{"e":["\u0000"]}}"#)
      _ = reader.string("a", TextRules(1...9))
      _ = reader.string("b", TextRules(1...9))
      #expect(reader.string("c", TextRules(1...9, allowsLines: true)) == "l\nm")
      _ = reader.anything("d")
      try reader.finish()
    }
    #expect(
      found == ["/a: control-character", "/b: control-character", "/d/e/0: control-character"])
  }

  @Test("length counts code points, as the contract's schemas do")
  func codePoints() throws {
    let reader = try reader("{\"a\":\"\u{E9}\u{E9}\",\"b\":\"e\u{301}e\u{301}\",\"c\":\"🚂🚂\"}")
    #expect(reader.string("a", TextRules(2...2)) == "\u{E9}\u{E9}")
    _ = reader.string("b", TextRules(2...2))
    #expect(reader.string("c", TextRules(2...2)) == "🚂🚂")
    #expect(errors { try reader.finish() } == ["/b: too-long"])
  }

  @Test("spaces at the ends are refused where the rule says so")
  func outerSpaces() throws {
    let reader = try reader(#"{"a":"b c","b":" b","c":"b\u00a0","d":" b "}"#)
    let rules = TextRules(1...9, allowsOuterSpaces: false)
    #expect(reader.string("a", rules) == "b c")
    _ = reader.string("b", rules)
    _ = reader.string("c", rules)
    #expect(reader.string("d", TextRules(1...9)) == " b ")
    #expect(errors { try reader.finish() } == ["/b: outer-space", "/c: outer-space"])
  }

  @Test("the list of errors has an end")
  func bounded() throws {
    let members = (0..<1000).map { "\"m\($0)\":1" }.joined(separator: ",")
    #expect(errors { try reader("{\(members)}").finish() }.count == 100)
  }
}

@Suite("Reading queries")
struct QueryReaderTests {
  @Test("limit: default, coerced, refused")
  func limit() throws {
    for (query, limit) in [
      "": 50, "limit=1": 1, "limit=200": 200, "limit=201": 200,
      "limit=99999999999999999999999": 200, "limit=\(String(repeating: "9", count: 100))": 200,
    ] {
      let reader = QueryReader(query: query)
      #expect(reader.limit() == limit, "\(query)")
      try reader.finish()
    }
    for bad in ["0", "-1", "x", "", "1.5", "+1", "%201", "1e2", "-99999999999999999999"] {
      let reader = QueryReader(query: "limit=\(bad)")
      _ = reader.limit()
      #expect(errors { try reader.finish() } == ["limit: range"], "\(bad)")
    }
  }

  @Test("percent-encoding is strict, duplicates and unknown names are refused")
  func strict() {
    for (query, expected) in [
      "a=%": "a: encoding", "a=%4": "a: encoding", "a=%GG": "a: encoding", "a=%FF": "a: encoding",
      "a=x&a=y": "a: duplicate", "b=1": "b: unknown", "=1": ": encoding", "&a=x": ": encoding",
      "a=%00": "a: control-character",
    ] {
      let reader = QueryReader(query: query)
      _ = reader.string("a")
      #expect(errors { try reader.finish() } == [expected], "\(query)")
    }
    #expect(QueryReader(query: "%61=%C3%A9+b#f").string("a") == "é b")
  }

  @Test("as_of is a version or a time")
  func asOf() throws {
    #expect(QueryReader(query: "as_of=17").asOf() == .version(17))
    #expect(
      QueryReader(query: "as_of=1970-01-01T00:00:01Z").asOf()
        == .time(Timestamp(clamping: 1_000_000)))
    for bad in ["0", "-1", "yesterday", "2026-02-30T00:00:00Z"] {
      let reader = QueryReader(query: "as_of=\(bad)")
      #expect(reader.asOf() == nil)
      #expect(errors { try reader.finish() } == ["as_of: format"])
    }
  }

  @Test("RFC 3339, exactly")
  func time() {
    for (text, microseconds) in [
      "1970-01-01T00:00:00Z": 0, "2026-11-24T11:00:23.123456Z": 1_795_518_023_123_456,
      "2026-11-24T12:00:23.1234569+01:00": 1_795_518_023_123_456,
      "1969-12-31T23:59:59.5Z": -500_000, "2000-02-29T00:00:00-00:00": 951_782_400_000_000,
      "0001-01-01T00:00:00Z": -62_135_596_800_000_000,
      "0000-12-31T23:59:59-00:01": -62_135_596_741_000_000,
      "9999-12-31T23:59:59.999999Z": 253_402_300_799_999_999,
    ] as [String: Int64] {
      #expect(Timestamp(rfc3339: text)?.microseconds == microseconds, "\(text)")
    }
    for bad in [
      "", "2026-11-24", "2026-11-24 11:00:23Z", "2026-11-24t11:00:23z", "2026-11-24T11:00:23",
      "2026-13-01T00:00:00Z", "2025-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
      "2026-11-24T24:00:00Z", "2026-11-24T11:60:00Z", "2026-11-24T11:00:60Z",
      "2026-11-24T11:00:23.Z", "2026-11-24T11:00:23.1234567890Z", "2026-11-24T11:00:23+0100",
      "2026-11-24T11:00:23+24:00", "2026-11-24T11:00:23Z ", "+026-11-24T11:00:23Z",
      "2026-11-24T11:00:23.١Z", "0000-01-01T00:00:00Z", "0000-12-31T23:59:59.999999Z",
      "0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00+00:01", "0001-01-01T00:00:00+00:01",
      "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59-23:59",
    ] {
      #expect(Timestamp(rfc3339: bad) == nil, "\(bad)")
    }
  }
}

@Suite("Reading header fields")
struct HeaderReadingTests {
  @Test("lists of entity tags, quotes and commas included")
  func tags() {
    let a = ETag(value: "a")
    #expect(ETagCondition(["\"a\""]) == .tags([a]))
    #expect(
      ETagCondition(["\"a,b\", W/\"a\" ,\"\""])
        == .tags([ETag(value: "a,b"), ETag(value: "a", isWeak: true), ETag(value: "")]))
    #expect(ETagCondition([", ,\"a\",,", "\"a\""]) == .tags([a, a]))
    #expect(ETagCondition([" * "]) == .any)
    #expect(ETagCondition(["\"W/\\\""]) == .tags([ETag(value: "W/\\")]))
    for bad in [
      "", ",", "a", "\"a", "a\"", "w/\"a\"", "W/a", "W /\"a\"", "*, \"a\"", "\"a\" \"b\"",
      "\"a b\"",
      "\"a\"\"b\"", "**", "\"a\u{7F}\"",
    ] {
      #expect(ETagCondition([bad]) == nil, "\(bad)")
    }
  }

  @Test("If-Match on something that is not there, If-None-Match: * to create")
  func absence() throws {
    let any = try Preconditions([.ifMatch: "*"])
    #expect(throws: Problem(.preconditionFailed)) { try any.requireMatch(nil) }
    let create = try Preconditions([.ifNoneMatch: "*"])
    try create.requireMatch(nil, isRequired: false)
    #expect(throws: Problem(.preconditionFailed)) {
      try create.requireMatch(ETag(version: 1), isRequired: false)
    }
  }

  @Test("Idempotency-Key, quoted or bare")
  func idempotencyKey() throws {
    let long = String(repeating: "k", count: 255)
    for (header, value) in [
      "abc": "abc", "\"abc\"": "abc", "\"a b\"": "a b", #""a\"\\b""#: #"a"\b"#, " x ": "x",
      long: long, "\"\(long)\"": long, "a=b:c/d": "a=b:c/d",
    ] {
      #expect(IdempotencyKey(header)?.value == value, "\(header)")
    }
    for bad in [
      "", "\"\"", "\"", "a b", "a,b", "\"a\", \"b\"", "é", "\"é\"", "a\"", "\"a\\x\"", "\"a\\\"",
      "\"a\"b\"", long + "k", "a;b=1", "\"a\tb\"",
    ] {
      #expect(IdempotencyKey(bad) == nil, "\(bad)")
    }
    #expect(try IdempotencyKey.read([:]) == nil)
    var twice: HTTPFields = [.idempotencyKey: "a"]
    twice.append(HTTPField(name: .idempotencyKey, value: "b"))
    #expect(throws: Problem.self) { try IdempotencyKey.read(twice) }
  }

  @Test("traceparent, level 1")
  func trace() {
    let id = "0af7651916cd43dd8448eb211c80319c"
    let span = "b7ad6b7169203331"
    #expect(TraceContext("00-\(id)-\(span)-01")?.traceID == id)
    #expect(TraceContext("00-\(id)-\(span)-01")?.isSampled == true)
    #expect(TraceContext("00-\(id)-\(span)-02")?.isSampled == false)
    #expect(TraceContext("cc-\(id)-\(span)-01-what")?.parentID == span)
    let zero = String(repeating: "0", count: 32)
    for bad in [
      "", "00-\(id)-\(span)", "00-\(id)-\(span)-01-x", "ff-\(id)-\(span)-01",
      "00-\(zero)-\(span)-01", "00-\(id)-0000000000000000-01", "00-\(id.uppercased())-\(span)-01",
      "00_\(id)-\(span)-01", "cc-\(id)-\(span)-01x",
    ] {
      #expect(TraceContext(bad) == nil, "\(bad)")
    }
  }
}

@Suite("Sealed cursors")
struct CursorSealerTests {
  private let sealer = CursorSealer(key: Array(0..<32))

  @Test("a cursor opens in its scope, and nowhere else")
  func scope() throws {
    let cursor = sealer.seal([1, 2, 3], scope: "org_1/projects")
    #expect(try sealer.open(cursor, scope: "org_1/projects") == [1, 2, 3])
    #expect(try sealer.open(sealer.seal([], scope: ""), scope: "") == [])
    for other in ["org_2/projects", "org_1/project", "org_1/projects\u{1}", ""] {
      #expect(errors { _ = try sealer.open(cursor, scope: other) } == ["cursor: invalid"])
    }
    // Moving a byte between scope and payload is another cursor.
    #expect(throws: Problem.self) {
      try sealer.open(sealer.seal(Array("sx".utf8), scope: "org"), scope: "orgs")
    }
  }

  @Test("no changed, cut or made-up cursor opens")
  func forged() {
    let cursor = Array(sealer.seal([9, 9, 9, 9], scope: "s").utf8)
    for index in cursor.indices {
      var changed = cursor
      changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      let text = String(decoding: changed, as: UTF8.self)
      #expect(throws: Problem.self) { try sealer.open(text, scope: "s") }
      let cut = String(decoding: cursor[..<index], as: UTF8.self)
      #expect(throws: Problem.self) { try sealer.open(cut, scope: "s") }
    }
    for text in ["", "=", "é", String(repeating: "A", count: 100_000)] {
      #expect(throws: Problem.self) { try sealer.open(text, scope: "s") }
    }
    let other = CursorSealer(key: Array(1...32))
    #expect(throws: Problem.self) {
      try other.open(String(decoding: cursor, as: UTF8.self), scope: "s")
    }
  }
}
