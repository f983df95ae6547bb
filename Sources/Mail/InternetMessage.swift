import FoundationEssentials
import Glibc

/// A mail as it goes over the wire: RFC 5322, with MIME (RFC 2045, RFC 2047).
///
/// All of it is ASCII in lines of at most 76 characters, those of the two addresses aside, whose local parts may be UTF-8
/// (RFC 6532) when the server takes that, and no line of the text can begin with a dot. Nothing of the mail can end a header: addresses have no
/// such characters, subject and text are encoded.
struct InternetMessage {
  let bytes: [UInt8]

  /// - Parameters:
  ///   - time: in seconds since the epoch.
  ///   - id: random; tells this mail from all others.
  init(_ message: MailMessage, from sender: EmailAddress, time: Int, id: UInt128) {
    let lines = [
      "Date: \(Self.date(time))",
      "From: \(sender.transport)",
      "To: \(message.to.transport)",
      "Message-ID: <\(String(id, radix: 36))@\(sender.domain)>",
      "Subject: \(Self.subject(message.subject))",
      // Nobody's absence is to be answered to us (RFC 3834).
      "Auto-Submitted: auto-generated",
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8",
      "Content-Transfer-Encoding: base64",
      "",
      Self.body(message.text),
      "",
    ]
    bytes = Array(lines.joined(separator: "\r\n").utf8)
  }

  /// RFC 5322, section 3.3, in UTC. strftime would name the days in the language of the locale.
  private static func date(_ time: Int) -> String {
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    var time = time
    var parts = tm()
    gmtime_r(&time, &parts)
    func twoDigits(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(twoDigits).joined(separator: ":")
    let month = months[Int(parts.tm_mon)]
    let year = 1900 + Int(parts.tm_year)
    return "\(days[Int(parts.tm_wday)]), \(parts.tm_mday) \(month) \(year) \(clock) +0000"
  }

  private static func subject(_ text: String) -> String {
    var words = [""]
    for scalar in text.unicodeScalars.map({ $0.endsLine ? " " : $0 }) {
      // 39 bytes make a word of 64 characters: the first line, "Subject:" included, has at most 76.
      // A character must not be divided between two words (RFC 2047, sections 2 and 5).
      if words[words.count - 1].utf8.count + UTF8.width(scalar) > 39 { words.append("") }
      words[words.count - 1].unicodeScalars.append(scalar)
    }
    let plain = words.joined()
    // A space at its beginning or end would get lost, and "=?" be taken for an encoded word.
    let mayStayPlain =
      plain.utf8.count <= 66 && plain.utf8.allSatisfy { (0x20...0x7E).contains($0) }
      && !plain.hasPrefix(" ") && !plain.hasSuffix(" ") && !plain.contains("=?")
    if mayStayPlain { return plain }
    return words.map { "=?utf-8?B?\(Data($0.utf8).base64EncodedString())?=" }
      .joined(separator: "\r\n ")
  }

  /// Lines of a text end in CRLF before they are encoded (RFC 2045, section 6.8).
  private static func body(_ text: String) -> String {
    var canonical = Data()
    var previous: UInt8 = 0
    for byte in text.utf8 {
      switch byte {
      case 0x0A where previous == 0x0D: break
      case 0x0A, 0x0D: canonical.append(contentsOf: [0x0D, 0x0A])
      default: canonical.append(byte)
      }
      previous = byte
    }
    return canonical.base64EncodedString(
      options: [.lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed])
  }
}

extension Unicode.Scalar {
  /// Control characters, and what else some reader may break a line at.
  fileprivate var endsLine: Bool {
    properties.generalCategory == .control || self == "\u{2028}" || self == "\u{2029}"
  }
}
