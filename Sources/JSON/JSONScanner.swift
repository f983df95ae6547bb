/// Reads a JSON text value by value, without building anything of it: for the many small objects of a large body. As
/// strict as `JSONValue.parse`, to which it leaves everything that is rare.
///
///     try scanner.expect("{")
///     while let name = try scanner.nextName() { … try scanner.value() … }
package struct JSONScanner {
  /// A value, as far as flat objects hold it.
  package enum Value {
    /// In UTF-8, and nowhere escaped: valid for as long as the scanner's bytes are.
    case text(UnsafeRawBufferPointer)
    /// A string with escapes.
    case string(String)
    case integer(Int64)
    case real(Double)
    case null
    /// True, false, an array, an object, or a number that is larger than all that can be held.
    case other
  }

  private let bytes: UnsafeRawBufferPointer
  private var offset: Int
  private let end: Int

  /// - Parameter bytes: they must outlive the scanner.
  package init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    offset = 0
    end = bytes.count
  }

  /// Whether nothing but white space is left.
  package var isAtEnd: Bool {
    mutating get {
      skipSpace()
      return offset == end
    }
  }

  /// Takes one punctuation character if it is next.
  package mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard offset < end, bytes[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  /// - Throws: `JSONSyntaxError` when another character is next.
  package mutating func expect(_ character: Unicode.Scalar) throws(JSONSyntaxError) {
    guard take(character) else { throw failure() }
  }

  /// The name of an object's next member, behind its colon; nil at the end of the object.
  ///
  /// - Parameter isFirst: whether no comma is due.
  package mutating func nextName(isFirst: Bool) throws(JSONSyntaxError) -> Value? {
    if take("}") { return nil }
    if !isFirst { try expect(",") }
    skipSpace()
    guard offset < end, bytes[offset] == UInt8(ascii: "\"") else { throw failure() }
    let name = try string()
    try expect(":")
    return name
  }

  /// Whatever value is next.
  package mutating func value() throws(JSONSyntaxError) -> Value {
    skipSpace()
    guard offset < end else { throw failure() }
    switch bytes[offset] {
    case UInt8(ascii: "\""): return try string()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      let start = offset
      offset = composite()
      return try parsed(from: start)
    default:
      let start = offset
      while offset < end, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(bytes[offset]) {
        offset += 1
      }
      guard offset > start else { throw failure() }
      return try parsed(from: start)
    }
  }

  /// What is wrong at the place where the scanner is.
  package func failure(_ kind: JSONSyntaxError.Kind? = nil) -> JSONSyntaxError {
    failure(kind ?? (offset >= end ? .prematureEnd : .syntax), at: min(offset, end - 1))
  }

  private func failure(_ kind: JSONSyntaxError.Kind, at place: Int) -> JSONSyntaxError {
    var (line, column) = (1, 0)
    for byte in bytes.prefix(place + 1) {
      if byte == UInt8(ascii: "\n") {
        (line, column) = (line + 1, 0)
      } else if byte & 0xC0 != 0x80 {  // not a continuation byte: columns count characters
        column += 1
      }
    }
    return JSONSyntaxError(kind: kind, line: line, column: max(1, column))
  }

  private mutating func skipSpace() {
    while offset < end {
      switch bytes[offset] {
      case 0x20, 0x0A, 0x0D, 0x09: offset += 1
      default: return
      }
    }
  }

  private mutating func string() throws(JSONSyntaxError) -> Value {
    let start = offset
    offset += 1
    var isASCII = true
    while offset < end {
      let byte = bytes[offset]
      if byte == UInt8(ascii: "\"") {
        let text = UnsafeRawBufferPointer(rebasing: bytes[start + 1..<offset])
        if !isASCII, String(validating: text, as: UTF8.self) == nil {
          throw failure(.encoding, at: start)
        }
        offset += 1
        return .text(text)
      }
      if byte == UInt8(ascii: "\\") {
        offset = stringEnd(from: start)
        return try parsed(from: start)
      }
      guard byte >= 0x20 else { throw failure() }
      isASCII = isASCII && byte < 0x80
      offset += 1
    }
    throw failure()
  }

  private mutating func number() throws(JSONSyntaxError) -> Value {
    let start = offset
    var isPlain = true
    scan: while offset < end {
      switch bytes[offset] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): break
      case UInt8(ascii: "-") where offset == start: break
      case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"),
        UInt8(ascii: "-"):
        isPlain = false
      default: break scan
      }
      offset += 1
    }
    // Signs, leading zeros and what may not fit are looked at by the parser.
    let digits = bytes[start..<offset]
    guard isPlain, digits.count < 19, digits.count == 1 || digits[start] > UInt8(ascii: "0") else {
      return try rareNumber(from: start)
    }
    var number: Int64 = 0
    for digit in digits {
      guard digit >= UInt8(ascii: "0") else { return try rareNumber(from: start) }
      number = number * 10 + Int64(digit - UInt8(ascii: "0"))
    }
    return .integer(number)
  }

  /// What the strict parser makes of a number. One that is well-formed and too large is a value like any other: the record
  /// that it is in can be refused, and the records beside it are read.
  private func rareNumber(from start: Int) throws(JSONSyntaxError) -> Value {
    do throws(JSONSyntaxError) {
      return try parsed(from: start)
    } catch {
      guard error.kind == .number, isNumber(bytes[start..<offset]) else { throw error }
      return .other
    }
  }

  /// RFC 8259, section 6.
  private func isNumber(_ text: Slice<UnsafeRawBufferPointer>) -> Bool {
    var rest = text
    func take(_ characters: String) -> Bool {
      guard let byte = rest.first, characters.utf8.contains(byte) else { return false }
      rest.removeFirst()
      return true
    }
    func takeDigits() -> Bool {
      var isEmpty = true
      while take("0123456789") { isEmpty = false }
      return !isEmpty
    }
    _ = take("-")
    guard take("0") || takeDigits() else { return false }
    if take("."), !takeDigits() { return false }
    if take("eE") {
      _ = take("+-")
      guard takeDigits() else { return false }
    }
    return rest.isEmpty
  }

  /// The end of the string that begins there.
  private func stringEnd(from start: Int) -> Int {
    var place = start + 1
    while place < end, bytes[place] != UInt8(ascii: "\"") {
      place += bytes[place] == UInt8(ascii: "\\") ? 2 : 1
    }
    return min(place + 1, end)
  }

  /// The end of the array or object that begins here.
  private func composite() -> Int {
    var (place, depth) = (offset, 0)
    while place < end {
      switch bytes[place] {
      case UInt8(ascii: "\""):
        place = stringEnd(from: place)
        continue
      case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      default: break
      }
      place += 1
      if depth == 0 { break }
    }
    return place
  }

  /// What the strict parser makes of everything from there to here.
  private func parsed(from start: Int) throws(JSONSyntaxError) -> Value {
    let value: JSONValue
    do throws(JSONSyntaxError) {
      value = try JSONValue.parse(UnsafeRawBufferPointer(rebasing: bytes[start..<offset]))
    } catch {
      throw failure(error.kind, at: start)
    }
    return switch value {
    case .string(let text): .string(text)
    case .integer(let number): .integer(number)
    case .real(let number): .real(number)
    case .null: .null
    case .bool, .array, .object: .other
    }
  }
}
