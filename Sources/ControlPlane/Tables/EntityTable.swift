import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A table whose rows are renderings of workspaces: one row per entity of some kind. It has no say in what events mean.
protocol EntityTable: SendableMetatype {
  associatedtype Row
  static var table: Table<Row> { get }
  /// The primary key of an entity's row; nil when entities of this kind have no row here.
  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]?
  /// The entity's row; nil when it does not exist (any more).
  static func row(for entity: Entity, of organization: OrganizationID, in workspace: Workspace)
    -> Row?
}

/// Every table that is rendered from workspaces, those that others refer to first.
let entityTables: [any EntityTable.Type] = [
  OrganizationTable.self,
  OrganizationSlugTable.self,
  MembershipTable.self,
  InvitationTable.self,
  InvitationLookupTable.self,
  ServiceTokenTable.self,
  ServiceTokenLookupTable.self,
  ProjectTable.self,
  PersonalAccessTokenTable.self,
]

/// An entity whose row has to be written, with the state to render it from.
struct TouchedEntity {
  let organizationID: OrganizationID
  let entity: Entity
  let workspace: Workspace
}

extension EntityTable {
  /// Writes the rows of those entities that have one here, and deletes those of entities that are gone.
  static func write(_ touched: [TouchedEntity]) -> [Query] {
    var rows: [Row] = []
    var gone: [[UUID]] = []
    for entity in touched {
      guard let key = key(of: entity.entity, of: entity.organizationID) else { continue }
      if let row = row(for: entity.entity, of: entity.organizationID, in: entity.workspace) {
        rows.append(row)
      } else {
        gone.append(key)
      }
    }
    return (rows.isEmpty ? [] : [table.upsert(rows)]) + (gone.isEmpty ? [] : [table.delete(gone)])
  }
}
