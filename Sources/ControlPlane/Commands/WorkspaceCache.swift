import Domain
import EventStore

/// The folded states of the workspaces that were asked for last, each with the head of its stream. Bounded by the
/// number of entities in them; who was not asked for longest goes first.
struct WorkspaceCache {
  /// A state that is changed in place: nobody else may keep a copy while it is here.
  final class Entry {
    let organizationID: OrganizationID
    var workspace: Workspace
    var head: StreamHead
    /// The version at which the last snapshot was made or asked for.
    var snapshotVersion: Int64
    /// How many bytes of events were folded in since that snapshot.
    var unsavedBytes: Int
    fileprivate var weight = 0
    fileprivate var newer: Entry?
    fileprivate unowned(unsafe) var older: Entry?

    init(
      organizationID: OrganizationID, workspace: Workspace, head: StreamHead,
      snapshotVersion: Int64, unsavedBytes: Int = 0
    ) {
      self.organizationID = organizationID
      self.workspace = workspace
      self.head = head
      self.snapshotVersion = snapshotVersion
      self.unsavedBytes = unsavedBytes
    }

    /// Notes that an event has been folded in.
    func advance(past event: RecordedEvent) {
      head = StreamHead(version: event.version, hash: event.hash)
      unsavedBytes += event.payload.count
    }
  }

  private var entries: [OrganizationID: Entry] = [:]
  private var newest: Entry?
  private var oldest: Entry?
  private var weight = 0
  private let capacity: Int

  /// Holds workspaces with up to that many entities together.
  init(capacity: Int) {
    self.capacity = capacity
  }

  var count: Int { entries.count }

  func contains(_ id: OrganizationID) -> Bool { entries[id] != nil }

  /// The entry, without counting as a use.
  func peek(_ id: OrganizationID) -> Entry? { entries[id] }

  /// The entry, which was asked for last from now on.
  mutating func use(_ id: OrganizationID) -> Entry? {
    guard let entry = entries[id] else { return nil }
    if entry !== newest {
      unlink(entry)
      link(entry)
    }
    reweigh(entry)
    return entry
  }

  mutating func insert(_ entry: Entry) {
    remove(entry.organizationID)
    entries[entry.organizationID] = entry
    link(entry)
    reweigh(entry)
  }

  mutating func remove(_ id: OrganizationID) {
    guard let entry = entries.removeValue(forKey: id) else { return }
    unlink(entry)
    weight -= entry.weight
  }

  mutating func removeAll() {
    self = WorkspaceCache(capacity: capacity)
  }

  /// Lets go of the oldest entries until the rest fits. Not while a batch is being decided.
  mutating func trim() {
    while weight > capacity, entries.count > 1, let oldest {
      remove(oldest.organizationID)
    }
  }

  private mutating func reweigh(_ entry: Entry) {
    let now = 1 + entry.workspace.entityCount
    weight += now - entry.weight
    entry.weight = now
  }

  private mutating func link(_ entry: Entry) {
    entry.older = newest
    entry.newer = nil
    newest?.newer = entry
    newest = entry
    if oldest == nil { oldest = entry }
  }

  private mutating func unlink(_ entry: Entry) {
    if let newer = entry.newer { newer.older = entry.older } else { newest = entry.older }
    if let older = entry.older { older.newer = entry.newer } else { oldest = entry.newer }
    entry.newer = nil
    entry.older = nil
  }
}
