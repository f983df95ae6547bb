import Glibc
import Synchronization

/// The current time as `Date` has it (RFC 9110 §5.6.7, IMF-fixdate), formatted once a second.
final class HTTPDate: Sendable {
  private struct Cached {
    var second: time_t = -1
    var text = ""
  }

  private let cached = Mutex(Cached())

  var now: String {
    let second = time(nil)
    return cached.withLock { cached in
      if cached.second != second { cached = Cached(second: second, text: Self.format(second)) }
      return cached.text
    }
  }

  /// E.g. `Sun, 06 Nov 1994 08:49:37 GMT`.
  static func format(_ second: time_t) -> String {
    var (second, parts) = (second, tm())
    gmtime_r(&second, &parts)
    func padded(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let day = days[Int(parts.tm_wday)]
    let date = "\(padded(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900)"
    let time = "\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))"
    return "\(day), \(date) \(time) GMT"
  }

  private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
}
