import Domain
import EventStore
import Postgres

/// A table whose rows are renderings of workspaces: one row per entity of some kind. It has no say in what events mean.
protocol EntityTable: SendableMetatype {
  associatedtype Row
  static var table: Table<Row> { get }
  /// The entity's row; nil when entities of this kind have no row here.
  static func row(for entity: Entity, of organization: OrganizationID, in workspace: Workspace)
    -> Row?
}

/// Every table that is rendered from workspaces, those that others refer to first.
let entityTables: [any EntityTable.Type] = [
  OrganizationTable.self,
  OrganizationSlugTable.self,
  MembershipTable.self,
  ProjectTable.self,
]

/// An entity whose row has to be written, with the state to render it from.
struct TouchedEntity {
  let organizationID: OrganizationID
  let entity: Entity
  let workspace: Workspace
}

extension EntityTable {
  /// Writes the rows of those entities that have one here; nil when none has.
  static func upsert(_ touched: [TouchedEntity]) -> Query? {
    let rows = touched.compactMap { row(for: $0.entity, of: $0.organizationID, in: $0.workspace) }
    return rows.isEmpty ? nil : table.upsert(rows)
  }
}
