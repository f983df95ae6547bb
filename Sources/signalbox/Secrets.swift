import ArgumentParser
import ControlPlane
import Cryptography
import FoundationEssentials

/// The secrets that come from the environment, or from files that it names, and never from the command line, which every
/// process on the machine can read.
struct Secrets {
  /// Nil: the database holds one.
  let pepper: [UInt8]?
  /// Nil: the database holds one key.
  let keyRing: KeyRing?
  /// Nil: the database holds one key.
  let providerKeys: KeyEncryptionKeys?
  /// Those of Stripe's webhook endpoint that are good now; empty when nothing is taken from it.
  let stripeWebhook: [String]
  /// Nil when nothing is sold.
  let stripeKey: String?

  /// - Throws: `ValidationError`, which repeats no secret.
  init() throws {
    pepper = try Environment["SIGNALBOX_TOKEN_PEPPER"].map { text in
      guard let bytes = Base64URL.decode(text), bytes.count >= 32 else {
        throw ValidationError(
          "SIGNALBOX_TOKEN_PEPPER must be at least 32 random bytes in base64url without padding.")
      }
      return bytes
    }
    keyRing = try Self.keys("SIGNALBOX_ENCRYPTION_KEYS", KeyRing.init)
    providerKeys = try Self.keys("SIGNALBOX_PROVIDER_KEYS_KEK", KeyEncryptionKeys.init)
    stripeWebhook =
      try Self.text("SIGNALBOX_STRIPE_WEBHOOK_SECRETS")?.split(separator: ",").map {
        let secret = $0.trimmingPrefix { $0.isWhitespace }
        guard !secret.isEmpty, secret.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
          throw ValidationError(
            "SIGNALBOX_STRIPE_WEBHOOK_SECRETS must be secrets such as whsec_…, separated by commas."
          )
        }
        return String(secret)
      } ?? []
    stripeKey = try Self.text("SIGNALBOX_STRIPE_SECRET_KEY")
  }

  /// A variable, or the file that its sibling names, without the end of its last line.
  private static func text(_ name: String) throws -> String? {
    guard let file = Environment["\(name)_FILE"] else { return Environment[name] }
    guard Environment[name] == nil else {
      throw ValidationError("Set either \(name) or \(name)_FILE, not both.")
    }
    let text = String(decoding: try TextFile.read(file), as: UTF8.self)
    return text.hasSuffix("\n") ? String(text.dropLast()) : text
  }

  /// A list of keys from a variable, or from the file that its sibling names.
  private static func keys<Keys>(
    _ name: String, _ read: (String) throws(KeyEncryptionKeys.Invalid) -> Keys
  ) throws -> Keys? {
    let list = try text(name)
    do throws(KeyEncryptionKeys.Invalid) {
      return if let list { try read(list) } else { nil }
    } catch {
      throw ValidationError("The keys in \(name) cannot be used: \(error)")
    }
  }
}

/// Files that are named on the command line or in the environment.
enum TextFile {
  /// - Throws: `ValidationError`, which names the file.
  static func read(_ path: String) throws -> [UInt8] {
    do {
      return [UInt8](try Data(contentsOf: URL(filePath: path)))
    } catch {
      throw ValidationError("The file \(path) cannot be read.")
    }
  }
}
