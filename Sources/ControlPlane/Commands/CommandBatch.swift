import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres

/// What one transaction is going to write, gathered while its commands are decided.
struct CommandBatch {
  /// A command that the batch went on without.
  struct Postponed {
    enum Reason {
      /// It weighs so much that it needs a batch of its own, which it did not show before it was decided.
      case large(weight: Int)
      /// Its workspace has to be loaded first, beside the writer.
      case unloaded
    }

    let command: PendingCommand
    let reason: Reason
  }

  /// The position of the log's newest event, this batch's included.
  private(set) var position: Int64
  private(set) var events: [RecordedEvent] = []
  private var auditRows: [AuditEventRow] = []
  private var records: [IdempotencyRecord] = []
  private var configurationChanges: [ConfigurationChangeRow] = []
  private var touched: Set<TouchedEntity.Key> = []
  private var touchedInOrder: [TouchedEntity.Key] = []
  private var prepared: Set<OrganizationID> = []
  private(set) var answers: [(command: PendingCommand, answer: PendingCommand.Answer)] = []
  private(set) var postponed: [Postponed] = []
  /// Replies to Idempotency-Keys of earlier requests.
  private(set) var storedReplies: [IdempotencyClaim.ID: IdempotencyRecord] = [:]
  /// Who has each of the slugs that this batch's commands claim.
  private var slugHolders: [String: OrganizationID] = [:]

  /// Reports of usage that nothing has counted yet.
  private var uncountedReports: Set<UUID> = []
  private var countedReports: [(id: UUID, organization: UUID)] = []

  /// Begins behind the newest event.
  init(position: Int64) {
    self.position = position
  }

  mutating func add(_ storedReply: IdempotencyRecord) {
    storedReplies[storedReply.claim.id] = storedReply
  }

  mutating func add(slug: String, heldBy holder: OrganizationID) {
    slugHolders[slug] = holder
  }

  mutating func add(uncountedReport id: UUID) {
    uncountedReports.insert(id)
  }

  func areUncounted(_ reports: [UsageReport]) -> Bool {
    reports.allSatisfy { uncountedReports.contains($0.id) }
  }

  /// The reports are counted by what was decided, and by nothing else any more.
  mutating func count(_ reports: [UsageReport], of organization: OrganizationID) {
    for report in reports {
      uncountedReports.remove(report.id)
      countedReports.append((report.id, organization.uuid))
    }
  }

  var writesNothing: Bool { events.isEmpty && records.isEmpty }

  /// The workspaces whose cached states are ahead of the log until the transaction is committed.
  var touchedWorkspaces: Set<OrganizationID> {
    prepared.union(touched.lazy.map(\.organizationID))
  }

  func isSlugFree(_ slug: String, for organization: OrganizationID) -> Bool {
    slugHolders[slug].map { $0 == organization } ?? true
  }

  mutating func claimSlug(_ slug: String, insteadOf former: String?, for holder: OrganizationID) {
    if let former, slugHolders[former] == holder { slugHolders[former] = nil }
    slugHolders[slug] = holder
  }

  /// Adds an event and its audit row.
  mutating func append(
    _ event: RecordedEvent, _ entity: Entity, origin: CommandOrigin,
    difference: AuditedDifference
  ) {
    position = event.position
    events.append(event)
    auditRows.append(
      AuditEventRow(event: event, target: entity, origin: origin, difference: difference))
  }

  /// The entity's rows are to be written.
  mutating func touch(_ entity: Entity, in organization: OrganizationID) {
    let key = TouchedEntity.Key(organizationID: organization, entity: entity)
    if touched.insert(key).inserted { touchedInOrder.append(key) }
  }

  /// The workspace's rows are written already, by a ``PreparedChange``.
  mutating func noteRowsWritten(of organization: OrganizationID) {
    prepared.insert(organization)
  }

  /// What the command of the events that were appended last changes for gateways, as a merge patch; nil for nothing.
  mutating func append(configurationPatch patch: [UInt8]?, of organization: OrganizationID) {
    guard let patch else { return }
    configurationChanges.append(
      ConfigurationChangeRow(organizationID: organization, position: position, patch: patch))
  }

  /// Whether gateways are to be told of something.
  var changesConfiguration: Bool { !configurationChanges.isEmpty }

  mutating func append(_ record: IdempotencyRecord) {
    records.append(record)
  }

  mutating func postpone(_ command: PendingCommand, _ reason: Postponed.Reason) {
    command.putBack()
    postponed.append(Postponed(command: command, reason: reason))
  }

  mutating func answer(_ command: PendingCommand, _ answer: PendingCommand.Answer) {
    answers.append((command, answer))
  }

  /// The transaction's second round trip: the log, the rows of what was touched, the audit, the stored replies.
  func statements(states: (OrganizationID) -> Workspace?) -> [Query] {
    let touched = touchedInOrder.compactMap { key in
      states(key.organizationID).map {
        TouchedEntity(organizationID: key.organizationID, entity: key.entity, workspace: $0)
      }
    }
    // Row security looks for an event's actor among the members: new ones are there before it, former ones go after it.
    let writes = EntityWrites(touched)
    var statements = writes.upserts + EventLog.append(events) + writes.deletes
    statements += UserErasure.statements(touched)
    if !auditRows.isEmpty { statements.append(AuditEventTable.table.insert(auditRows)) }
    if changesConfiguration {
      statements.append(ConfigurationChangeTable.table.insert(configurationChanges))
    }
    if !countedReports.isEmpty {
      statements.append(
        UsageReportTable.delete(
          countedReports.map(\.id), of: Array(Set(countedReports.map(\.organization)))))
    }
    if !records.isEmpty { statements.append(IdempotencyRecord.table.upsert(records)) }
    statements.append("COMMIT")
    return statements
  }
}

extension TouchedEntity {
  struct Key: Hashable {
    let organizationID: OrganizationID
    let entity: Entity
  }
}
