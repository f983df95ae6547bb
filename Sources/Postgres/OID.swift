/// Object identifiers of the built-in types that this library speaks.
///
/// Source: PostgreSQL 15, `src/include/catalog/pg_type.dat`; they never change.
enum OID {
  static let bool: UInt32 = 16
  static let bytea: UInt32 = 17
  static let name: UInt32 = 19
  static let int8: UInt32 = 20
  static let int2: UInt32 = 21
  static let int4: UInt32 = 23
  static let text: UInt32 = 25
  static let json: UInt32 = 114
  static let void: UInt32 = 2278
  static let bpchar: UInt32 = 1042
  static let varchar: UInt32 = 1043
  static let timestamptz: UInt32 = 1184
  static let uuid: UInt32 = 2950
  static let jsonb: UInt32 = 3802

  static let boolArray: UInt32 = 1000
  static let byteaArray: UInt32 = 1001
  static let int2Array: UInt32 = 1005
  static let int4Array: UInt32 = 1007
  static let textArray: UInt32 = 1009
  static let int8Array: UInt32 = 1016
  static let timestamptzArray: UInt32 = 1185
  static let uuidArray: UInt32 = 2951
  static let jsonbArray: UInt32 = 3807

  /// A name for messages; the number itself where the type is none of the above.
  static func describe(_ oid: UInt32) -> String {
    switch oid {
    case bool: "bool"
    case bytea: "bytea"
    case name: "name"
    case int8: "int8"
    case int2: "int2"
    case int4: "int4"
    case text: "text"
    case json: "json"
    case void: "void"
    case bpchar: "bpchar"
    case varchar: "varchar"
    case timestamptz: "timestamptz"
    case uuid: "uuid"
    case jsonb: "jsonb"
    case boolArray: "bool[]"
    case byteaArray: "bytea[]"
    case int2Array: "int2[]"
    case int4Array: "int4[]"
    case textArray: "text[]"
    case int8Array: "int8[]"
    case timestamptzArray: "timestamptz[]"
    case uuidArray: "uuid[]"
    case jsonbArray: "jsonb[]"
    default: "oid \(oid)"
    }
  }
}
