import Cryptography
import Domain
import FoundationEssentials

/// Ids of events: UUIDs of version 7 whose random bits come from the system's generator in large helpings.
struct EventIDGenerator {
  private var random = SecureRandomNumberGenerator()

  mutating func next(at time: Timestamp) -> UUID {
    UUID.version7(at: time, using: &random)
  }
}
