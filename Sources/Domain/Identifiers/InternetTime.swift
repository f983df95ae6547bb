/// RFC 3339 §5.6 date-times, read strictly: `T` and `Z` in upper case, a real date, 1 to 9
/// fractional digits, any offset.
enum InternetTime {
  /// Microseconds since 1970-01-01T00:00:00Z, further digits dropped; nil when `text` is anything
  /// else. A leap second (`:60`) is refused: the epoch has no such instant. An offset may lead out of the years 0001 to
  /// 9999, and into them from the year 0000.
  fileprivate static func microseconds(_ text: String) -> Int64? {
    var rest = Array(text.utf8)[...]
    func number(_ digits: Int) -> Int64? {
      guard rest.count >= digits else { return nil }
      var value: Int64 = 0
      for byte in rest.prefix(digits) {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        value = value * 10 + Int64(byte - UInt8(ascii: "0"))
      }
      rest = rest.dropFirst(digits)
      return value
    }
    func take(_ character: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(ascii: character) else { return false }
      rest = rest.dropFirst()
      return true
    }
    guard let year = number(4), take("-"), let month = number(2), take("-"), let day = number(2),
      (1...12).contains(month), (1...days(in: month, of: year)).contains(day), take("T"),
      let hour = number(2), take(":"), let minute = number(2), take(":"), let second = number(2),
      hour < 24, minute < 60, second < 60
    else { return nil }
    var fraction: Int64 = 0
    if take(".") {
      let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard (1...9).contains(digits.count) else { return nil }
      rest = rest.dropFirst(digits.count)
      let padded = (Array(digits) + Array(repeating: UInt8(ascii: "0"), count: 6)).prefix(6)
      fraction = padded.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
    }
    var offset: Int64 = 0
    if !take("Z") {
      let sign: Int64
      if take("+") { sign = 1 } else if take("-") { sign = -1 } else { return nil }
      guard let hours = number(2), take(":"), let minutes = number(2), hours < 24, minutes < 60
      else { return nil }
      offset = sign * (hours * 60 + minutes) * 60
    }
    guard rest.isEmpty else { return nil }
    let seconds = daysSinceEpoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    return (seconds - offset) * 1_000_000 + fraction
  }

  private static func days(in month: Int64, of year: Int64) -> Int64 {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return switch month {
    case 2: isLeap ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days since 1970-01-01 in the proleptic Gregorian calendar: years counted from March, so that
  /// the leap day is the last of a year.
  static func daysSinceEpoch(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let year = month > 2 ? year : year - 1
    let era = (year >= 0 ? year : year - 399) / 400
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }
}

extension Timestamp {
  /// Reads what ``rfc3339`` writes, and every other RFC 3339 §5.6 time; nil for anything else, and for what its offset leads
  /// out of the years 0001 to 9999.
  package init?(rfc3339 text: String) {
    guard let microseconds = InternetTime.microseconds(text) else { return nil }
    self.init(microseconds: microseconds)
  }
}
