import ControlPlane
import Testing

/// SplitMix64: the same requests for the same seed, everywhere.
private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

@Suite("Malformed requests by the thousand")
struct MalformedRequestTests {
  private static let seeds: [String] = [
    "GET /v1/things/x?limit=3 HTTP/1.1\r\nHost: a\r\nAccept: application/json;q=0.5, */*\r\n\r\n",
    "POST /v1/things?dry_run=true HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      + "Content-Length: 14\r\n\r\n{\"name\":\"abc\"}",
    "PUT /v1/things/x HTTP/1.1\r\nHost: a\r\nIf-Match: \"7\", W/\"8\"\r\n"
      + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
      + "2\r\n{}\r\n0\r\n\r\n",
    "GET /v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abc.def\r\n"
      + "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a/livez HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
  ]

  private static let pieces: [[UInt8]] = [
    [0], [0xFF], [0xC0, 0x80], Array("\r\n".utf8), Array("\r".utf8), Array(":".utf8),
    Array(" ".utf8), Array("%00".utf8), Array("%".utf8), Array("//".utf8), Array("/../".utf8),
    Array("?".utf8), Array("#".utf8), Array("\"".utf8), Array("{".utf8), Array("[[[[[[".utf8),
    Array("\\u0000".utf8), Array("\\ud800".utf8), Array("1e999".utf8), Array("-0".utf8),
    Array("Content-Length: 9\r\n".utf8), Array("Transfer-Encoding: chunked\r\n".utf8),
    Array("Host: b\r\n".utf8), Array("Expect: 100-continue\r\n".utf8), Array("HTTP/1.0".utf8),
    Array(String(repeating: "A", count: 5000).utf8), Array("99999999999999999999".utf8),
  ]

  private static func mutate(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let index = Int.random(in: 0..<max(bytes.count, 1), using: &generator)
      switch Int.random(in: 0..<5, using: &generator) {
      case 0: bytes.insert(contentsOf: pieces.randomElement(using: &generator)!, at: index)
      case 1 where !bytes.isEmpty: bytes[index] = .random(in: 0...255, using: &generator)
      case 2 where !bytes.isEmpty: bytes.remove(at: index)
      case 3: bytes = Array(bytes.prefix(index))
      default: bytes += seeds.randomElement(using: &generator)!.utf8.prefix(index)
      }
    }
    return bytes
  }

  @Test(
    "never a 5xx, never a crash, never a reply that is not one", arguments: [1, 2, 3] as [UInt64])
  func malformed(seed: UInt64) async throws {
    var server = LiveServer()
    server.limits.header = .milliseconds(500)
    server.limits.body = .milliseconds(500)
    try await server.run { _, port in
      var generator = SeededGenerator(state: seed)
      for number in 0..<1000 {
        let original = Array(Self.seeds.randomElement(using: &generator)!.utf8)
        let request = Self.mutate(original, &generator)
        let client = try RawClient(port: port)
        try await client.send(request)
        client.finishSending()
        while let reply = try await client.reply(toHead: request.starts(with: Array("HEAD".utf8))) {
          #expect(
            (100..<500).contains(reply.status), "seed \(seed), request \(number): \(request)")
          if reply.status >= 400 {
            #expect(reply.problem != nil, "seed \(seed), request \(number): \(reply)")
          }
        }
      }
      let client = try RawClient(port: port)
      try await client.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(try await client.reply()?.status == 200)
    }
    let text = String(decoding: server.metrics.text(), as: UTF8.self)
    #expect(text.contains("http_requests_in_flight 0"))
  }
}
