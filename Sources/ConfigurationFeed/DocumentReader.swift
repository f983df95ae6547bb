import Domain
import JSON

/// Takes a whole document apart into its pieces in one pass. What is between the pieces is read here; every piece is read
/// by the strict parser, one after the other.
struct DocumentReader {
  private(set) var position: Int64 = 0
  private(set) var organizations: [OrganizationID: ConfigurationDocument.Organization] = [:]
  private(set) var others = JSONObject()

  mutating func read(_ bytes: [UInt8]) throws(ConfigurationError) {
    var text = Text(bytes: bytes)
    var names: Set<String> = []
    try text.readObject("") { (name, text) throws(ConfigurationError) in
      guard names.insert(name).inserted else { throw text.error(.duplicateKey) }
      switch name {
      case "format":
        guard try text.readValue() == .integer(ConfigurationDocument.format) else {
          throw .unknownFormat
        }
      case "position":
        guard let position = try text.readValue().integer, position >= 0 else {
          throw .invalid(pointer: "/position", reason: "must be an integer that is not negative")
        }
        self.position = position
      case "organizations": try readOrganizations(&text)
      default: others.set(key: name, try text.readValue())
      }
    }
    try text.readEnd()
    guard names.contains("format") else { throw .unknownFormat }
    guard names.contains("position") else {
      throw .invalid(pointer: "/position", reason: "is required")
    }
    _ = try others.piece()
  }

  private mutating func readOrganizations(_ text: inout Text) throws(ConfigurationError) {
    try text.readObject("/organizations") { (name, text) throws(ConfigurationError) in
      let id = try OrganizationID(named: name, in: "/organizations")
      guard organizations[id] == nil else { throw text.error(.duplicateKey) }
      organizations[id] = try inside("/organizations/\(name.asPointerToken)") {
        () throws(ConfigurationError) in
        try readOrganization(&text)
      }
    }
  }

  private func readOrganization(
    _ text: inout Text
  ) throws(ConfigurationError) -> ConfigurationDocument.Organization {
    var settings = JSONObject()
    var projects: [ProjectID: [UInt8]]?
    try text.readObject("") { (name, text) throws(ConfigurationError) in
      guard name == "projects" else {
        guard !settings.contains(name) else { throw text.error(.duplicateKey) }
        settings.set(key: name, try text.readValue())
        return
      }
      guard projects == nil else { throw text.error(.duplicateKey) }
      var read: [ProjectID: [UInt8]] = [:]
      try text.readObject("/projects") { (name, text) throws(ConfigurationError) in
        let id = try ProjectID(named: name, in: "/projects")
        guard read[id] == nil else { throw text.error(.duplicateKey) }
        read[id] = try inside("/projects/\(name.asPointerToken)") { () throws(ConfigurationError) in
          try text.readPiece()
        }
      }
      projects = read
    }
    return .init(settings: try settings.piece(), projects: projects ?? [:])
  }
}

/// The text of a document, and how far it was read.
private struct Text {
  let bytes: [UInt8]
  private var offset = 0

  init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// Reads an object, member by member: `member` reads the value.
  mutating func readObject(
    _ pointer: String, _ member: (String, inout Text) throws(ConfigurationError) -> Void
  ) throws(ConfigurationError) {
    skipWhiteSpace()
    guard offset < bytes.count else { throw error(.prematureEnd) }
    guard bytes[offset] == UInt8(ascii: "{") else {
      // Whatever it is: is it JSON?
      _ = try readValue()
      throw .notAnObject(pointer)
    }
    offset += 1
    if take("}") { return }
    repeat {
      skipWhiteSpace()
      let name = try readName()
      guard take(":") else { throw error(.syntax) }
      try member(name, &self)
    } while take(",")
    guard take("}") else { throw error(.syntax) }
  }

  mutating func readValue() throws(ConfigurationError) -> JSONValue {
    let range = try skipValue()
    do throws(JSONSyntaxError) {
      return try JSONValue.parse(Array(bytes[range]))
    } catch {
      throw located(error, from: range.lowerBound)
    }
  }

  /// An object in the form in which it is held.
  mutating func readPiece() throws(ConfigurationError) -> [UInt8] {
    skipWhiteSpace()
    guard offset < bytes.count else { throw error(.prematureEnd) }
    guard bytes[offset] == UInt8(ascii: "{") else {
      _ = try readValue()
      throw .notAnObject("")
    }
    let range = try skipValue()
    let object: JSONObject
    do throws(JSONSyntaxError) {
      object = try JSONObject(parsing: Array(bytes[range]))
    } catch {
      throw located(error, from: range.lowerBound)
    }
    return try object.piece()
  }

  /// Nothing but white space may follow.
  mutating func readEnd() throws(ConfigurationError) {
    skipWhiteSpace()
    guard offset == bytes.count else { throw error(.trailingData) }
  }

  private mutating func readName() throws(ConfigurationError) -> String {
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else {
      throw error(.syntax)
    }
    guard case .string(let name) = try readValue() else { throw error(.syntax) }
    if name.utf8.contains(0) { throw error(.nulInKey) }
    return name
  }

  /// Where a value stands, by its brackets and quotation marks alone: whoever reads it looks at the rest.
  private mutating func skipValue() throws(ConfigurationError) -> Range<Int> {
    skipWhiteSpace()
    let start = offset
    let end = bytes.withUnsafeBufferPointer { Self.end(of: start, in: $0) }
    guard let end else {
      offset = bytes.count
      throw error(.prematureEnd)
    }
    guard end > start else { throw error(.syntax) }
    offset = end
    return start..<end
  }

  /// Nil when the text ends before the value does.
  private static func end(of start: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    var depth = 0
    var offset = start
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "\""):
        offset += 1
        while offset < bytes.count, bytes[offset] != UInt8(ascii: "\"") {
          offset += bytes[offset] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard offset < bytes.count else { return nil }
        if depth == 0 { return offset + 1 }
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        // The end of what is around a number or a literal is not the value's.
        if depth <= 0 { return depth == 0 ? offset + 1 : offset }
      case UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: " "), UInt8(ascii: "\n"),
        UInt8(ascii: "\r"), UInt8(ascii: "\t"):
        if depth == 0 { return offset }
      default: break
      }
      offset += 1
    }
    return depth == 0 && offset > start ? offset : nil
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipWhiteSpace()
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func skipWhiteSpace() {
    while offset < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[offset]) { offset += 1 }
  }

  /// An error at what is to be read next.
  func error(_ kind: JSONSyntaxError.Kind) -> ConfigurationError {
    let isEnd = offset >= bytes.count && kind == .syntax
    return located(
      JSONSyntaxError(kind: isEnd ? .prematureEnd : kind, line: 1, column: 1), from: offset)
  }

  /// An error of a part, by its place in the whole.
  private func located(_ error: JSONSyntaxError, from start: Int) -> ConfigurationError {
    var (line, column) = (1, 1)
    for byte in bytes[..<min(start, bytes.count)] {
      if byte == UInt8(ascii: "\n") {
        (line, column) = (line + 1, 1)
      } else if byte & 0xC0 != 0x80 {  // not a continuation byte: columns count characters
        column += 1
      }
    }
    return .syntax(
      JSONSyntaxError(
        kind: error.kind, line: line + error.line - 1,
        column: error.line == 1 ? column + error.column - 1 : error.column))
  }
}
