import Domain
import FoundationEssentials
import Postgres

/// Identifies an item that was set aside.
enum SetAside: Identified {
  static let idPrefix = "sai"
}

/// A row of `job_attempts`.
struct JobAttemptRow: Sendable {
  let item: JobItem
  let id: TypeID<SetAside>
  let attempts: Int32
  let holder: Int64?
  /// Whether the process that is working on it, if it is another one, is known to live.
  let isHeldElsewhere: Bool
  let error: String?
  let firstAttemptAt: Timestamp
  let lastAttemptAt: Timestamp
  let setAsideAt: Timestamp?
  /// Whether it was set aside by the statement that read it.
  let isNew: Bool
}

/// `job_attempts`: written and read by the system alone. Times are the database's.
enum JobAttemptTable {
  static let name = "job_attempts"
  static let columns = [
    "kind", "item", "item_id", "set_aside_id", "organization_id", "attempts", "holder", "error",
    "first_attempt_at", "last_attempt_at", "set_aside_at",
  ]
  /// After so many attempts an item is set aside.
  static let mostAttempts: Int32 = 3
  /// A process whose session was lost has so long to lock its number again before it counts as dead.
  private static let grace: Query = "interval '5 seconds'"

  private static let selected = Query(unchecked: columns.joined(separator: ", ") + others)

  private static let others =
    ", false AS is_held_elsewhere, coalesce(set_aside_at = now(), false) AS is_new"

  // MARK: Before the work

  /// One transaction that notes an attempt at each of the items, and counts those during which a process died. The last
  /// rows but one say of every item how it stands.
  ///
  /// - Parameter isAlone: whether items may be taken that have failed before.
  static func begin(_ kind: JobKind, _ items: [JobItem], isAlone: Bool, by holder: Int64) -> [Query]
  {
    asynchronously(statements(begin: kind, items, isAlone: isAlone, by: holder))
  }

  /// The same statements without the transaction around them. The last rows say how every item stands.
  static func statements(
    begin kind: JobKind, _ items: [JobItem], isAlone: Bool, by holder: Int64
  ) -> [Query] {
    let keys = items.map(\.key)
    var (ids, organizations) = (ArrayBuilder<UUID>(), ArrayBuilder<UUID>())
    for item in items {
      ids.append(item.id)
      organizations.append(item.organizationID?.uuid)
    }
    let count: Query =
      "(j.attempts + CASE WHEN j.holder IN (SELECT holder FROM gone) THEN 1 ELSE 0 END)"
    let mayBeTaken: Query =
      """
      (\(fragment: count) = 0 OR \(isAlone) AND \(fragment: count) < \(mostAttempts))
      """
    return [
      """
      WITH gone AS (SELECT DISTINCT holder FROM job_attempts AS a WHERE kind = \(kind.rawValue) \
      AND item = ANY(\(keys)) AND holder <> \(holder) \
      AND last_attempt_at < now() - \(fragment: grace) AND NOT \(fragment: isAlive)) \
      INSERT INTO job_attempts AS j (kind, item, item_id, organization_id, holder) \
      SELECT \(kind.rawValue), item, item_id, organization_id, \(holder) \
      FROM unnest(\(keys), \(ids), \(organizations)) AS asked (item, item_id, organization_id) \
      ORDER BY item \
      ON CONFLICT (kind, item) DO UPDATE SET attempts = \(fragment: count), \
      holder = CASE WHEN \(fragment: mayBeTaken) THEN \(holder) END, \
      last_attempt_at = CASE WHEN \(fragment: mayBeTaken) THEN now() ELSE j.last_attempt_at END, \
      error = CASE WHEN j.holder IN (SELECT holder FROM gone) \
      THEN 'the process ended during the attempt' ELSE j.error END, \
      set_aside_at = CASE WHEN \(fragment: count) >= \(mostAttempts) THEN now() END \
      WHERE j.set_aside_at IS NULL AND (j.holder IS NULL OR j.holder = \(holder) \
      OR j.holder IN (SELECT holder FROM gone))
      """,
      """
      SELECT \(fragment: columnsOfA), \
      CASE WHEN holder <> \(holder) THEN \(fragment: isAlive) ELSE false END AS is_held_elsewhere, \
      coalesce(set_aside_at = now(), false) AS is_new \
      FROM job_attempts AS a WHERE kind = \(kind.rawValue) AND item = ANY(\(keys))
      """,
    ]
  }

