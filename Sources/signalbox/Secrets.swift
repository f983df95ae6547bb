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

  /// - Throws: `ValidationError`, which repeats no secret.
  init() throws {
    pepper = try Environment["SIGNALBOX_TOKEN_PEPPER"].map { text in
      guard let bytes = Base64URL.decode(text), bytes.count >= 32 else {
        throw ValidationError(
          "SIGNALBOX_TOKEN_PEPPER must be at least 32 random bytes in base64url without padding.")
      }
      return bytes
    }
    var keys = Environment["SIGNALBOX_ENCRYPTION_KEYS"]
    if let file = Environment["SIGNALBOX_ENCRYPTION_KEYS_FILE"] {
      guard keys == nil else {
        throw ValidationError(
          "Set either SIGNALBOX_ENCRYPTION_KEYS or SIGNALBOX_ENCRYPTION_KEYS_FILE, not both.")
      }
      keys = String(decoding: try TextFile.read(file), as: UTF8.self)
    }
    do throws(KeyRing.Invalid) {
      keyRing = if let keys { try KeyRing(keys) } else { nil }
    } catch {
      throw ValidationError("The encryption keys cannot be used: \(error)")
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
