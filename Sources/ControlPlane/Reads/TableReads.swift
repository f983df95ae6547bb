package import Domain
package import EventStore
package import FoundationEssentials
package import Postgres
import Synchronization

/// Reads of the tables, exact and mostly from memory. A request first settles: it learns of everything that was
/// committed before it, together with all other requests that wait. What was read from a table then is remembered and
/// used again for as long as nothing happens to what it is about.
///
/// What is remembered belongs to one principal. Another one's request goes to the database, whose row security is the
/// second lock.
package final class TableReads: Sendable {
  fileprivate let tail: LogTail
  fileprivate let reader: Reader
  fileprivate let memory: ReadMemory
  /// For folding streams.
  fileprivate let threads = BackgroundThreads(count: 2)

  /// Remembers up to `capacity` rows.
  package init(tail: LogTail, reader: Reader, capacity: Int = 50_000) {
    self.tail = tail
    self.reader = reader
    memory = ReadMemory(capacity: capacity)
  }

  /// The tables as they are now: everything that was committed before this call is seen.
  ///
  /// - Throws: ``PostgresError`` when the database does not answer by the deadline.
  package func settle(deadline: ContinuousClock.Instant) async throws(PostgresError) -> Reads {
    Reads(
      position: try await tail.settle(deadline: deadline), deadline: deadline, scope: .system,
      tables: self)
  }

  /// The tables as this process knows them without asking. What is found may have changed on another replica: good
  /// only for what is checked again when it matters, by its ``Premise``.
  package func known(deadline: ContinuousClock.Instant) -> Reads {
    Reads(position: tail.position, deadline: deadline, scope: .system, tables: self)
  }
}

/// For whom something is read: the database shows no rows of other workspaces than theirs, whatever is asked.
package enum ReadScope: Sendable {
  /// Only to find out who asks, or whose an invitation is.
  case system
  case user(UserID)
  /// A token of this workspace.
  case serviceToken(OrganizationID)

  /// Says so to the rest of the transaction.
  fileprivate var setting: Query {
    let principal =
      switch self {
      case .system: "system"
      case .user(let id): "user:\(id.uuid)"
      case .serviceToken(let organizationID): "service_token:\(organizationID.uuid)"
      }
    return "SELECT set_config('signalbox.principal', \(principal), true)"
  }
}

/// Something that was true at one position of the log, and is for as long as nothing happens to its topic.
package struct Premise: Hashable, Sendable {
  package let topic: LogTail.Topic
  package let position: Int64
}

/// Something that was read, and what it rests on.
package struct Known<Value: Sendable>: Sendable {
  package let value: Value
  package let premise: Premise
}

