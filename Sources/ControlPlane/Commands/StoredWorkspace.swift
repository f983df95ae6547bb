package import Domain
package import EventStore
import FoundationEssentials
import JSON
import Postgres

/// A workspace as it is folded from its newest snapshot and the events behind it.
package struct StoredWorkspace: Sendable {
  package var workspace: Workspace
  package var head: StreamHead
  /// The version of the snapshot it began with; 0 when there was none.
  package var snapshotVersion: Int64
  /// How many bytes of events were folded in since that snapshot.
  package private(set) var unsavedBytes = 0

  /// Whether so many events were folded in that there may be more of them, which were left out. What is stored in
  /// ``Snapshot/lightBytes`` has at least half as many bytes as text.
  var isCutOff: Bool {
    head.version - snapshotVersion >= Snapshot.pageSize
      || unsavedBytes >= Int(Snapshot.lightBytes / 2)
  }

  static func eventsQuery(for ids: Set<OrganizationID>) -> Query {
    Snapshot.eventsBehindNewest(of: ids.map(\.uuid), foldVersion: Int32(Workspace.foldVersion))
  }

  /// To be read after the events: a snapshot that is made in between only repeats some of them.
  static func snapshotsQuery(for ids: Set<OrganizationID>) -> Query {
    Snapshot.newestLight(of: ids.map(\.uuid), foldVersion: Int32(Workspace.foldVersion))
  }

  /// The workspace takes too long to be loaded while everybody waits.
  struct TooLarge: Error {}

  /// Folds each of the workspaces; one that is ``TooLarge`` or cannot be folded says why and leaves the others alone.
  static func fold(
    _ ids: Set<OrganizationID>, events: Rows, snapshots: Rows
  ) throws(PostgresError) -> [(OrganizationID, Result<StoredWorkspace, any Error>)] {
    var states: [OrganizationID: Result<StoredWorkspace, any Error>] = [:]
    for id in ids { states[id] = .success(StoredWorkspace()) }
    for row in snapshots {
      if let heavy = try Snapshot.heavyStream(row) {
        states[OrganizationID(heavy)] = .failure(TooLarge())
        continue
      }
      let snapshot = try Snapshot(row)
      states[OrganizationID(snapshot.organizationID)] = Result { try StoredWorkspace(snapshot) }
    }
    for row in events {
      let event = try RecordedEvent(row)
      let id = OrganizationID(event.organizationID)
      guard case .success(var state)? = states[id] else { continue }
      // Only one reference may be left, or every event would copy the whole state.
      states[id] = nil
      states[id] = Result {
        try state.fold(event)
        return state
      }
    }
    return states.map { id, state in
      guard case .success(let stored) = state, stored.isCutOff else { return (id, state) }
      return (id, .failure(TooLarge()))
    }
  }

  /// Folds all events in that are behind the head, page by page.
  ///
  /// - Throws: ``PostgresError``, or that the events cannot be folded.
  mutating func foldRest(
    of id: OrganizationID, _ session: Session, deadline: ContinuousClock.Instant
  ) throws {
    while true {
      let rows = try session.execute(restQuery(of: id), deadline: deadline)
      guard !rows.isEmpty else { return }
      for row in rows { try fold(RecordedEvent(row)) }
    }
  }

  /// The next page of events behind the head.
  func restQuery(of id: OrganizationID) -> Query {
    EventLog.page(of: id.uuid, versions: (head.version + 1)...Int64.max)
  }

  /// The state before any event.
  package init() {
    workspace = Workspace()
    head = .empty
    snapshotVersion = 0
  }

  /// The state that a snapshot holds.
  ///
  /// - Throws: `DecodingError` when it is not a workspace's.
  package init(_ snapshot: Snapshot) throws {
    workspace = try StrictJSONDecoder().decode(Workspace.self, from: snapshot.state)
    head = snapshot.head
    snapshotVersion = snapshot.head.version
  }

  /// Folds one more event in, unless it is in already.
  package mutating func fold(_ event: RecordedEvent) throws {
    guard event.version > head.version else { return }
    try workspace.fold(event)
    head = StreamHead(version: event.version, hash: event.hash)
    unsavedBytes += event.payload.count
  }
}
