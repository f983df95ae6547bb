/// What a mail server says before it is told of a mail, to break off in time when it cannot take the address.
///
/// libcurl asks for SMTPUTF8 where the server offers it (RFC 6531, section 3.4), and otherwise sends the address nevertheless,
/// as bytes that mean nothing to the server.
struct SMTPConversation {
  let needsSMTPUTF8: Bool
  /// Whether there is a second EHLO, behind STARTTLS, which is the one that counts (RFC 3207, section 4.2).
  let hasSTARTTLS: Bool
  private(set) var isBrokenOff = false

  /// How often the server has said that it is ready: at first, and to STARTTLS.
  private var readyCount = 0
  private var isOffered = false
  private var isDecided = false

  init(needsSMTPUTF8: Bool, hasSTARTTLS: Bool) {
    self.needsSMTPUTF8 = needsSMTPUTF8
    self.hasSTARTTLS = hasSTARTTLS
  }

  /// Hears one line of a reply, its end included.
  ///
  /// - Returns: false when the conversation is to be broken off.
  mutating func hear(_ line: some Collection<UInt8>) -> Bool {
    guard needsSMTPUTF8, !isDecided, line.count >= 4 else { return true }
    let isLast = line.dropFirst(3).first == UInt8(ascii: " ")
    if line.starts(with: "220".utf8) {
      if isLast { readyCount += 1 }
      isOffered = false
    } else if line.starts(with: "250".utf8) {
      let keyword = line.dropFirst(4).prefix { $0.isLetterOrDigit || $0 == UInt8(ascii: "-") }
      if keyword.map({ $0 & 0xDF }).elementsEqual("SMTPUTF8".utf8.map { $0 & 0xDF }) {
        isOffered = true
      }
      if isLast, readyCount == (hasSTARTTLS ? 2 : 1) {
        isDecided = true
        isBrokenOff = !isOffered
      }
    }
    return !isBrokenOff
  }
}
