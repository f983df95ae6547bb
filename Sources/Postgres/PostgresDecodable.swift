package import FoundationEssentials

/// A value that can be read from a column in PostgreSQL's binary format.
package protocol PostgresDecodable: PostgresArrayDecodable {
  static func decode(_ cell: Cell) throws(CellMismatch) -> Self
}

/// An element that knows how an array of itself is read: `[UInt8]` from `bytea`, others from arrays.
package protocol PostgresArrayDecodable {
  static func decodeArray(_ cell: Cell) throws(CellMismatch) -> [Self]
}

/// One value of a result; its bytes live only as long as the call that was given it.
package struct Cell {
  package let oid: UInt32
  /// `nil` is NULL.
  package let bytes: UnsafeRawBufferPointer?

  /// The bytes, when they are of one of these types and not NULL.
  func bytes(
    _ expected: @autoclosure () -> String, _ oids: UInt32...
  ) throws(CellMismatch) -> UnsafeRawBufferPointer {
    guard let bytes, oids.contains(oid) else { throw mismatch(expected()) }
    return bytes
  }

  func mismatch(_ expected: String) -> CellMismatch {
    CellMismatch(expected: expected, found: bytes == nil ? "NULL" : OID.describe(oid))
  }

  /// An integer of exactly the width that the value has.
  func integer<Value: FixedWidthInteger>(_: Value.Type) throws(CellMismatch) -> Value {
    guard let bytes, bytes.count == MemoryLayout<Value>.size else {
      throw mismatch("\(Value.self)")
    }
    return Value(bigEndian: bytes.loadUnaligned(as: Value.self))
  }
}

/// What was expected and what was there; the row adds which column of which row.
package struct CellMismatch: Error {
  package let expected: String
  package let found: String

  package init(expected: String, found: String) {
    self.expected = expected
    self.found = found
  }
}

extension Optional: PostgresDecodable, PostgresArrayDecodable where Wrapped: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> Wrapped? {
    cell.bytes == nil ? nil : try Wrapped.decode(cell)
  }
}

extension Array: PostgresDecodable, PostgresArrayDecodable where Element: PostgresArrayDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> [Element] {
    try Element.decodeArray(cell)
  }
}

extension UInt8: PostgresArrayDecodable {
  package static func decodeArray(_ cell: Cell) throws(CellMismatch) -> [UInt8] {
    [UInt8](try cell.bytes("bytea", OID.bytea))
  }
}

extension PostgresDecodable {
  /// Source: PostgreSQL 15, `array_recv` in `src/backend/utils/adt/arrayfuncs.c`.
  package static func decodeArray(_ cell: Cell) throws(CellMismatch) -> [Self] {
    guard let bytes = cell.bytes, bytes.count >= 12 else {
      throw cell.mismatch("array of \(Self.self)")
    }
    var offset = 0
    func next() throws(CellMismatch) -> Int32 {
      guard offset + 4 <= bytes.count else { throw cell.mismatch("array of \(Self.self)") }
      defer { offset += 4 }
      return Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self))
    }
    let dimensions = try next()
    _ = try next()
    let elementOID = UInt32(bitPattern: try next())
    if dimensions == 0 { return [] }
    guard dimensions == 1 else { throw cell.mismatch("one-dimensional array of \(Self.self)") }
    let count = Int(try next())
    _ = try next()
    // Every element takes at least its length's four bytes: never reserve more on a lie's word.
    guard count >= 0, count <= (bytes.count - offset) / 4 else {
      throw cell.mismatch("array of \(Self.self)")
    }
    var elements: [Self] = []
    elements.reserveCapacity(count)
    for _ in 0..<count {
      let length = Int(try next())
      guard length >= 0 else {
        elements.append(try decode(Cell(oid: elementOID, bytes: nil)))
        continue
      }
      guard offset + length <= bytes.count else {
        throw cell.mismatch("array of \(Self.self)")
      }
      let element = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
      elements.append(try decode(Cell(oid: elementOID, bytes: element)))
      offset += length
    }
    return elements
  }
}

extension Bool: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> Bool {
    let bytes = try cell.bytes("bool", OID.bool)
    guard bytes.count == 1 else { throw cell.mismatch("bool") }
    return bytes[0] != 0
  }
}

extension Int16: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> Int16 {
    guard cell.oid == OID.int2 else { throw cell.mismatch("int2") }
    return try cell.integer(Int16.self)
  }
}

/// Reads the narrower type too: widening loses nothing.
extension Int32: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> Int32 {
    switch cell.oid {
    case OID.int4: try cell.integer(Int32.self)
    case OID.int2: Int32(try cell.integer(Int16.self))
    default: throw cell.mismatch("int4")
    }
  }
}

/// Reads the narrower types too: widening loses nothing.
extension Int64: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> Int64 {
    switch cell.oid {
    case OID.int8: try cell.integer(Int64.self)
    case OID.int4: Int64(try cell.integer(Int32.self))
    case OID.int2: Int64(try cell.integer(Int16.self))
    default: throw cell.mismatch("int8")
    }
  }
}

extension Int: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> Int {
    Int(try Int64.decode(cell))
  }
}

extension String: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> String {
    let bytes = try cell.bytes("text", OID.text, OID.varchar, OID.bpchar, OID.name)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw cell.mismatch("text in UTF-8")
    }
    return text
  }
}

extension UUID: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> UUID {
    let bytes = try cell.bytes("uuid", OID.uuid)
    guard bytes.count == 16 else { throw cell.mismatch("uuid") }
    return UUID(uuid: bytes.loadUnaligned(as: uuid_t.self))
  }
}

extension TimestampTZ: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> TimestampTZ {
    guard cell.oid == OID.timestamptz else { throw cell.mismatch("timestamptz") }
    let (microseconds, overflow) = try cell.integer(Int64.self)
      .addingReportingOverflow(postgresEpoch)
    guard !overflow, range.contains(microseconds) else {
      throw CellMismatch(
        expected: "timestamptz in the years 0001 to 9999", found: "an instant outside them")
    }
    return TimestampTZ(clamping: microseconds)
  }
}

extension JSONB: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> JSONB {
    let bytes = try cell.bytes("jsonb", OID.jsonb, OID.json)
    if cell.oid == OID.json { return JSONB(utf8: [UInt8](bytes)) }
    guard bytes.first == version else { throw cell.mismatch("jsonb of version 1") }
    return JSONB(utf8: [UInt8](bytes.dropFirst()))
  }
}
