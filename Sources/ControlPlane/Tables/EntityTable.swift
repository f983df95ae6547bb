import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A table whose rows are renderings of workspaces: one row per entity of some kind. It has no say in what events mean.
protocol EntityTable: SendableMetatype {
  associatedtype Row
  static var table: Table<Row> { get }
  /// The primary key of an entity's row; nil when entities of this kind have no row here. Depends on nothing but the kind.
  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]?
  /// The entity's row; nil when it does not exist (any more).
  static func row(for entity: Entity, of organization: OrganizationID, in workspace: Workspace)
    -> Row?
  /// Whether another table holds the entity, and has from the beginning: then there is no row here to delete.
  static func isElsewhere(_ entity: Entity, in workspace: Workspace) -> Bool
}

extension EntityTable {
  static func isElsewhere(_ entity: Entity, in workspace: Workspace) -> Bool { false }
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
  IPRuleTable.self,
  GeoRuleTable.self,
  ModelRuleTable.self,
  APIKeyTable.self,
  APIKeyLookupTable.self,
  ProviderKeyTable.self,
  WebhookEndpointTable.self,
  PersonalAccessTokenTable.self,
  GatewayTokenTable.self,
  CreditPurchaseTable.self,
  UsageCounterTable.self,
]

/// An entity whose row has to be written, with the state to render it from.
struct TouchedEntity {
  let organizationID: OrganizationID
  let entity: Entity
  let workspace: Workspace
}

/// The statements that bring the tables to what touched entities are now: rows that are there, and rows that are gone.
struct EntityWrites {
  private(set) var upserts: [Query] = []
  private(set) var deletes: [Query] = []

  init(_ touched: [TouchedEntity]) {
    // One command may touch thousands of entities of one kind: the tables of the other kinds do not look at them.
    let byKind = Dictionary(grouping: touched, by: \.entity.kind)
    for table in entityTables {
      for touched in byKind.values {
        guard let first = touched.first,
          table.key(of: first.entity, of: first.organizationID) != nil
        else { continue }
        add(touched, to: table)
      }
    }
  }

  private mutating func add<Written: EntityTable>(
    _ touched: [TouchedEntity], to table: Written.Type
  ) {
    var rows: [Written.Row] = []
    var gone: [[UUID]] = []
    for entity in touched {
      guard let key = table.key(of: entity.entity, of: entity.organizationID) else { continue }
      if let row = table.row(for: entity.entity, of: entity.organizationID, in: entity.workspace) {
        rows.append(row)
      } else if !table.isElsewhere(entity.entity, in: entity.workspace) {
        gone.append(key)
      }
    }
    if !rows.isEmpty { upserts.append(table.table.upsert(rows)) }
    if !gone.isEmpty { deletes.append(table.table.delete(gone)) }
  }
}
