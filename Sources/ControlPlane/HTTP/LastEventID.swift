import HTTPTypes

/// What a client of a stream saw last (`Last-Event-ID`, WHATWG HTML, section 9.2): the position of an event.
enum LastEventID: Equatable {
  /// The client does not say.
  case none
  case position(Int64)
  /// Text that no event of a stream has had for an id. To send everything instead would look like a stream that goes on.
  case invalid

  /// Ids are compared as text, so a position has one spelling only: the one that this server sent. `05` and `+5` are not it.
  init(_ headers: HTTPFields) {
    let lines = headers[values: .lastEventID]
    guard let text = lines.first else {
      self = .none
      return
    }
    guard lines.count == 1, let position = Int64(text), position >= 0, "\(position)" == text else {
      self = .invalid
      return
    }
    self = .position(position)
  }
}

extension HTTPField.Name {
  static let lastEventID = HTTPField.Name("Last-Event-ID")!
}
