/// The name of an upstream provider: `[a-z0-9_-]{1,50}`.
package struct Provider: Hashable, Sendable, LosslessStringConvertible {
  package static let maxLength = 50

  package let description: String

  /// Nil for anything but a name as it is stored: in small letters.
  package init?(_ description: String) {
    guard 1...Self.maxLength ~= description.utf8.count,
      description.utf8.allSatisfy({ byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
          || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
          || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
      })
    else { return nil }
    self.description = description
  }

  /// Reads a name in capital or small letters: `OpenAI` is `openai`.
  package init?(anyCase text: String) {
    self.init(text.asciiLowercased)
  }
}

extension Provider: Codable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let provider = Self(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "not the name of a provider")
    }
    self = provider
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// Which providers a rule about models means: the one it names, or all of them (`*`).
package enum ProviderPattern: Hashable, Sendable, LosslessStringConvertible {
  case any
  case named(Provider)

  /// Reads `*`, or a provider's name in capital or small letters; nil for anything else, which no request's provider
  /// could ever equal.
  package init?(_ text: String) {
    if text == "*" {
      self = .any
    } else if let provider = Provider(anyCase: text) {
      self = .named(provider)
    } else {
      return nil
    }
  }

  package var description: String {
    switch self {
    case .any: "*"
    case .named(let provider): provider.description
    }
  }
}
