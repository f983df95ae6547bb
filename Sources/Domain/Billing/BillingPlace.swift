extension Billing {
  /// Where a fact stands among those about the same subscription or dispute.
  package struct Place: Hashable, Comparable, Sendable, Codable {
    /// When it happened, in seconds since the epoch, as the provider tells it.
    package let time: Int64
    /// The order of facts of the same second, where their kinds have one: a subscription is made, changed, and ends.
    package let rank: Int64
    /// The provider's name of the event. It only makes sure that no two facts have the same place.
    package let source: String

    package init(time: Int64, rank: Int64, source: String) {
      self.time = time
      self.rank = rank
      self.source = source
    }

    package static func < (left: Place, right: Place) -> Bool {
      (left.time, left.rank, left.source) < (right.time, right.rank, right.source)
    }

    /// Whether only the name of the event tells them apart.
    package func isSameMoment(as other: Place) -> Bool {
      (time, rank) == (other.time, other.rank)
    }

    /// The place of another update of the same moment.
    func of(_ update: Update) -> Place { Place(time: time, rank: rank, source: update.source) }
  }

  /// What is done about updates of one second of which nothing says which was the last.
  package enum IfUnclear: Equatable, Sendable {
    /// The provider is asked.
    case refuse
    /// There is no way to ask: the update whose event has the greatest name counts, which is the same on every replica
    /// and in every order.
    case decideByName
  }
}
