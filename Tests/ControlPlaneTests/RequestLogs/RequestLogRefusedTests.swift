import Compression
import Domain
import FoundationEssentials
import JSON
import Support
import Testing

@testable import ControlPlane

@Suite struct RequestLogRefusedTests {
  static let path = "/v1/dataplane/request-logs"
  static let day: Int64 = 86_400_000_000

  @Test func `only a gateway reports`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let record = EvidenceRecord(project: world.project)
    for client in [world.owner, world.plane.client] {
      let reply = try await client.post(Self.path, "[\(record.text)]")
      #expect(reply.status == 403)
      #expect(try reply.problem == "gateway-required")
    }
    #expect(try await world.plane.client.with(token: nil).post(Self.path, "[]").status == 401)
    #expect(try await world.list() == [])
  }

  @Test func `what is wrong with a record is said, and the others are taken`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let good = EvidenceRecord(project: world.project)
    let bad: [(EvidenceRecord, [String])] = [
      (good.without("id"), ["/id required"]),
      (good.with("id", "7"), ["/id type"]),
      (good.with("a/b~", "7"), ["/a~1b~0 unknown"]),
      (good.with("a/\u{301}", "7"), ["/a~1\u{301} unknown"]),
      (good.with("", "7"), ["/ unknown"]),
      // Cut before it is escaped: 64 code points of the name.
      (
        good.with(String(repeating: "x", count: 63) + "~/", "7"),
        ["/\(String(repeating: "x", count: 63))~0 unknown"]
      ),
      (good.with("id", #""log_x""#), ["/id format"]),
      (good.with("id", #""prj_01jdexamp1e0000000000000pr""#), ["/id format"]),
      // Version 4.
      (good.with("id", #""\#(RequestLogID(UUID()))""#), ["/id format"]),
      (good.with("occurred_at", #""2026-11-24""#), ["/occurred_at time"]),
      (
        good.with("occurred_at", #""\#(Timestamp.now.advanced(by: -5000).rfc3339)""#),
        ["/occurred_at mismatch"]
      ),
      (
        EvidenceRecord(project: world.project, at: Timestamp.now.advanced(by: 2 * Self.day)),
        ["/occurred_at future"]
      ),
      (
        EvidenceRecord(project: world.project, at: Timestamp.now.advanced(by: -8 * Self.day)),
        ["/occurred_at too-old"]
      ),
      (good.with("project_id", "null"), ["/project_id required"]),
      (
        good.with("project_id", #""prj_00000000000000000000000000""#),
        ["/project_id unknown-project"]
      ),
      (good.with("decision", #""maybe""#), ["/decision choice"]),
      (good.with("decision", #""block""#), ["/reason required"]),
      (good.with("decision", #""block""#).with("reason", "null"), ["/reason required"]),
      (good.with("reason", #""mood""#), ["/reason choice"]),
      (good.without("provider"), ["/provider required"]),
      (good.with("model", "null"), ["/model required"]),
      (good.with("model", "7"), ["/model type"]),
      (good.with("route", "{}"), ["/route type"]),
      (good.with("country", "7"), ["/country type"]),
      (good.with("region", "[]"), ["/region type"]),
      (good.with("address", #""10.0.0.256""#), ["/address format"]),
      (good.with("tokens_in", "-1"), ["/tokens_in range"]),
      (good.with("tokens_out", "1.5"), ["/tokens_out range"]),
      (good.with("cost_micro_usd", "\"1\""), ["/cost_micro_usd range"]),
      (good.with("status", "99"), ["/status range"]),
      (good.with("latency_ms", "[]"), ["/latency_ms range"]),
      (good.with("latency_ms", "86400001"), ["/latency_ms range"]),
      (good.with("tokens_requested", "1000000001"), ["/tokens_requested range"]),
      (good.with("tokens_in", "9223372036854775807"), ["/tokens_in range"]),
      (good.with("tokens_out", "9223372036854775808"), ["/tokens_out range"]),
      (good.with("tokens_out", "-9223372036854775809"), ["/tokens_out range"]),
      (good.with("cost_micro_usd", "1000000001"), ["/cost_micro_usd range"]),
      (good.with("cost_micro_usd", "1e999"), ["/cost_micro_usd range"]),
      (good.with("cost_micro_usd", "1e300"), ["/cost_micro_usd range"]),
      (
        good.with("configuration_position", "9007199254740992"), ["/configuration_position range"]
      ),
      (good.without("configuration_position"), ["/configuration_position required"]),
      (good.with("prompt", #""secret""#), ["/prompt unknown"]),
      (good.with("a/b~", "{}"), ["/a~1b~0 unknown"]),
      (good.with("a/\u{301}", "7"), ["/a~1\u{301} unknown"]),
    ]
    let reply = try await world.report([good] + bad.map(\.0))
    #expect(reply.status == 200, "\(reply.text)")
    #expect(try reply.outcome == [1, 0] + (1...bad.count).map(Int64.init))
    let errors = try #require(try reply.json["refused"]?.array)
    for (error, (record, expected)) in zip(errors, bad) {
      let found = (error["errors"]?.array ?? []).map {
        "\($0["pointer"]?.string ?? "") \($0["code"]?.string ?? "")"
      }
      #expect(found == expected, "\(record.text)")
    }
    #expect(try await world.list() == [good.id])
    #expect(!reply.text.contains("secret"))
  }

  @Test func `a member that occurs twice is refused, and no record but an object is one`()
    async throws
  {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    var twice = EvidenceRecord(project: world.project)
    twice.members.append(("model", #""o1""#))
    let reply = try await world.gateway.post(
      Self.path, #"[\#(twice.text),7,"a",null,[{}],{}]"#)
    #expect(try reply.outcome == [0, 0, 0, 1, 2, 3, 4, 5])
    #expect(
      try reply.recordErrors.prefix(5) == ["/model duplicate"] + Array(repeating: " type", count: 4)
    )
  }

  @Test(arguments: [
    "", "[", "[1", "[1,]", "[1 2]", "[{]", #"[{"a"}]"#, #"[{"a":}]"#, #"[{"a":1,}]"#, "{}", "7",
    "[]]", "[] 1", #"[{"a":01}]"#, #"[{"a":tru}]"#, #"[{"a":"\ud800"}]"#, "[{\"a\":\"\u{1}\"}]",
    #"[{"a":[1}]"#, #"[{"a":-}]"#, #"[{"a":"b]"#, #"[{a:1}]"#, "[\u{FEFF}]",
  ])
  func `what is no JSON array is refused as a whole`(body: String) async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let reply = try await world.gateway.post(Self.path, body)
    #expect(reply.status == 400 || reply.status == 415 && body.isEmpty, "\(reply.text)")
    if !body.isEmpty { #expect(try reply.problem == "malformed-json") }
  }

  @Test func `bytes that are not UTF-8 are refused`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    var bytes = Array(EvidenceRecord(project: world.project, model: "@").text.utf8)
    bytes[try #require(bytes.firstIndex(of: UInt8(ascii: "@")))] = 0xC3
    let reply = try await world.send(Array("[".utf8) + bytes + Array("]".utf8))
    #expect(reply.status == 400)
  }

  // MARK: Encodings

  @Test(arguments: ContentCoding.allCases)
  func `a bomb is refused before it has gone off`(coding: ContentCoding) async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    // Forty megabytes of spaces in some kilobytes.
    let bomb = coding.deflate([UInt8](repeating: 0x20, count: 40 << 20))
    #expect(bomb.count < 100_000)
    let reply = try await world.send(bomb, encoding: coding.rawValue)
    #expect(reply.status == 413, "\(reply.text)")
    #expect(try reply.problem == "body-too-large")
    // Many members are no way around it.
    let many = (0..<40).flatMap { _ in coding.deflate([UInt8](repeating: 0x20, count: 1 << 20)) }
    #expect(try await world.send(many, encoding: coding.rawValue).status == 413)
  }

  @Test(arguments: ContentCoding.allCases)
  func `what is not compressed, or not whole, is refused`(coding: ContentCoding) async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let whole = coding.deflate(Array("[]".utf8))
    #expect(try await world.send(whole, encoding: coding.rawValue).status == 200)
    for body in [
      Array("[]".utf8), Array(whole.dropLast()), whole.dropLast(4) + [0, 0, 0, 0], whole + [1],
    ] {
      let reply = try await world.send(body, encoding: coding.rawValue)
      #expect(reply.status == 400, "\(reply.text)")
    }
  }

  @Test(arguments: ["br", "deflate", "gzip, gzip", "zstd, gzip", "zst"])
  func `another encoding is refused`(encoding: String) async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    #expect(try await world.send(Array("[]".utf8), encoding: encoding).status == 415)
  }

  @Test func `another type is refused, and other operations take none of this`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    #expect(try await world.send(Array("[]".utf8), type: "text/plain").status == 415)
    let body = Array(#"{"name":"A"}"#.utf8)
    for (type, encoding) in [("application/x-ndjson", nil), ("application/json", "gzip")] {
      let reply = try await world.owner.http.send(
        "POST", "/v1/organizations",
        headers: [("Authorization", "Bearer \(world.owner.token ?? "")"), ("Content-Type", type)]
          + (encoding.map { [("Content-Encoding", $0)] } ?? []), body: body)
      #expect(reply.status == 415, "\(type)")
    }
  }

  @Test func `too much is refused`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    // Refused by its header: of a body that nobody reads, little would be taken before the connection ends.
    let connection = try RawClient(port: world.gateway.http.port)
    try await connection.send(
      """
      POST \(Self.path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r
      Authorization: Bearer \(world.gateway.token ?? "")\r\nContent-Length: 8388609\r\n\r\n
      """)
    #expect(try await connection.reply()?.status == 413)
    let lines = String(repeating: "{}\n", count: 20_001)
    #expect(try await world.send(Array(lines.utf8), type: "application/x-ndjson").status == 413)
    let array = "[" + String(repeating: "{},", count: 20_000) + "{}]"
    #expect(try await world.send(Array(array.utf8)).status == 413)
  }
}

extension EvidenceWorld {
  /// Sends any bytes to where gateways report.
  func send(
    _ body: [UInt8], type: String = "application/json", encoding: String? = nil
  ) async throws -> HTTPReply {
    let headers = [
      ("Authorization", "Bearer \(gateway.token ?? "")"), ("Content-Type", type),
    ]
    let reply = try await gateway.http.send(
      "POST", RequestLogRefusedTests.path,
      headers: headers + (encoding.map { [("Content-Encoding", $0)] } ?? []), body: body)
    #expect(
      try Contract.current.get().violations("POST", RequestLogRefusedTests.path, reply) == [])
    return reply
  }
}
