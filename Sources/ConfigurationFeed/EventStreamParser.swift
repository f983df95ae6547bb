/// Reads a `text/event-stream` as it arrives (WHATWG HTML, "Server-sent events": parsing and interpreting an event stream):
/// any pieces, lines that end with CR, LF or CRLF, a byte order mark at the start.
package struct EventStreamParser: Sendable {
  /// An event is larger than what the reader is willing to hold.
  package struct TooLarge: Error, Equatable {}

  /// What `Last-Event-ID` is now; nil when no event had an id so far.
  package private(set) var lastEventID: String?
  /// What the last `retry` said, in milliseconds.
  package private(set) var reconnectionTime: Int?

  private let maximumSize: Int
  private var line: [UInt8] = []
  private var data: [UInt8] = []
  private var hasData = false
  private var event = ""
  private var pendingID: String?
  private var isFirstLine = true
  private var endedWithCR = false

  /// - Parameter maximumSize: how many bytes one event, or one line, may have.
  package init(maximumSize: Int = 64 << 20) {
    self.maximumSize = maximumSize
  }

  /// The events that these bytes complete.
  package mutating func append(
    _ bytes: some Collection<UInt8>
  ) throws(TooLarge) -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    var rest = bytes[...]
    if endedWithCR, let first = rest.first {
      endedWithCR = false
      if first == 0x0A { rest = rest.dropFirst() }
    }
    while let end = rest.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) {
      try hold(rest[..<end])
      if let event = endLine() { events.append(event) }
      let isCR = rest[end] == 0x0D
      rest = rest[end...].dropFirst()
      if isCR {
        endedWithCR = rest.isEmpty
        if rest.first == 0x0A { rest = rest.dropFirst() }
      }
    }
    try hold(rest)
    return events
  }

  private mutating func hold(_ part: some Collection<UInt8>) throws(TooLarge) {
    guard line.count + data.count + part.count <= maximumSize else { throw TooLarge() }
    line.append(contentsOf: part)
  }

  private mutating func endLine() -> ServerSentEvent? {
    defer { line.removeAll(keepingCapacity: true) }
    if isFirstLine {
      isFirstLine = false
      if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
    }
    guard !line.isEmpty else { return dispatch() }
    let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
    var value = line[colon...].dropFirst()
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    let text = { (value: ArraySlice<UInt8>) in String(decoding: value, as: UTF8.self) }
    switch text(line[..<colon]) {
    case "event": event = text(value)
    case "data":
      if hasData { data.append(0x0A) }
      hasData = true
      data.append(contentsOf: value)
    case "id": if !value.contains(0) { pendingID = text(value) }
    case "retry":
      if !value.isEmpty, value.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) {
        reconnectionTime = Int(text(value)) ?? reconnectionTime
      }
    default: break  // a comment, or a field of the future
    }
    return nil
  }

  private mutating func dispatch() -> ServerSentEvent? {
    defer {
      data.removeAll()
      hasData = false
      event = ""
    }
    // It holds from here on, even if there is no event.
    if let pendingID { lastEventID = pendingID.isEmpty ? nil : pendingID }
    guard hasData else { return nil }
    return ServerSentEvent(
      id: lastEventID, event: event.isEmpty ? nil : event,
      data: String(decoding: data, as: UTF8.self))
  }
}
