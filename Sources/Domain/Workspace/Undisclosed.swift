/// A value that the log keeps and that is never shown: it is left out wherever an event leaves the store.
///
/// A payload that holds a hash of a secret, or anything sealed, holds it as one of these types. Its stored form is the same
/// as that of a plain member.
package protocol Undisclosed: Codable, Sendable {}

/// The keyed hash of a secret, in base64url.
package struct SecretHash: Undisclosed, Hashable {
  package let text: String

  package init(_ text: String) {
    self.text = text
  }

  package init(from decoder: any Decoder) throws {
    text = try String(from: decoder)
  }

  package func encode(to encoder: any Encoder) throws {
    try text.encode(to: encoder)
  }
}

/// A personal datum that is sealed under the key of the person whom it is about.
package struct SealedText: Undisclosed, Hashable {
  package let text: String

  package init(_ text: String) {
    self.text = text
  }

  package init(from decoder: any Decoder) throws {
    text = try String(from: decoder)
  }

  package func encode(to encoder: any Encoder) throws {
    try text.encode(to: encoder)
  }
}
