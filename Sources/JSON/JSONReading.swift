import CJansson

extension JSONNode {
  /// Reads one JSON text, strictly: see `JSONValue.parse`.
  init(
    parsing bytes: UnsafeRawBufferPointer, maximumDepth: Int
  ) throws(JSONSyntaxError) {
    guard let start = bytes.baseAddress, !bytes.isEmpty else {
      throw JSONSyntaxError(kind: .prematureEnd, line: 1, column: 1)
    }
    try check(bytes, maximumDepth: maximumDepth)
    seedOnce
    var error = json_error_t()
    let flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL
    let text = start.assumingMemoryBound(to: CChar.self)
    guard let root = json_loadb(text, bytes.count, Int(flags), &error) else {
      throw JSONSyntaxError(error)
    }
    self.init(owning: root)
  }

  init(parsing bytes: [UInt8], maximumDepth: Int) throws(JSONSyntaxError) {
    let result = bytes.withUnsafeBytes { raw -> Result<PointerBox, JSONSyntaxError> in
      do throws(JSONSyntaxError) {
        return .success(
          PointerBox(pointer: try JSONNode(parsing: raw, maximumDepth: maximumDepth).release()))
      } catch {
        return .failure(error)
      }
    }
    self.init(owning: try result.get().pointer)
  }
}

/// Carries an owned pointer out of a closure that can return only copyable values.
private struct PointerBox { let pointer: UnsafeMutablePointer<json_t> }

/// Refuses, before the parser sees them, two things of which it is not strict enough:
///
/// - Nesting beyond `maximumDepth`, since the parser recurses (its own limit is 2,048). Up to the
///   first syntax error this sees the same strings and brackets as the parser, and after that the
///   parser stops: so it can never recurse deeper than what was counted here.
/// - The byte 0, which jansson 2.14 drops after a number or a literal, taking it for the end of
///   its own buffer.
private func check(
  _ bytes: UnsafeRawBufferPointer, maximumDepth: Int
) throws(JSONSyntaxError) {
  var depth = 0
  var inString = false
  var offset = 0
  while offset < bytes.count {
    switch bytes[offset] {
    case UInt8(ascii: "\""): inString.toggle()
    case UInt8(ascii: "\\") where inString: offset += 1
    case UInt8(ascii: "["), UInt8(ascii: "{"):
      if !inString {
        depth += 1
        if depth > maximumDepth { throw error(.depth, at: offset, in: bytes) }
      }
    case UInt8(ascii: "]"), UInt8(ascii: "}"):
      if !inString { depth -= 1 }
    case 0: throw error(.syntax, at: offset, in: bytes)
    default: break
    }
    offset += 1
  }
}

private func error(
  _ kind: JSONSyntaxError.Kind, at offset: Int, in bytes: UnsafeRawBufferPointer
) -> JSONSyntaxError {
  var line = 1
  var column = 0
  for byte in bytes[...offset] {
    if byte == UInt8(ascii: "\n") {
      line += 1
      column = 0
    } else if byte & 0xC0 != 0x80 {  // not a continuation byte: columns count characters
      column += 1
    }
  }
  return JSONSyntaxError(kind: kind, line: line, column: column)
}
