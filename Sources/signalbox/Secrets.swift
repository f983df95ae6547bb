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
  }

  /// A list of keys from a variable, or from the file that its sibling names.
  private static func keys<Keys>(
    _ name: String, _ read: (String) throws(KeyEncryptionKeys.Invalid) -> Keys
  ) throws -> Keys? {
    var list = Environment[name]
    if let file = Environment["\(name)_FILE"] {
      guard list == nil else {
        throw ValidationError("Set either \(name) or \(name)_FILE, not both.")
      }
      list = String(decoding: try TextFile.read(file), as: UTF8.self)
    }
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
