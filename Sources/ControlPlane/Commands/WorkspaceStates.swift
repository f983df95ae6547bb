import Domain
import EventStore
import FoundationEssentials
import Logging
import Postgres

/// Queries that go out together, each found again by its place among the results.
struct Pipeline {
  private(set) var queries: [Query]

  init(_ queries: [Query]) {
    self.queries = queries
  }

  mutating func add(_ query: Query) -> Int {
    queries.append(query)
    return queries.count - 1
  }
}

/// The cached states of workspaces, and how they are kept level with the log. To be used behind the lock on the log's
/// head only: then nothing is appended between reading and deciding.
struct WorkspaceStates {
  /// Entities in cached workspaces.
  private static let capacity = 1_000_000
  /// More events of other replicas than this are not followed: the states are loaded anew.
  private static let catchUpLimit: Int64 = 1000

  /// How many workspaces that were loaded beside the writer wait for a batch.
  private static let preparedLimit = 8

  /// Where the results of ``addQueries(for:to:)`` stand.
  struct Places {
    fileprivate var news: Int?
    fileprivate var missing: Set<OrganizationID> = []
    fileprivate var events: Int?
    fileprivate var snapshots: Int?
    /// Workspaces that were loaded beside the writer: what happened to them since.
    fileprivate var rests: [OrganizationID: Int] = [:]
  }

  /// The position up to which cached states are current; nil when nothing is cached.
  private(set) var position: Int64?
  private var cache = WorkspaceCache(capacity: capacity)
  /// Why workspaces cannot be folded, by their ids.
  private var stopped: [OrganizationID: String] = [:]
  /// Those that are too large to be loaded while everybody waits, and are not here.
  private var unloaded: Set<OrganizationID> = []
  /// Those that were loaded beside the writer, each as of its own version.
  private var prepared: [OrganizationID: StoredWorkspace] = [:]
  private let logger: Logger

  init(logger: Logger) {
    self.logger = logger
  }

  func contains(_ id: OrganizationID) -> Bool { cache.contains(id) }

  func peek(_ id: OrganizationID) -> WorkspaceCache.Entry? { cache.peek(id) }

  mutating func use(_ id: OrganizationID) -> WorkspaceCache.Entry? { cache.use(id) }

  /// Whether the workspace has to be loaded beside the writer before it takes commands.
  func isUnloaded(_ id: OrganizationID) -> Bool { unloaded.contains(id) }

  /// Takes over a workspace that was loaded beside the writer; what happened to it since is read with the next batch that
  /// needs it.
  mutating func adopt(_ stored: StoredWorkspace, as id: OrganizationID) {
    unloaded.remove(id)
    stopped[id] = nil
    // Some of those that nobody waited for in the end.
    while prepared.count >= Self.preparedLimit, let other = prepared.keys.first {
      prepared[other] = nil
    }
    prepared[id] = stored
  }

  func stopReason(_ id: OrganizationID) -> String { stopped[id] ?? "" }

  mutating func remove(_ ids: Set<OrganizationID>) {
    for id in ids { cache.remove(id) }
  }

  mutating func removeAll() {
    cache.removeAll()
    position = nil
  }

  mutating func trim() { cache.trim() }

  /// What is cached has been folded up to there already.
  mutating func moveOn(to position: Int64) { self.position = position }

  /// Asks for what others appended, and for the workspaces that are not here.
  func addQueries(for ids: Set<OrganizationID>, to pipeline: inout Pipeline) -> Places {
    var places = Places()
    places.news = position.map {
      pipeline.add(EventLog.events(after: $0, limit: Self.catchUpLimit))
    }
    let absent = ids.filter { !cache.contains($0) && !unloaded.contains($0) }
    places.missing = absent.filter { prepared[$0] == nil }
    for id in absent {
      places.rests[id] = prepared[id].map { pipeline.add($0.restQuery(of: id)) }
    }
    if !places.missing.isEmpty {
      places.events = pipeline.add(StoredWorkspace.eventsQuery(for: places.missing))
      places.snapshots = pipeline.add(StoredWorkspace.snapshotsQuery(for: places.missing))
    }
    return places
  }

