package import Domain
package import JSON
package import Postgres

/// Exact texts go over the wire and into columns as plain strings.
extension ExactText: JSONConvertible {
  package func json() -> JSONNode { text.json() }
}

extension ExactText: PostgresEncodable {
  package static var oid: UInt32 { String.oid }
  package static var arrayOID: UInt32 { String.arrayOID }
  package func encode(into bytes: inout [UInt8]) { text.encode(into: &bytes) }
}

extension ExactText: PostgresDecodable {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> ExactText {
    ExactText(try String.decode(cell))
  }
}
