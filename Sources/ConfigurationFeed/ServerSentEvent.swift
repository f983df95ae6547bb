/// One event of a `text/event-stream` (WHATWG HTML, "Server-sent events").
package struct ServerSentEvent: Hashable, Sendable {
  /// What `Last-Event-ID` is after this event; nil when no event had an id so far.
  package var id: String?
  /// What sort of event it is; nil stands for `message`.
  package var event: String?
  package var data: String

  package init(id: String? = nil, event: String? = nil, data: String) {
    self.id = id
    self.event = event
    self.data = data
  }

  /// The event as it is sent, with the empty line that ends it.
  ///
  /// - Precondition: neither `id` nor `event` has a line break, and `id` no U+0000: they could not be sent.
  package var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(data.utf8.count + 64)
    func field(_ name: StaticString, _ value: some Collection<UInt8>) {
      bytes.append(
        contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
      bytes.append(contentsOf: [UInt8(ascii: ":"), UInt8(ascii: " ")])
      bytes.append(contentsOf: value)
      bytes.append(UInt8(ascii: "\n"))
    }
    if let event {
      precondition(event.utf8.allSatisfy { $0 != 0x0A && $0 != 0x0D })
      field("event", event.utf8)
    }
    if let id {
      precondition(id.utf8.allSatisfy { $0 != 0x0A && $0 != 0x0D && $0 != 0 })
      field("id", id.utf8)
    }
    let data = Array(data.utf8)
    var start = 0
    var index = 0
    while index < data.count {
      if data[index] == 0x0A || data[index] == 0x0D {
        field("data", data[start..<index])
        // A line break is one, however it is written.
        if data[index] == 0x0D, index + 1 < data.count, data[index + 1] == 0x0A { index += 1 }
        start = index + 1
      }
      index += 1
    }
    field("data", data[start...])
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }

  /// A line that clients do not look at, so that they and what is between see that the connection is alive.
  package static func comment(_ text: StaticString) -> [UInt8] { Array(": \(text)\n\n".utf8) }

  /// How long clients shall wait before they connect again.
  package static func retry(milliseconds: Int) -> [UInt8] {
    Array("retry: \(milliseconds)\n\n".utf8)
  }
}
