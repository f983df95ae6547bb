import Cryptography
import Domain
import EventStore
import FoundationEssentials
import Postgres

/// A row of `webhook_endpoints`.
struct WebhookEndpointRow {
  let organizationID: OrganizationID
  let id: WebhookEndpointID
  let endpoint: WebhookEndpoint
}

enum WebhookEndpointTable: EntityTable {
  static let table = Table<WebhookEndpointRow>(
    "webhook_endpoints",
    [
      .key("organization_id") { $0.organizationID.uuid },
      .key("endpoint_id") { $0.id.uuid },
      .value("url") { $0.endpoint.settings.url },
      .value("description") { $0.endpoint.settings.description },
      .value("event_types", as: "text[]") { literal($0.endpoint.settings.eventTypes.patterns) },
      .value("secret") { $0.endpoint.secret.bytes },
      .value("secret_key_version") { $0.endpoint.secret.keyVersion },
      .value("former_secret") { $0.endpoint.former?.sealed.bytes },
      .value("former_secret_key_version") { $0.endpoint.former?.sealed.keyVersion },
      .value("former_secret_until") { ($0.endpoint.former?.until).map(TimestampTZ.init) },
      .value("disabled_at") { ($0.endpoint.disablement?.since).map(TimestampTZ.init) },
      .value("disabled_reason") { $0.endpoint.disablement?.reason.rawValue },
      .value("start_version") { $0.endpoint.start.version },
      .value("start_after") { $0.endpoint.start.after },
      .value("created_by_kind") { $0.endpoint.createdBy.kind.rawValue },
      .value("created_by_id") { $0.endpoint.createdBy.id },
      .value("version") { $0.endpoint.version },
      .value("created_at") { TimestampTZ($0.endpoint.createdAt) },
      .value("updated_at") { TimestampTZ($0.endpoint.updatedAt) },
    ])

  static func key(of entity: Entity, of organization: OrganizationID) -> [UUID]? {
    if case .webhookEndpoint(let id) = entity { [organization.uuid, id.uuid] } else { nil }
  }

  static func row(
    for entity: Entity, of organization: OrganizationID, in workspace: Workspace
  ) -> WebhookEndpointRow? {
    guard case .webhookEndpoint(let id) = entity, let endpoint = workspace.webhookEndpoints[id]
    else { return nil }
    return WebhookEndpointRow(organizationID: organization, id: id, endpoint: endpoint)
  }

  /// As PostgreSQL writes an array: there are no arrays of arrays of unequal lengths.
  private static func literal(_ patterns: [String]) -> String {
    let quoted = patterns.map { pattern in
      "\"\(pattern.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }
    return "{\(quoted.joined(separator: ","))}"
  }

  static func find(_ id: WebhookEndpointID, in organization: OrganizationID) -> Query {
    """
    SELECT \(fragment: columns) FROM webhook_endpoints \
    WHERE organization_id = \(organization.uuid) AND endpoint_id = \(id.uuid)
    """
  }

  /// A workspace's endpoints, newest first, behind the one with the id `after`.
  static func list(in organization: OrganizationID, after: UUID?, limit: Int64) -> Query {
    """
    SELECT \(fragment: columns) FROM webhook_endpoints WHERE organization_id = \(organization.uuid) \
    AND (\(after)::uuid IS NULL OR endpoint_id < \(after)) ORDER BY endpoint_id DESC LIMIT \(limit)
    """
  }

  private static let columns = Query(unchecked: table.columnList)
}

extension WebhookEndpointRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      organizationID, id, url, description, eventTypes, secret, keyVersion, formerSecret,
      formerKeyVersion, formerUntil, disabledAt, disabledReason, startVersion, startAfter, byKind,
      byID, version, createdAt, updatedAt
    ) = try row.decode(
      (
        UUID, UUID, String, ExactText?, [String], [UInt8], Int64, [UInt8]?, Int64?, TimestampTZ?,
        TimestampTZ?, WebhookEndpoint.DisabledReason?, Int64, Int64?, Actor.Kind, UUID?, Int64,
        TimestampTZ, TimestampTZ
      ).self)
    var former: WebhookEndpoint.FormerSecret?
    if let formerSecret, let formerKeyVersion, let formerUntil {
      former = .init(
        sealed: SealedKey(bytes: formerSecret, keyVersion: formerKeyVersion),
        until: Timestamp(formerUntil))
    }
    var disablement: WebhookEndpoint.Disablement?
    if let disabledAt, let disabledReason {
      disablement = .init(reason: disabledReason, since: Timestamp(disabledAt))
    }
    self.init(
      organizationID: OrganizationID(organizationID), id: WebhookEndpointID(id),
      endpoint: WebhookEndpoint(
        settings: .init(
          url: url, description: description, eventTypes: EventTypeFilter(eventTypes)),
        secret: SealedKey(bytes: secret, keyVersion: keyVersion), former: former,
        disablement: disablement, start: .init(version: startVersion, after: startAfter),
        createdBy: Actor(kind: byKind, id: byID), version: version,
        createdAt: Timestamp(createdAt), updatedAt: Timestamp(updatedAt)))
  }
}

extension SealedKey {
  init(bytes: [UInt8], keyVersion: Int64) {
    self.init(envelope: Base64URL.encode(bytes), keyVersion: keyVersion)
  }

  /// What is no envelope opens nowhere, and is kept as it is nevertheless: the log says so.
  var bytes: [UInt8] { Base64URL.decode(envelope) ?? [] }
}