  /// Brings the cached states to the head of the log, and adds those that were asked for.
  ///
  /// - Returns: what others appended since; nil when it was too much, or everything, to follow.
  /// - Throws: ``PostgresError``.
  mutating func advance(
    to head: Int64, _ results: [Rows], _ places: Places, _ session: Session,
    _ deadline: ContinuousClock.Instant
  ) throws -> [RecordedEvent]? {
    let news = try places.news.map { try catchUp(results[$0]) } ?? nil
    if let events = places.events, let snapshots = places.snapshots {
      try insert(places.missing, results[events], results[snapshots])
    }
    for (id, place) in places.rests { try insert(id, behind: results[place]) }
    position = head
    return news
  }

  /// Loads those that are still not here: catching up may have let go of them.
  ///
  /// - Throws: ``PostgresError``.
  mutating func load(
    _ ids: Set<OrganizationID>, _ session: Session, _ deadline: ContinuousClock.Instant
  ) throws {
    let missing = ids.filter {
      !cache.contains($0) && stopped[$0] == nil && !unloaded.contains($0)
    }
    guard !missing.isEmpty else { return }
    let results = try session.pipeline(
      [StoredWorkspace.eventsQuery(for: missing), StoredWorkspace.snapshotsQuery(for: missing)],
      deadline: deadline)
    try insert(missing, results[0], results[1])
  }

  /// Folds what other replicas appended into the states that are cached.
  private mutating func catchUp(_ rows: Rows) throws -> [RecordedEvent]? {
    guard rows.count < Self.catchUpLimit else {
      cache.removeAll()
      return nil
    }
    let news = try rows.map { row throws(PostgresError) in try RecordedEvent(row) }
    for event in news {
      let id = OrganizationID(event.organizationID)
      guard let entry = cache.peek(id), event.version > entry.head.version else { continue }
      do {
        try entry.workspace.fold(event)
        entry.advance(past: event)
      } catch {
        stop(id, error)
      }
    }
    return news
  }

  private mutating func insert(
    _ ids: Set<OrganizationID>, _ events: Rows, _ snapshots: Rows
  ) throws {
    for (id, result) in try StoredWorkspace.fold(ids, events: events, snapshots: snapshots) {
      do {
        insert(try result.get(), as: id)
      } catch is StoredWorkspace.TooLarge {
        unloaded.insert(id)
      } catch {
        stop(id, error)
      }
    }
  }

  /// Brings a workspace that was loaded beside the writer up to date.
  private mutating func insert(_ id: OrganizationID, behind rows: Rows) throws {
    guard var stored = prepared.removeValue(forKey: id) else { return }
    let former = stored.unsavedBytes
    do {
      for row in rows { try stored.fold(RecordedEvent(row)) }
    } catch let error as PostgresError {
      throw error
    } catch {
      return stop(id, error)
    }
    // A page that was cut off says that there is more: it is loaded beside the writer once again.
    if rows.count >= Int(Snapshot.pageSize)
      || stored.unsavedBytes - former >= Int(Snapshot.lightBytes / 2)
    {
      unloaded.insert(id)
    } else {
      insert(stored, as: id)
    }
  }

  private mutating func insert(_ stored: StoredWorkspace, as id: OrganizationID) {
    stopped[id] = nil
    cache.insert(
      WorkspaceCache.Entry(
        organizationID: id, workspace: stored.workspace, head: stored.head,
        snapshotVersion: stored.snapshotVersion, unsavedBytes: stored.unsavedBytes))
  }

  /// A workspace that cannot be folded takes no commands; the others go on.
  mutating func stop(_ id: OrganizationID, _ error: any Error) {
    cache.remove(id)
    unloaded.remove(id)
    stopped[id] = "\(error)"
    logger.critical(
      "a workspace's events cannot be folded",
      metadata: ["organization_id": "\(id)", "error": "\(error)"])
  }
}