/// The tables as they were at one position of the log, or later.
package struct Reads: Sendable {
  /// Everything up to this position is seen by every read.
  package let position: Int64
  package private(set) var deadline: ContinuousClock.Instant
  fileprivate var scope: ReadScope
  fileprivate let tables: TableReads

  /// For folding a stream, which may take long.
  var threads: BackgroundThreads { tables.threads }

  /// What a row says: remembered, or read and then remembered. A row that does not exist is not remembered.
  package func row<Value: Sendable>(
    _ key: ReadKey, _ query: @autoclosure () -> Query, _ decode: (Row) throws -> Value
  ) async throws -> Known<Value>? {
    if let known: Known<Value> = remembered(key) { return known }
    guard let row = try await rows(query()).first else { return nil }
    return remember(try decode(row), about: key.topic, for: key)
  }

  /// What was remembered and is still true.
  package func remembered<Value: Sendable>(_ key: ReadKey) -> Known<Value>? {
    guard let entry = tables.memory.value(for: key),
      tables.tail.isCurrent(entry.premise.position, of: entry.premise.topic),
      let box = entry.box as? ReadMemory.Box<Value>
    else { return nil }
    return Known(value: box.value, premise: entry.premise)
  }

  /// Remembers something that was read now, for as long as nothing happens to its topic.
  package func remember<Value: Sendable>(
    _ value: Value, about topic: LogTail.Topic, for key: ReadKey
  ) -> Known<Value> {
    let premise = Premise(topic: topic, position: position)
    tables.memory.remember(ReadMemory.Entry(box: ReadMemory.Box(value), premise: premise), for: key)
    return Known(value: value, premise: premise)
  }

  /// Reads rows that are not worth remembering.
  package func rows(_ query: Query) async throws(PostgresError) -> Rows {
    try await tables.reader.pipeline([scope.setting, query], deadline: deadline)[1]
  }

  /// Reads many rows, over one of these connections, where nobody else's small read waits behind them. When the caller's task
  /// is cancelled, so is the query.
  package func rows(_ query: Query, over connections: Pool) async throws -> Rows {
    let (setting, deadline) = (scope.setting, deadline)
    return try await connections.withConnection(deadline: deadline) { session in
      try session.pipeline([setting, query], deadline: deadline)[1]
    }
  }

  /// Whether what was read of a topic at a position is still true.
  package func isCurrent(_ position: Int64, of topic: LogTail.Topic) -> Bool {
    tables.tail.isCurrent(position, of: topic)
  }

  /// The same tables, for work that goes on behind the first byte of its reply.
  package func extended(to deadline: ContinuousClock.Instant) -> Reads {
    var reads = self
    reads.deadline = deadline
    return reads
  }

  /// The same tables, as somebody may see them.
  package func scoped(to scope: ReadScope) -> Reads {
    var reads = self
    reads.scope = scope
    return reads
  }
}

/// Names something that was read: for whom, where, and which row.
package struct ReadKey: Hashable, Sendable {
  package enum Table: Sendable {
    case credentials, memberships, organizations, projects

    /// The subject of the events that change its rows; those of credentials depend on whose they are.
    var subject: String {
      switch self {
      case .credentials: "account"
      case .memberships: "member"
      case .organizations: "organization"
      case .projects: "project"
      }
    }
  }

  /// What must not have happened since, for the row to be as it was.
  var topic: LogTail.Topic {
    LogTail.Topic(organizationID: organizationID.uuid, subject: table.subject)
  }

  /// Names what is known of one token.
  package static func credential(_ id: UUID) -> ReadKey {
    ReadKey(principalID: id, organizationID: OrganizationID(id), table: .credentials, rowID: id)
  }

  package let principalID: UUID
  package let organizationID: OrganizationID
  package let table: Table
  package let rowID: UUID

  package init(principalID: UUID, organizationID: OrganizationID, table: Table, rowID: UUID) {
    self.principalID = principalID
    self.organizationID = organizationID
    self.table = table
    self.rowID = rowID
  }
}

/// Two generations of what was read: what the younger one misses and the older one has moves over, and when the
/// younger one is full the older one is forgotten.
final class ReadMemory: Sendable {
  struct Entry: Sendable {
    /// A ``Box``: a class is told from another much faster than one value's type from another's.
    let box: any AnyObject & Sendable
    let premise: Premise
  }

  final class Box<Value: Sendable>: Sendable {
    let value: Value

    init(_ value: Value) {
      self.value = value
    }
  }

  private struct Generations {
    var young: [ReadKey: Entry] = [:]
    var old: [ReadKey: Entry] = [:]
  }

  private let generations = Mutex(Generations())
  private let capacity: Int

  init(capacity: Int) {
    self.capacity = capacity
  }

  func value(for key: ReadKey) -> Entry? {
    generations.withLock { generations in
      if let entry = generations.young[key] { return entry }
      guard let entry = generations.old[key] else { return nil }
      insert(entry, for: key, into: &generations)
      return entry
    }
  }

  func remember(_ entry: Entry, for key: ReadKey) {
    generations.withLock { insert(entry, for: key, into: &$0) }
  }

  private func insert(_ entry: Entry, for key: ReadKey, into generations: inout Generations) {
    if generations.young.count >= capacity / 2 {
      generations.old = generations.young
      generations.young = [:]
    }
    generations.young[key] = entry
  }
}
