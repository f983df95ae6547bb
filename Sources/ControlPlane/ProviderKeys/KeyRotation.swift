package import Cryptography
package import Domain
import FoundationEssentials
package import Postgres

/// Puts every provider key under the newest key-encryption key, while servers serve and gateways open.
///
/// Rows under older keys → their data keys wrapped anew → commands of the system, a page at a time and all of a page at once,
/// so that they share transactions → events, rows, feed. What is done needs no doing again: a run that was cut short is
/// taken up by another one. Whoever replaces a key meanwhile wins.
package struct KeyRotation: Sendable {
  /// How far a run is.
  package struct Progress: Sendable, Equatable {
    /// How many keys were under older key-encryption keys at the start.
    package var total: Int64
    package var rewrapped: Int64 = 0
    /// Replaced or deleted by somebody else in the meantime.
    package var overtaken: Int64 = 0
    package var failures: [Failure] = []

    package var seen: Int64 { rewrapped + overtaken + Int64(failures.count) }
  }

  /// A key that stays as it was.
  package struct Failure: Error, Sendable, Equatable {
    package let organization: OrganizationID
    package let project: ProjectID
    package let provider: Provider
    /// Names no secret.
    package let reason: String
  }

  /// There are keys under a newer key-encryption key than any that is known here: nothing was done.
  package struct NewerKeys: Error, Equatable, CustomStringConvertible {
    package let version: Int64
    package let newest: Int32

    package var description: String {
      "Provider keys are sealed under version \(version), which is newer than \(newest), the newest given here."
    }
  }

  /// How many keys are under one version of the key-encryption key.
  package struct Usage: Sendable, Equatable {
    package let version: Int64
    package let count: Int64
  }

  private static let pageSize: Int64 = 200

  private let services: Services
  private let keys: KeyEncryptionKeys
  private let patience: Duration

  /// - Parameters:
  ///   - keys: what opens, and the newest of which wraps; nil for those of the services.
  ///   - patience: for how long a database that is away is waited for.
  package init(
    _ services: Services, keys: KeyEncryptionKeys? = nil, patience: Duration = .seconds(60)
  ) {
    self.services = services
    self.keys = keys ?? services.vault.keys
    self.patience = patience
  }

  /// The versions that keys are under, the oldest first.
  ///
  /// - Throws: ``PostgresError``.
  package func usage() async throws -> [Usage] {
    try await rows(ProviderKeyTable.countByVersion).map { row throws in
      let (version, count) = try row.decode((Int64, Int64).self)
      return Usage(version: version, count: count)
    }
  }

  /// How many keys are under older key-encryption keys than the newest.
  ///
  /// - Throws: ``PostgresError``.
  package func remaining() async throws -> Int64 {
    try await usage().filter { $0.version < keys.newest }.reduce(0) { $0 + $1.count }
  }

  /// Rewraps what is under older keys. `report` is told after every page.
  ///
  /// - Throws: ``NewerKeys``; ``PostgresError`` and ``CommandError`` when the database stays away.
  package func run(_ report: (Progress) -> Void) async throws -> Progress {
    if let newer = try await usage().last(where: { $0.version > keys.newest }) {
      throw NewerKeys(version: newer.version, newest: keys.newest)
    }
    var progress = Progress(total: try await remaining())
    var last: (OrganizationID, ProviderKeyID)?
    while true {
      let page = try await rows(
        ProviderKeyTable.older(than: keys.newest, after: last, limit: Self.pageSize)
      ).map { row throws(PostgresError) in try ProviderKeyRow(row) }
      guard let end = page.last else { return progress }
      last = (end.organizationID, end.id)
      try await withThrowingTaskGroup(of: Result<Bool, Failure>.self) { group in
        for row in page { group.addTask { try await rewrap(row) } }
        for try await result in group {
          switch result {
          case .success(true): progress.rewrapped += 1
          case .success(false): progress.overtaken += 1
          case .failure(let failure): progress.failures.append(failure)
          }
        }
      }
      report(progress)
    }
  }

  /// Whether the key was rewrapped, or somebody was faster; or why it cannot be.
  private func rewrap(_ row: ProviderKeyRow) async throws -> Result<Bool, Failure> {
    let key = row.key
    func failure(_ reason: String) -> Result<Bool, Failure> {
      .failure(
        Failure(
          organization: row.organizationID, project: key.projectID, provider: key.provider,
          reason: reason))
    }
    let place = ProviderKeyContext(row.organizationID, key.projectID, key.provider)
    let sealed: SealedKey
    do {
      sealed = SealedKey(
        try SealedSecret(key.secret.sealed.envelope).rewrapped(for: place.bytes, under: keys))
    } catch let error as SealedSecret.Failure {
      return failure(error.description)
    }
    let command = WorkspaceCommand.providerKey(
      .rewrap(row.id, from: key.secret.sealed, to: sealed))
    do {
      return .success(
        try await persist {
          let now = Timestamp.now
          return try await services.commands.handle(
            CommandRequest(
              commandID: Identifiers.next(at: now), organizationID: row.organizationID,
              command: command, actor: .system, occurredAt: now)
          ).position != nil
        })
    } catch CommandError.rejected(.notFound) {
      return .success(false)
    } catch CommandError.workspaceStopped(let reason) {
      return failure("the organization takes no changes: \(reason)")
    } catch CommandError.failed(let reason) {
      return failure(reason)
    }
  }

  private func rows(_ query: Query) async throws -> Rows {
    try await persist {
      try await services.reads.known(deadline: .now + .seconds(10)).rows(query)
    }
  }

  /// Tries again while the database is away. Everything that is tried here may be tried twice.
  private func persist<Value: Sendable>(_ attempt: () async throws -> Value) async throws -> Value {
    let giveUp = ContinuousClock.now + patience
    while true {
      do {
        return try await attempt()
      } catch let error where Self.isPassing(error) && ContinuousClock.now < giveUp {
        try await Task.sleep(for: .milliseconds(200))
      }
    }
  }

  private static func isPassing(_ error: any Error) -> Bool {
    switch error {
    case let error as PostgresError: error.isTransient
    case CommandError.unavailable, CommandError.outcomeUnknown, CommandError.premiseOutdated: true
    default: false
    }
  }
}