  /// Whether the process that holds a row `a` of some table still lives.
  static let isAlive: Query = """
    EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    AND (classid::bigint << 32 | objid::bigint) = a.holder)
    """

  /// What a session runs to say that its process lives. Shared, so that a session that takes the place of a lost one does
  /// not wait for it.
  static func sign(of holder: Int64) -> String { "SELECT pg_advisory_lock_shared(\(holder))" }

  /// How a person names what is set aside.
  enum Name: Sendable {
    case id(TypeID<SetAside>)
    case item(JobItem)
  }

  /// Takes an item that was set aside, for an attempt that a person asks for.
  static func take(_ name: Name, by holder: Int64) -> Query {
    let condition: Query =
      switch name {
      case .id(let id): "set_aside_id = \(id.uuid)"
      case .item(let item): "kind = \(item.kind.rawValue) AND item = \(item.key)"
      }
    return """
      UPDATE job_attempts SET holder = \(holder), last_attempt_at = now() \
      WHERE \(fragment: condition) AND set_aside_at IS NOT NULL RETURNING \(fragment: selected)
      """
  }

  // MARK: After the work

  /// Forgets items that were carried out.
  static func done(_ kind: JobKind, _ keys: [String], by holder: Int64) -> Query {
    """
    DELETE FROM job_attempts AS j USING (\(fragment: locked(kind, keys, holder))) AS mine \
    WHERE j.kind = mine.kind AND j.item = mine.item
    """
  }

  /// Two statements that let go of items as if nothing had been tried.
  static func letGo(_ kind: JobKind, _ keys: [String], by holder: Int64) -> [Query] {
    [
      """
      DELETE FROM job_attempts AS j USING (\(fragment: locked(kind, keys, holder))) AS mine \
      WHERE j.kind = mine.kind AND j.item = mine.item AND j.attempts = 0
      """,
      """
      UPDATE job_attempts AS j SET holder = NULL FROM (\(fragment: locked(kind, keys, holder))) AS mine \
      WHERE j.kind = mine.kind AND j.item = mine.item
      """,
    ]
  }

  /// Counts attempts that failed. The rows are those of the items.
  static func failed(_ kind: JobKind, _ failures: [(key: String, error: String)], by holder: Int64)
    -> Query
  {
    let columns = Query(unchecked: selectedOfJ)
    return """
      UPDATE job_attempts AS j SET attempts = j.attempts + 1, holder = NULL, error = failed.error, \
      set_aside_at = CASE WHEN j.set_aside_at IS NOT NULL THEN j.set_aside_at \
      WHEN j.attempts + 1 >= \(mostAttempts) THEN now() END \
      FROM unnest(\(failures.map(\.key)), \(failures.map(\.error))) AS failed (key, error) \
      WHERE j.kind = \(kind.rawValue) AND j.item = failed.key AND j.holder = \(holder) \
      RETURNING \(fragment: columns)
      """
  }

  private static let columnsOfA = Query(unchecked: columns.joined(separator: ", "))

  private static let selectedOfJ =
    columns.map { "j.\($0)" }.joined(separator: ", ")
    + ", false AS is_held_elsewhere, coalesce(j.set_aside_at = now(), false) AS is_new"

  /// In the order of keys: of two who change the same rows one waits for the other, and never both.
  private static func locked(_ kind: JobKind, _ keys: [String], _ holder: Int64) -> Query {
    """
    SELECT kind, item FROM job_attempts WHERE kind = \(kind.rawValue) AND item = ANY(\(keys)) \
    AND holder = \(holder) ORDER BY item FOR UPDATE
    """
  }

  /// A process that ends in order lets go of everything.
  static func letGoOfEverything(by holder: Int64) -> [Query] {
    [
      "DELETE FROM job_attempts WHERE holder = \(holder) AND attempts = 0 AND set_aside_at IS NULL",
      "UPDATE job_attempts SET holder = NULL WHERE holder = \(holder)",
    ]
  }

  /// One transaction. What is lost with the database's power was not noted, which is as if it had not been tried.
  static func asynchronously(_ statements: [Query]) -> [Query] {
    ["BEGIN", "SET LOCAL synchronous_commit = off"] + statements + ["COMMIT"]
  }

  // MARK: Without the usual steps

