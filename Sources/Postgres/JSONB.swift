/// A JSON text as UTF-8; it travels as `jsonb`, and is read from `jsonb` and `json`.
///
/// `jsonb` keeps neither the order of keys nor the spelling of numbers, and refuses U+0000.
package struct JSONB: Sendable, Hashable {
  package var utf8: [UInt8]

  package init(utf8: [UInt8]) { self.utf8 = utf8 }

  /// The format's version byte, in front of the text.
  static let version: UInt8 = 1
}
