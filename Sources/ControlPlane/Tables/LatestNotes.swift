import Logging
import Postgres
import Synchronization

/// What was seen last of each of many things, kept in memory and written down many at a time. It is evidence, not a change:
/// one that the database refuses is dropped, and of more than ``capacity`` some are.
final class LatestNotes<Key: Hashable & Sendable, Note: Sendable>: Sendable {
  typealias Notes = [Key: Note]

  /// While the database is away no more than so many are kept.
  private static var capacity: Int { 100_000 }
  /// In one statement.
  private static var batch: Int { 5000 }

  private let name: String
  private let pool: Pool
  private let logger: Logger
  private let statement: @Sendable (Notes) -> Query
  private let notes = Mutex<Notes>([:])

  /// - Parameters:
  ///   - name: what the notes are of, for messages.
  ///   - statement: writes some of them down.
  init(
    of name: String, pool: Pool, logger: Logger, statement: @escaping @Sendable (Notes) -> Query
  ) {
    self.name = name
    self.pool = pool
    self.logger = logger
    self.statement = statement
  }

  func note(_ note: Note, of key: Key) {
    notes.withLock { notes in
      if notes.count < Self.capacity || notes[key] != nil { notes[key] = note }
    }
  }

  /// Writes down what was noted since. While the database is away that is kept for the next time.
  func write() async {
    var left = notes.withLock { notes in
      defer { notes = [:] }
      return notes
    }
    while !left.isEmpty {
      let part = Notes(uniqueKeysWithValues: left.prefix(Self.batch).map { ($0.key, $0.value) })
      guard await write(part) else { return keep(left) }
      for key in part.keys { left[key] = nil }
    }
  }

  /// Falls apart until those are alone which the database refuses: these are dropped.
  ///
  /// - Returns: false when the database is away.
  private func write(_ notes: Notes) async -> Bool {
    let query = statement(notes)
    do {
      try await pool.withConnection(deadline: .now + .seconds(5)) { session in
        _ = try session.execute(query, deadline: .now + .seconds(5))
      }
      return true
    } catch {
      guard AttemptOutcome(error) != .passing else { return false }
      guard notes.count > 1 else {
        logger.warning("a note is dropped", metadata: ["of": "\(name)", "error": "\(error)"])
        return true
      }
      let pairs = notes.map { ($0.key, $0.value) }
      for half in [pairs[..<(pairs.count / 2)], pairs[(pairs.count / 2)...]] {
        guard await write(Notes(uniqueKeysWithValues: half)) else { return false }
      }
      return true
    }
  }

  /// What was noted in the meantime is newer.
  private func keep(_ left: Notes) {
    notes.withLock { notes in
      for (key, note) in left where notes[key] == nil {
        guard notes.count < Self.capacity else { return }
        notes[key] = note
      }
    }
  }
}
