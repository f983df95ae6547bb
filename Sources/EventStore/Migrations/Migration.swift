import Cryptography

/// One ordered step of the schema. Never edited once released: a change is a further step, and one that old replicas
/// cannot live with is split in two releases (expand, then contract).
package struct Migration: Sendable, Equatable {
  /// From 1, without gaps.
  package let number: Int32
  package let name: String
  package let sql: String

  package init(number: Int32, name: String, sql: String) {
    self.number = number
    self.name = name
    self.sql = sql
  }

  /// SHA-256 of the text, in hexadecimal, so that an edited step is noticed.
  package var checksum: String {
    SHA256.hash(Array(sql.utf8)).hexString
  }
}

/// Why the schema was left as it was.
package enum MigrationError: Error, Equatable, Sendable {
  /// A step that was applied reads differently now.
  case checksumMismatch(number: Int32, name: String)
  /// The database was migrated by a newer program: that one's steps are unknown here.
  case unknownMigration(number: Int32)
}
