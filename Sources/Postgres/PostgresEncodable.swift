package import FoundationEssentials

/// A value that travels to PostgreSQL in binary.
///
/// Source of object identifiers: `pg_type.dat`; of formats: the `…send` functions of each type.
package protocol PostgresEncodable: PostgresArrayEncodable {
  static var oid: UInt32 { get }
  /// Appends the value in the type's binary format, without a length.
  func encode(into bytes: inout [UInt8])
}

/// An element that knows how an array of itself travels.
///
/// It exists so that `[UInt8]` can be `bytea` while every other array is a PostgreSQL array.
package protocol PostgresArrayEncodable: Sendable {
  /// The type of `[Self]`.
  static var arrayOID: UInt32 { get }
  /// The type of `[[Self]]` where that is a type of its own, otherwise 0.
  static var arrayOfArraysOID: UInt32 { get }
  static func encode(array: [Self], into bytes: inout [UInt8])
}

extension PostgresEncodable {
  package static var arrayOfArraysOID: UInt32 { 0 }

  package static func encode(array: [Self], into bytes: inout [UInt8]) {
    var builder = ArrayBuilder<Self>()
    builder.reserveCapacity(array.count)
    for element in array { builder.append(element) }
    builder.encode(into: &bytes)
  }
}

extension Array: PostgresEncodable, PostgresArrayEncodable where Element: PostgresArrayEncodable {
  package static var oid: UInt32 { Element.arrayOID }
  package static var arrayOID: UInt32 { Element.arrayOfArraysOID }
  package func encode(into bytes: inout [UInt8]) { Element.encode(array: self, into: &bytes) }
}

extension UInt8: PostgresArrayEncodable {
  package static var arrayOID: UInt32 { OID.bytea }
  package static var arrayOfArraysOID: UInt32 { OID.byteaArray }
  package static func encode(array: [UInt8], into bytes: inout [UInt8]) { bytes += array }
}

extension Bool: PostgresEncodable {
  package static var oid: UInt32 { OID.bool }
  package static var arrayOID: UInt32 { OID.boolArray }
  package func encode(into bytes: inout [UInt8]) { bytes.append(self ? 1 : 0) }
}

extension Int16: PostgresEncodable {
  package static var oid: UInt32 { OID.int2 }
  package static var arrayOID: UInt32 { OID.int2Array }
  package func encode(into bytes: inout [UInt8]) { bytes.append(bigEndian: self) }
}

extension Int32: PostgresEncodable {
  package static var oid: UInt32 { OID.int4 }
  package static var arrayOID: UInt32 { OID.int4Array }
  package func encode(into bytes: inout [UInt8]) { bytes.append(bigEndian: self) }
}

extension Int64: PostgresEncodable {
  package static var oid: UInt32 { OID.int8 }
  package static var arrayOID: UInt32 { OID.int8Array }
  package func encode(into bytes: inout [UInt8]) { bytes.append(bigEndian: self) }
}

extension Int: PostgresEncodable {
  package static var oid: UInt32 { OID.int8 }
  package static var arrayOID: UInt32 { OID.int8Array }
  package func encode(into bytes: inout [UInt8]) { bytes.append(bigEndian: Int64(self)) }
}

/// The server refuses U+0000 in text (SQLSTATE 22021).
extension String: PostgresEncodable {
  package static var oid: UInt32 { OID.text }
  package static var arrayOID: UInt32 { OID.textArray }
  package func encode(into bytes: inout [UInt8]) { bytes += utf8 }
}

extension UUID: PostgresEncodable {
  package static var oid: UInt32 { OID.uuid }
  package static var arrayOID: UInt32 { OID.uuidArray }
  package func encode(into bytes: inout [UInt8]) {
    withUnsafeBytes(of: uuid) { bytes.append(contentsOf: $0) }
  }
}

extension TimestampTZ: PostgresEncodable {
  package static var oid: UInt32 { OID.timestamptz }
  package static var arrayOID: UInt32 { OID.timestamptzArray }
  package func encode(into bytes: inout [UInt8]) {
    bytes.append(bigEndian: microsecondsSinceUnixEpoch - TimestampTZ.postgresEpoch)
  }
}

extension JSONB: PostgresEncodable {
  package static var oid: UInt32 { OID.jsonb }
  package static var arrayOID: UInt32 { OID.jsonbArray }
  package func encode(into bytes: inout [UInt8]) {
    bytes.reserveCapacity(bytes.count + 1 + utf8.count)
    bytes.append(JSONB.version)
    bytes += utf8
  }
}

extension [UInt8] {
  mutating func append(bigEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
  }
}
