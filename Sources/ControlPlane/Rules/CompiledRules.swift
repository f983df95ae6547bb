import Domain
import EventStore
import FoundationEssentials
import Postgres
import Synchronization

/// The rules of projects, compiled, for as long as nothing happens to them (ops/decisions/0001): a decision reads no rule.
///
/// What is compiled is shared by all who may read the project, which is read for each of them, under row security, before
/// anybody asks here. A workspace's rules are compiled by one request at a time, on a thread of their own; the others wait
/// for it.
final class CompiledRules: Sendable {
  private let memory: RuleSetMemory
  private let connections: Pool
  private let threads: BackgroundThreads
  private let compilations: Counter
  /// Of each workspace, the compilation that goes on.
  private let running = Mutex<[OrganizationID: Task<RuleSet, any Error>]>([:])

  /// - Parameter capacity: in bytes.
  init(_ work: LongWork, capacity: Int = 64 << 20, metrics: Metrics) {
    let memory = RuleSetMemory(capacity: capacity)
    self.memory = memory
    connections = work.rules
    threads = work.compiler
    compilations = metrics.counter(
      "signalbox_rule_compilations_total", "How often a project's rules were compiled.")
    metrics.gauge("signalbox_compiled_rules_bytes", "The memory that compiled rules take.") {
      memory.bytes
    }
  }

  /// What decides in a project: its own rules, and those of the workspace around it.
  ///
  /// - Parameter reads: settled, as whoever asks may see the tables; they have seen the project in them.
  func rules(
    of project: ProjectID, in organization: OrganizationID, _ reads: Reads
  ) async throws -> RuleSet {
    let key = RuleSetMemory.Key(organizationID: organization, projectID: project)
    while true {
      try Task.checkCancellation()
      if let remembered = memory.value(for: key, where: reads.holds) { return remembered }
      let (task, isOwn) = running.withLock { running in
        if let task = running[organization] { return (task, false) }
        let task = Task(executorPreference: threads) {
          defer { self.running.withLock { $0[organization] = nil } }
          return try await self.compile(key, reads)
        }
        running[organization] = task
        return (task, true)
      }
      // A compilation goes on when whoever began it has left: others may wait for it, and it is short.
      let result = await task.result
      if isOwn { return try result.get() }
    }
  }

  private func compile(_ key: RuleSetMemory.Key, _ reads: Reads) async throws -> RuleSet {
    compilations.add()
    let rows = try await reads.rows(
      RuleView.all(for: key.projectID, in: key.organizationID), over: connections)
    let rules = try rows.map { row throws(PostgresError) in
      let row = try RuleRow(row)
      return (row.id, row.rule)
    }
    let compiled = RuleSet(Dictionary(rules) { $1 })
    memory.remember(compiled, at: reads.position, for: key)
    return compiled
  }
}

extension Reads {
  /// Whether rules that were read at a position are still those of the workspace.
  fileprivate func holds(_ position: Int64, _ organization: OrganizationID) -> Bool {
    RuleEvent.subjects.allSatisfy {
      isCurrent(position, of: LogTail.Topic(organizationID: organization.uuid, subject: $0))
    }
  }
}

/// Compiled rules by project, up to a number of bytes. What was not used for the longest time goes first, and no workspace
/// may take more than a quarter.
final class RuleSetMemory: Sendable {
  struct Key: Hashable, Sendable {
    let organizationID: OrganizationID
    let projectID: ProjectID
  }

  fileprivate struct Entry {
    let rules: RuleSet
    let position: Int64
    let bytes: Int
    var lastUse: UInt64
  }

  fileprivate struct State {
    var entries: [Key: Entry] = [:]
    var bytes = 0
    var uses: UInt64 = 0
  }

  private let capacity: Int
  private let state = Mutex(State())

  init(capacity: Int) {
    self.capacity = capacity
  }

  var bytes: Int { state.withLock { $0.bytes } }

  /// - Parameter isCurrent: whether what was read at a position is still true of an organization.
  func value(for key: Key, where isCurrent: (Int64, OrganizationID) -> Bool) -> RuleSet? {
    let entry = state.withLock { state in
      state.uses += 1
      state.entries[key]?.lastUse = state.uses
      return state.entries[key]
    }
    guard let entry, isCurrent(entry.position, key.organizationID) else { return nil }
    return entry.rules
  }

  func remember(_ rules: RuleSet, at position: Int64, for key: Key) {
    // The key and its place in the table are not free, either.
    let bytes = rules.byteCount + 256
    state.withLock { state in
      if let former = state.entries[key], former.position > position { return }
      if let former = state.entries.removeValue(forKey: key) { state.bytes -= former.bytes }
      guard bytes <= capacity / 4 else { return }
      state.uses += 1
      state.entries[key] = Entry(
        rules: rules, position: position, bytes: bytes, lastUse: state.uses)
      state.bytes += bytes
      state.evict(downTo: capacity / 4) { $0.organizationID == key.organizationID }
      if state.bytes > capacity { state.evict(downTo: capacity - capacity / 8) { _ in true } }
    }
  }
}

extension RuleSetMemory.State {
  /// Forgets those of some entries that were not used for the longest time.
  fileprivate mutating func evict(downTo limit: Int, _ isMeant: (RuleSetMemory.Key) -> Bool) {
    let meant = entries.filter { isMeant($0.key) }
    var held = meant.values.reduce(0) { $0 + $1.bytes }
    guard held > limit else { return }
    for (key, entry) in meant.sorted(by: { $0.value.lastUse < $1.value.lastUse }) {
      guard held > limit else { return }
      entries[key] = nil
      held -= entry.bytes
      bytes -= entry.bytes
    }
  }
}
