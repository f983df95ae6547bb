package import FoundationEssentials

/// A kind of thing that has identifiers of its own: the prefix keeps a project's id from being taken for a user's.
package protocol Identified {
  /// The part before the underscore: lowercase ASCII letters, frozen once published.
  static var idPrefix: String { get }
}

/// An external identifier such as `prj_01h2xcejqtf2nbrexx3vqjhp41`: a prefix and a UUID (version 7 when we made it)
/// in 26 characters of Crockford's base32, as the TypeID specification 0.3 writes it. Stored as `uuid`.
package struct TypeID<Entity: Identified>: Hashable, Sendable {
  /// The identifier without its prefix, as the database holds it.
  package let uuid: UUID

  /// Names the entity that this UUID stands for.
  package init(_ uuid: UUID) {
    self.uuid = uuid
  }
}

extension TypeID: LosslessStringConvertible {
  /// Reads the external form; nil unless prefix, length, alphabet and range are exactly right.
  package init?(_ description: String) {
    var description = description
    let uuid = description.withUTF8 { Base32.uuid(in: $0, after: Entity.idPrefix) }
    guard let uuid else { return nil }
    self.uuid = uuid
  }

  /// The external form.
  package var description: String {
    Base32.string(prefix: Entity.idPrefix, uuid)
  }
}

extension TypeID: Codable, CodingKeyRepresentable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let string = try container.decode(String.self)
    guard let id = Self(string) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "not an id that starts with \(Entity.idPrefix)_")
    }
    self = id
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  package var codingKey: any CodingKey { TextCodingKey(stringValue: description) }

  package init?(codingKey: some CodingKey) {
    self.init(codingKey.stringValue)
  }
}

/// Crockford's base32 of 128 bits in 26 characters, the first of which carries three bits.
private enum Base32 {
  static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

  static let values: [UInt8] = {
    var values = [UInt8](repeating: 0xFF, count: 256)
    for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
    return values
  }()

  static func string(prefix: String, _ uuid: UUID) -> String {
    var number = UInt128(uuid)
    let prefix = prefix.utf8
    let count = prefix.count + 27
    return String(unsafeUninitializedCapacity: count) { buffer in
      _ = buffer.initialize(fromContentsOf: prefix)
      buffer[prefix.count] = UInt8(ascii: "_")
      for index in stride(from: count - 1, to: prefix.count, by: -1) {
        buffer[index] = alphabet[Int(truncatingIfNeeded: number & 31)]
        number >>= 5
      }
      return count
    }
  }

  static func uuid(in text: UnsafeBufferPointer<UInt8>, after prefix: String) -> UUID? {
    let prefixCount = prefix.utf8.count
    guard text.count == prefixCount + 27, text[prefixCount] == UInt8(ascii: "_"),
      text[..<prefixCount].elementsEqual(prefix.utf8), values[Int(text[prefixCount + 1])] < 8
    else { return nil }
    var number: UInt128 = 0
    for character in text[(prefixCount + 1)...] {
      let value = values[Int(character)]
      guard value != 0xFF else { return nil }
      number = number << 5 | UInt128(value)
    }
    return UUID(number)
  }
}

extension UInt128 {
  /// The sixteen bytes of a UUID read as one big-endian number.
  init(_ uuid: UUID) {
    self = withUnsafeBytes(of: uuid.uuid) { UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self)) }
  }
}

extension UUID {
  init(_ number: UInt128) {
    self = withUnsafeBytes(of: number.bigEndian) {
      UUID(uuid: $0.loadUnaligned(as: uuid_t.self))
    }
  }

  /// A UUID of version 7 (RFC 9562, section 5.7): milliseconds since the Unix epoch, then 74 random bits.
  /// Time and randomness come in, so that deciders and tests stay deterministic.
  package static func version7(
    at time: Timestamp, using generator: inout some RandomNumberGenerator
  ) -> UUID {
    let milliseconds = UInt128(UInt64(max(0, time.microseconds / 1000)) & 0xFFFF_FFFF_FFFF)
    let high = UInt128(generator.next() & 0x0FFF)
    let low = UInt128(generator.next() & 0x3FFF_FFFF_FFFF_FFFF)
    return UUID(milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low)
  }
}
