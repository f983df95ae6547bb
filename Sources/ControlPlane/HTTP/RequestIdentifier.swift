import Synchronization

/// The name of one request in replies, logs and events (`X-Request-Id`).
package enum RequestIdentifier {
  /// Random per process, so that identifiers of replicas and restarts do not meet.
  private static let process = UInt64.random(in: .min ... .max)
  private static let sequence = Atomic<UInt64>(0)

  /// A new identifier: 32 lower-case hexadecimal digits, unique, not secret.
  package static func make() -> String {
    let number = sequence.wrappingAdd(1, ordering: .relaxed).newValue
    return String(unsafeUninitializedCapacity: 32) { buffer in
      let digits = StaticHexDigits()
      for index in 0..<16 {
        let shift = UInt64(60 - 4 * index)
        buffer[index] = digits[Int(process >> shift & 15)]
        buffer[16 + index] = digits[Int(number >> shift & 15)]
      }
      return 32
    }
  }

  /// Whether a caller's own identifier may be used: 1 to 128 of `A–Z a–z 0–9 . _ -`.
  package static func isValid(_ text: String) -> Bool {
    (1...128).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}
