import Cryptography
import Domain

/// What an API key looks like: `pk_live_` or `pk_test_`, 30 random base62 characters, and their checksum.
enum APIKeyFormat {
  private static let randomCount = 30

  /// Tells typing errors, and whatever else is no key, before it is hashed.
  static func matches(_ text: String) -> Bool {
    Project.Environment.allCases.contains { environment in
      let prefix = environment.apiKeyPrefix
      return text.hasPrefix(prefix)
        && Base62Checksum.ends(text.utf8.dropFirst(prefix.utf8.count), of: randomCount)
    }
  }
}
