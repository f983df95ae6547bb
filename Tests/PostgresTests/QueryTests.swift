import Testing

@testable import Postgres

struct QueryTests {
  @Test func `a runtime string can only be bound`() {
    let name = "'; DROP TABLE users; --"
    let query: Query = "SELECT \(name)"
    #expect(query.sql == "SELECT $1")
    #expect(query.parameters == [Parameter(name)])
  }

  @Test func `nil is NULL and keeps its type`() {
    let query: Query = "SELECT \(nil as Int32?)"
    #expect(query.parameters == [Parameter(oid: OID.int4, bytes: nil)])
  }

  @Test func `a spliced query is renumbered`() {
    let condition: Query = "a = \(1) AND b = '\\$1 é' AND c = \(2)"
    let query: Query = "SELECT \(0) WHERE \(fragment: condition) LIMIT \(3)"
    #expect(query.sql == "SELECT $1 WHERE a = $2 AND b = '\\$1 é' AND c = $3 LIMIT $4")
    #expect(query.parameters == [0, 1, 2, 3].map { Parameter($0) })
  }

  @Test func `a query spliced twice is renumbered across two digits`() {
    var nine: Query = "SELECT \(1)"
    for value in 2...9 { nine += ", \(value)" }
    let sum = nine + ", " + nine + ", \(19)"
    #expect(sum.sql.hasSuffix("$9, SELECT $10, $11, $12, $13, $14, $15, $16, $17, $18, $19"))
    #expect(sum.parameters.count == 19)
    #expect((sum + sum).sql.hasSuffix("$37, $38"))
  }

  @Test func `unchecked SQL without parameters can be spliced anywhere`() {
    let query: Query = "SELECT \(1) \(fragment: Query(unchecked: "FROM t")) WHERE \(true)"
    #expect(query.sql == "SELECT $1 FROM t WHERE $2")
  }
}
