import FoundationEssentials
import Mail

@testable import Domain

extension FuzzTarget {
  static let values = [
    // RFC 3339, and the text that a time is written as.
    FuzzTarget("timestamp") { bytes in
      guard let text = bytes.text, let time = Timestamp(rfc3339: text) else { return }
      let written = time.rfc3339
      promise(Timestamp(rfc3339: written) == time, "a time is read as it was written")
      promise(written.utf8.count <= 27, "years have four digits")
      _ = BillingPeriod(containing: time).description
      for offset in [Int64.min, -1, 1, .max] { _ = time.advanced(by: offset).rfc3339 }
    },
    FuzzTarget("period") { bytes in
      guard let text = bytes.text, let period = BillingPeriod(text) else { return }
      promise(period.description == text, "a month has one form")
    },
    FuzzTarget("address") { bytes in
      guard let text = bytes.text, let address = IPAddress(text) else { return }
      promise(IPAddress(address.description) == address, "an address is read as it was written")
    },
    FuzzTarget("network") { bytes in
      guard let text = bytes.text, let network = Network(text) else { return }
      promise(Network(network.description) == network, "a network is read as it was written")
    },
    FuzzTarget("country") { bytes in
      guard let text = bytes.text else { return }
      _ = Country(text)
    },
    // A pattern and a name: a reader that compares every way there is agrees.
    FuzzTarget("pattern") { bytes in
      let (first, second) = bytes.halves
      guard let text = first.text, let name = second.text, let pattern = ModelPattern(text) else {
        return
      }
      promise(ModelPattern(pattern.description) == pattern, "a pattern is read as it was written")
      let (small, whole) = (lowercased(name), lowercased(text))
      guard small.count <= 64 else { return }
      let rule = Rule(
        match: .model(provider: .any, pattern), effect: .deny, createdBy: .system,
        createdAt: .epoch, updatedAt: .epoch)
      let decision = Controls(rules: RuleSet([ruleID: rule])).decide(
        RequestDescription(provider: "openai", model: name, time: .epoch))
      promise(
        !decision.isAllowed == matches(whole[...], small[...]), "\(pattern) and \(name)")
    },
    FuzzTarget("type-id") { bytes in
      guard let text = bytes.text, let id = OrganizationID(text) else { return }
      promise(id.description == text, "an id has one form")
    },
    FuzzTarget("email") { bytes in
      guard let text = bytes.text else { return }
      _ = EmailAddress(text)
    },
  ]

  private static let ruleID = RuleID(UUID())

  private static func lowercased(_ text: String) -> [UInt8] { text.utf8.map(\.asciiLowercased) }

  /// Slow and plain: for each star, where it may end is a set.
  private static func matches(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
    var places: Set<Int> = [name.startIndex]
    for byte in pattern {
      if byte == UInt8(ascii: "*") {
        guard let first = places.min() else { return false }
        places = Set(first...name.endIndex)
      } else {
        places = Set(places.filter { $0 < name.endIndex && name[$0] == byte }.map { $0 + 1 })
      }
    }
    return places.contains(name.endIndex)
  }
}
