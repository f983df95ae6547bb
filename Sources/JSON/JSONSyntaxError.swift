import CJansson

/// Why a text is not the JSON this service reads (RFC 8259, narrowed as in `JSONValue.parse`).
///
/// It never carries any of the input: bodies hold secrets, and errors are logged and replied.
package struct JSONSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong, coarse enough to be stable whatever parser is underneath.
  package enum Kind: String, Sendable, CaseIterable {
    case depth = "nested too deeply"
    case duplicateKey = "an object has two members of the same name"
    case encoding = "not valid UTF-8"
    case number = "a number is out of range"
    case nulInKey = "a member's name contains U+0000"
    case prematureEnd = "the text ends too early"
    case syntax = "not well-formed JSON"
    case trailingData = "data follows the JSON value"
  }

  package let kind: Kind
  /// The line on which reading stopped, from 1.
  package let line: Int
  /// The character (Unicode scalar, not byte) of that line at which reading stopped, from 1.
  package let column: Int

  package init(kind: Kind, line: Int, column: Int) {
    self.kind = kind
    self.line = line
    self.column = column
  }

  /// The kind in words, for the `detail` of a problem document.
  package var message: String { kind.rawValue }

  package var description: String { "\(message) (line \(line), column \(column))" }

  init(_ error: json_error_t) {
    // Not `error.text`: it echoes the input.
    var error = error
    let kind: Kind =
      switch json_error_code(&error) {
      case json_error_stack_overflow: .depth
      case json_error_duplicate_key: .duplicateKey
      case json_error_invalid_utf8: .encoding
      case json_error_numeric_overflow: .number
      case json_error_null_byte_in_key: .nulInKey
      case json_error_premature_end_of_input: .prematureEnd
      case json_error_end_of_input_expected: .trailingData
      default: .syntax
      }
    // At the first character of a line jansson has counted none yet.
    self.init(kind: kind, line: max(1, Int(error.line)), column: max(1, Int(error.column)))
  }
}