  /// Counts an attempt at an item that is noted elsewhere, and during which a process died.
  ///
  /// - Parameter condition: under which it is counted, as the rest of a SELECT without columns.
  static func countDeath(of item: JobItem, _ condition: Query) -> Query {
    let columns = Query(unchecked: selectedOfJ)
    return """
      INSERT INTO job_attempts AS j (kind, item, organization_id, attempts, error) \
      SELECT \(item.kind.rawValue), \(item.key), \(item.organizationID?.uuid), 1, \
      'the process ended during the attempt' \(fragment: condition) \
      ON CONFLICT (kind, item) DO UPDATE SET attempts = j.attempts + 1, error = excluded.error, \
      last_attempt_at = now(), set_aside_at = CASE WHEN j.set_aside_at IS NOT NULL \
      THEN j.set_aside_at WHEN j.attempts + 1 >= \(mostAttempts) THEN now() END \
      RETURNING \(fragment: columns)
      """
  }

  /// Sets an item aside whose attempts were counted elsewhere.
  static func setAside(_ item: JobItem, _ error: String) -> Query {
    let columns = Query(unchecked: selectedOfJ)
    return """
      INSERT INTO job_attempts AS j (kind, item, organization_id, attempts, error, set_aside_at) \
      VALUES (\(item.kind.rawValue), \(item.key), \(item.organizationID?.uuid), \(mostAttempts), \
      \(error), now()) ON CONFLICT (kind, item) DO UPDATE SET attempts = \(mostAttempts), \
      error = excluded.error, last_attempt_at = now(), \
      set_aside_at = coalesce(j.set_aside_at, now()) RETURNING \(fragment: columns)
      """
  }

  /// Forgets attempts at an item that succeeded after all.
  static func forget(_ item: JobItem) -> Query {
    "DELETE FROM job_attempts WHERE kind = \(item.kind.rawValue) AND item = \(item.key)"
  }

  // MARK: For people

  /// Newest first, behind the one that was set aside at `after`.
  static func list(
    _ kind: JobKind?, after place: (time: Timestamp, id: UUID)?, limit: Int64
  ) -> Query {
    let time = place.map { TimestampTZ($0.time) }
    return """
      SELECT \(fragment: selected) FROM job_attempts WHERE set_aside_at IS NOT NULL \
      AND (\(kind?.rawValue)::text IS NULL OR kind = \(kind?.rawValue)) \
      AND (\(time)::timestamptz IS NULL OR (set_aside_at, set_aside_id) < (\(time), \(place?.id))) \
      ORDER BY set_aside_at DESC, set_aside_id DESC LIMIT \(limit)
      """
  }

  static func find(_ id: TypeID<SetAside>) -> Query {
    """
    SELECT \(fragment: selected) FROM job_attempts \
    WHERE set_aside_id = \(id.uuid) AND set_aside_at IS NOT NULL
    """
  }

  /// How many items of each kind are set aside.
  static let counts: Query = """
    SELECT kind, count(*) FROM job_attempts WHERE set_aside_at IS NOT NULL GROUP BY kind
    """

  /// Deletes what failed once and did not come again, and what a dead process left behind.
  static let deleteForgotten: Query = """
    DELETE FROM job_attempts AS a WHERE set_aside_at IS NULL \
    AND last_attempt_at < now() - interval '1 day' AND (holder IS NULL OR NOT \(fragment: isAlive))
    """

  /// Whether the item of a kind with the UUID in a column is set aside. To be spliced into a condition.
  static func isSetAside(_ kind: JobKind, id column: StaticString) -> Query {
    Query(
      unchecked: """
        EXISTS (SELECT FROM job_attempts WHERE kind = '\(kind.rawValue)' AND set_aside_at IS NOT NULL \
        AND item_id = \(column))
        """)
  }
}

extension JobAttemptRow {
  init(_ row: Row) throws(PostgresError) {
    let (
      kind, key, itemID, id, organizationID, attempts, holder, error, firstAttemptAt, lastAttemptAt,
      setAsideAt, isHeldElsewhere, isNew
    ) = try row.decode(
      (
        JobKind, String, UUID?, UUID, UUID?, Int32, Int64?, String?, TimestampTZ, TimestampTZ,
        TimestampTZ?, Bool, Bool
      ).self)
    self.init(
      item: JobItem(kind, key, id: itemID, of: organizationID.map { OrganizationID($0) }),
      id: TypeID<SetAside>(id), attempts: attempts, holder: holder,
      isHeldElsewhere: isHeldElsewhere, error: error,
      firstAttemptAt: Timestamp(firstAttemptAt), lastAttemptAt: Timestamp(lastAttemptAt),
      setAsideAt: setAsideAt.map(Timestamp.init), isNew: isNew)
  }
}
