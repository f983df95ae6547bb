import Domain
import EventStore
import FoundationEssentials
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What commands write is what the tables' own queries read: every row equals the folded state.
@Suite struct RowTests {
  /// The tables that DOMAIN.md names and that exist so far, each with its typed counterpart. It may only grow.
  static let counterparts: [String: [String]] = [
    OrganizationTable.table.name: OrganizationTable.table.columns.map(\.name),
    OrganizationSlugTable.table.name: OrganizationSlugTable.table.columns.map(\.name),
    MembershipTable.table.name: MembershipTable.table.columns.map(\.name),
    InvitationTable.table.name: InvitationTable.table.columns.map(\.name),
    InvitationLookupTable.table.name: InvitationLookupTable.table.columns.map(\.name),
    ServiceTokenTable.table.name: ServiceTokenTable.table.columns.map(\.name),
    ServiceTokenLookupTable.table.name: ServiceTokenLookupTable.table.columns.map(\.name),
    PersonalAccessTokenTable.table.name: PersonalAccessTokenTable.table.columns.map(\.name),
    GatewayTokenTable.table.name: GatewayTokenTable.table.columns.map(\.name),
    GatewayTable.table.name: GatewayTable.table.columns.map(\.name),
    ConfigurationChangeTable.table.name:
      ConfigurationChangeTable.table.columns.map(\.name) + ["recorded_at"],
    ProjectTable.table.name: ProjectTable.table.columns.map(\.name),
    IPRuleTable.table.name: IPRuleTable.table.columns.map(\.name),
    GeoRuleTable.table.name: GeoRuleTable.table.columns.map(\.name),
    ModelRuleTable.table.name: ModelRuleTable.table.columns.map(\.name),
    APIKeyTable.table.name: APIKeyTable.table.columns.map(\.name),
    APIKeyLookupTable.table.name: APIKeyLookupTable.table.columns.map(\.name),
    ProviderKeyTable.table.name: ProviderKeyTable.table.columns.map(\.name),
    WebhookEndpointTable.table.name: WebhookEndpointTable.table.columns.map(\.name),
    WebhookCursorTable.table.name: WebhookCursorTable.table.columns.map(\.name),
    WebhookDeliveryTable.table.name: WebhookDeliveryTable.table.columns.map(\.name),
    RequestLogTable.name: RequestLogTable.columns,
    CreditPurchaseTable.table.name: CreditPurchaseTable.table.columns.map(\.name),
    UsageCounterTable.table.name: UsageCounterTable.table.columns.map(\.name),
    UsageReportTable.name: UsageReportTable.columns,
    UsageDayTable.name: UsageDayTable.columns,
    StripeEventTable.name: StripeEventTable.columns + ["payload"],
    JobAttemptTable.name: JobAttemptTable.columns,
    AuditEventTable.table.name: AuditEventTable.table.columns.map(\.name),
    IdempotencyRecord.table.name: IdempotencyRecord.table.columns.map(\.name),
  ]

  /// Tables that are written by queries of their own.
  static let others: Set = [
    "configuration_changes_floor", "data_subjects", "events", "event_log_head", "schema_migrations",
    "server_secrets",
    "service_token_uses", "snapshots", "users",
  ]

  @Test func `no table lacks its typed counterpart, and no counterpart its table`() async throws {
    let names = try await Self.columns().keys
    #expect(Set(names) == Self.others.union(Self.counterparts.keys))
    for table in entityTables {
      #expect(Self.counterparts[table.tableName] != nil, "\(table)")
    }
  }

  @Test(arguments: counterparts.keys.sorted())
  func `every column is written`(table: String) async throws {
    let columns = try #require(try await Self.columns()[table])
    #expect(Set(columns) == Set(Self.counterparts[table] ?? []))
  }

  @Test func `what was written is read again`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.makeOrganization()
    let project = ProjectID(Identifiers.next())
    var limits = ThresholdChanges()
    limits.rateLimit = 1
    limits.abuseThreshold = 2
    limits.maxTokens = 3
    limits.loopSensitivity = .medium
    for command: WorkspaceCommand in [
      .organization(.rename(name: "Zürich \"🚂\" {\\}", slug: nil)),
      .project(.create(project, name: "A", environment: .test)),
      .project(.change(project, name: "ä,\"b\"\n{}", thresholds: limits)),
      .project(.setPanicMode(project, enabled: true, reason: "a\nleak")),
      .project(.archive(project)), .organization(.archive),
    ] {
      _ = try await plane.handle(command, in: organization)
      try await expectTablesEqualState(plane, organization, project)
    }
  }

  private func expectTablesEqualState(
    _ plane: TestControlPlane, _ organization: OrganizationID, _ project: ProjectID
  ) async throws {
    let adminID = plane.adminID
    try await plane.database.withApplicationSession { session throws in
      var state = StoredWorkspace()
      for row in try session.execute(
        EventLog.events(of: organization.uuid, after: 0, limit: 100), deadline: .soon)
      {
        try state.fold(RecordedEvent(row))
      }
      let workspace = state.workspace
      let organizations = try session.execute(
        OrganizationTable.find(organization), deadline: .soon)
      #expect(try OrganizationRow(organizations[0]).organization == workspace.organization)
      let slug = try #require(workspace.organization?.slug)
      let holders = try session.execute(
        OrganizationSlugTable.holders(of: [slug, "nobody"]), deadline: .soon)
      #expect(
        try holders.map { row throws in try row.decode((String, UUID).self).1 } == [
          organization.uuid
        ])
      let roles = try session.execute(
        MembershipTable.role(of: adminID, in: organization), deadline: .soon)
      #expect(try roles[0].decode(Role.self) == workspace.members[adminID]?.role)
      let projects = try session.execute(
        ProjectTable.find(project, in: organization), deadline: .soon)
      #expect(
        try projects.first.map { row throws in try ProjectRow(row).project }
          == workspace.projects[project])
    }
  }

  private static func columns() async throws -> [String: [String]] {
    try await TestControlPlane.shared.database.withSession { session throws in
      let rows = try session.execute(
        """
        SELECT table_name::text, column_name::text FROM information_schema.columns \
        JOIN information_schema.tables USING (table_schema, table_name) \
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE' \
        AND NOT (SELECT relispartition FROM pg_class WHERE oid = quote_ident(table_name)::regclass)
        """, deadline: .soon)
      var columns: [String: [String]] = [:]
      for row in rows {
        let (table, column) = try row.decode((String, String).self)
        columns[table, default: []].append(column)
      }
      return columns
    }
  }
}

extension EntityTable {
  fileprivate static var tableName: String { table.name }
}
