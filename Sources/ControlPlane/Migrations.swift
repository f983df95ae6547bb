package import EventStore

extension Migrator {
  /// The schema of this program. To change it, add a file to `Migrations` and a line here.
  package static let signalbox = Migrator([
    Migration(
      number: 1, name: "event_log",
      sql: String(decoding: PackageResources._001_event_log_sql, as: UTF8.self)),
    Migration(
      number: 2, name: "workspaces",
      sql: String(decoding: PackageResources._002_workspaces_sql, as: UTF8.self)),
    Migration(
      number: 3, name: "people",
      sql: String(decoding: PackageResources._003_people_sql, as: UTF8.self)),
    Migration(
      number: 4, name: "erased_identities",
      sql: String(decoding: PackageResources._004_erased_identities_sql, as: UTF8.self)),
    Migration(
      number: 5, name: "sole_reader",
      sql: String(decoding: PackageResources._005_sole_reader_sql, as: UTF8.self)),
    Migration(
      number: 6, name: "rules",
      sql: String(decoding: PackageResources._006_rules_sql, as: UTF8.self)),
  ])
}
