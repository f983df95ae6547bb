import ConfigurationFeed
import Testing

struct EventStreamTests {
  /// The examples of the standard, and its corners: the stream, and what it says.
  static let streams: [(String, [ServerSentEvent])] = [
    ("data: YHOO\ndata: +2\ndata: 10\n\n", [.init(data: "YHOO\n+2\n10")]),
    (
      ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
      [.init(id: "1", data: "first event"), .init(data: "second event")]
    ),
    ("data\n\ndata\ndata\n\ndata:", [.init(data: ""), .init(data: "\n")]),
    ("data:test\n\ndata: test\n\n", [.init(data: "test"), .init(data: "test")]),
    ("event: change\nid: 124\ndata: {}\n\n", [.init(id: "124", event: "change", data: "{}")]),
    ("event: a\n\ndata: x\n\n", [.init(data: "x")]),
    ("id: 7\n\ndata: x\n\n", [.init(id: "7", data: "x")]),
    (
      "id: 7\ndata: x\n\nid: 8\u{0}\ndata: y\n\n",
      [.init(id: "7", data: "x"), .init(id: "7", data: "y")]
    ),
    ("\u{FEFF}data: x\n\n\u{FEFF}data: y\n\n", [.init(data: "x")]),
    (
      "data: x\r\n\r\ndata: y\r\rdata: z\n\n",
      [.init(data: "x"), .init(data: "y"), .init(data: "z")]
    ),
    ("data: x\r\ndata: y\r\n\r\n", [.init(data: "x\ny")]),
    ("foo: bar\ndata: :x:\nDATA: y\n\n", [.init(data: ":x:")]),
    ("data: é🚂\n\n", [.init(data: "é🚂")]),
    (": heartbeat\n\n: heartbeat\n\n", []),
  ]

  @Test(arguments: streams)
  func `a stream is read as the standard says, wherever it is cut`(
    stream: String, events: [ServerSentEvent]
  ) throws {
    let bytes = Array(stream.utf8)
    for first in 0...bytes.count {
      for second in first...bytes.count {
        var parser = EventStreamParser()
        let read =
          try parser.append(bytes[..<first]) + parser.append(bytes[first..<second])
          + parser.append(bytes[second...])
        #expect(read == events)
      }
    }
  }

  @Test func `what is written is read, in any pieces and with any line ends`() throws {
    var random = SeededGenerator(state: 9)
    for _ in 0..<2_000 {
      var expected: [ServerSentEvent] = []
      var stream: [UInt8] = []
      var id: String?
      for _ in 0..<Int.random(in: 0..<6, using: &random) {
        if random.chance(4) { stream += ServerSentEvent.comment("heartbeat") }
        if random.chance(8) { stream += ServerSentEvent.retry(milliseconds: 1500) }
        var event = ServerSentEvent(
          event: random.chance(2) ? "change" : nil,
          data: (0..<Int.random(in: 0..<5, using: &random)).map { _ in
            ["", "x", " y", ":", "é"].randomElement(using: &random)!
          }.joined(separator: "\n"))
        if random.chance(2) { event.id = "\(random.next())" }
        stream += event.bytes
        id = event.id ?? id
        event.id = id
        expected.append(event)
      }
      let end: [UInt8] = [[0x0A], [0x0D], [0x0D, 0x0A]].randomElement(using: &random)!
      stream = stream.flatMap { $0 == 0x0A ? end : [$0] }
      var parser = EventStreamParser()
      var read: [ServerSentEvent] = []
      var rest = stream[...]
      while !rest.isEmpty {
        let count = Int.random(in: 0...min(9, rest.count), using: &random)
        read += try parser.append(rest.prefix(count))
        rest = rest.dropFirst(count)
      }
      #expect(read == expected)
      #expect(parser.lastEventID == id)
    }
  }

  @Test func `line breaks in data are one, however they are written`() throws {
    var parser = EventStreamParser()
    #expect(
      try parser.append(ServerSentEvent(data: "a\r\nb\rc\n").bytes) == [.init(data: "a\nb\nc\n")])
  }

  @Test func `how long to wait is remembered, when it is a number`() throws {
    var parser = EventStreamParser()
    _ = try parser.append(Array("retry: 1500\n".utf8))
    #expect(parser.reconnectionTime == 1500)
    _ = try parser.append(Array("retry: 1s\nretry:\nretry: -1\nretry: 99999999999999999999\n".utf8))
    #expect(parser.reconnectionTime == 1500)
  }

  @Test func `an event without end is not held for ever`() throws {
    var parser = EventStreamParser(maximumSize: 1000)
    let line = Array("data: \(String(repeating: "x", count: 90))\n".utf8)
    #expect(throws: EventStreamParser.TooLarge.self) {
      for _ in 0..<20 { _ = try parser.append(line) }
    }
    var other = EventStreamParser(maximumSize: 1000)
    #expect(throws: EventStreamParser.TooLarge.self) {
      for _ in 0..<20 { _ = try other.append(line.dropLast()) }
    }
  }
}
