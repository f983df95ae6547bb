/// Why bytes could not be inflated.
package enum CompressionError: Error, Equatable, Sendable {
  /// They are not compressed in this way, or not whole.
  case malformed
  /// They stand for more bytes than were allowed.
  case tooLarge
}
