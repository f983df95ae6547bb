import Cryptography
package import Domain

/// The tokens that Signalbox itself gives out: a prefix that says what it is, 30 random base62 characters, and their
/// CRC-32 in six more, so that a typing error, or a scanner's false find, is told from a token without the database.
package struct TokenFormat: Sendable {
  /// Of a person, for what they do by hand.
  package static let personalAccess = TokenFormat(prefix: "sbp_")
  /// Of a workspace, for CI pipelines.
  package static let service = TokenFormat(prefix: "sbx_")
  /// Of the platform, for data-plane gateways.
  package static let gateway = TokenFormat(prefix: "sbg_")
  /// Of a project, for its applications.
  package static func apiKey(_ environment: Project.Environment) -> TokenFormat {
    TokenFormat(prefix: environment.apiKeyPrefix)
  }
  /// Sent by mail to whoever is invited.
  package static let invitation = TokenFormat(prefix: "sbi_")

  /// All kinds of tokens that there are.
  static let all =
    [personalAccess, service, gateway, invitation] + Project.Environment.allCases.map { apiKey($0) }

  private static let randomCount = 30

  package let prefix: String

  /// A new token.
  package func generate() -> String {
    generate(from: SecureRandom.bytes(4 * Self.randomCount))
  }

  /// The token that these random bytes make, of which there must be 120.
  package func generate(from random: [UInt8]) -> String {
    precondition(random.count == 4 * Self.randomCount)
    // Four bytes for each character: the bias of the remainder is below 2^-26.
    let body = (0..<Self.randomCount).map { index in
      let word = random[4 * index..<4 * index + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      return Base62Checksum.alphabet[Int(word % 62)]
    }
    return prefix + String(decoding: body + Base62Checksum.digits(of: body), as: UTF8.self)
  }

  /// Whether a text is a token of this format, its checksum included.
  package func matches(_ text: String) -> Bool {
    text.hasPrefix(prefix)
      && Base62Checksum.ends(text.utf8.dropFirst(prefix.utf8.count), of: Self.randomCount)
  }

  /// Whether a path has a token where an id belongs: nobody may repeat or keep such a path.
  static func isPart(ofPath path: Substring.UTF8View) -> Bool {
    let isEnd = { (byte: UInt8) in byte == UInt8(ascii: "/") || byte == UInt8(ascii: ":") }
    let shortest = randomCount + Base62Checksum.count
    // Ids are shorter: nearly every path is settled without a copy.
    var (length, longest) = (0, 0)
    for byte in path {
      length = isEnd(byte) ? 0 : length + 1
      longest = max(longest, length)
    }
    guard longest > shortest else { return false }
    return path.split(whereSeparator: isEnd).contains { part in
      let text = String(Substring(part))
      return all.contains { $0.matches(text) }
    }
  }
}
