import ConfigurationFeed
import Cryptography
import Domain
import JSON
import Synchronization

/// The configuration that decides: one document, the index of its keys, and what was compiled of it.
///
/// Whoever changes it does all that takes long before it takes the lock, and holds it only to put things in their places.
/// So nobody who decides about a request waits for long. Nothing gets in that cannot be read in full.
final class LiveConfiguration: Sendable {
  /// What is known of a key.
  struct Key: Sendable {
    let hash: [UInt8]
    let expiresAt: Timestamp?
    let verified: VerifiedKey
  }

  /// What decides about a project's requests, made when it is first asked for.
  struct Compiled: Sendable {
    let rules: RuleSet
    let project: ConfiguredProject
  }

  fileprivate struct Organization: Sendable {
    var configured: ConfiguredOrganization
    /// The keys of each project, by their prefixes.
    var keys: [ProjectID: [UInt128]] = [:]
    var compiled: [ProjectID: Compiled] = [:]
    /// That of the last change, so that nothing is kept that was compiled of what has changed meanwhile.
    var generation: UInt64 = 0
  }

  fileprivate struct State {
    var document = ConfigurationDocument()
    var isLoaded = false
    var generation: UInt64 = 0
    var organizations: [OrganizationID: Organization] = [:]
    /// By the leading 16 bytes of their hashes. No two projects have the same key.
    var keys: [UInt128: Key] = [:]
  }

  private let state = Mutex(State())

  /// Nil before there is any.
  var position: Int64? { state.withLock { $0.isLoaded ? $0.document.position : nil } }

  /// A copy for saving; nil before there is any.
  var document: ConfigurationDocument? { state.withLock { $0.isLoaded ? $0.document : nil } }

  // MARK: Deciding

  func key(_ hash: [UInt8]) -> Key? {
    state.withLock { $0.keys[Self.prefix(hash)] }
  }

  struct Controls: Sendable {
    let organization: ConfiguredOrganization
    let compiled: Compiled
    let position: Int64
  }

  /// Nil when there is no such project (any more).
  func controls(of project: ProjectID, in organization: OrganizationID) -> Controls? {
    enum Found {
      case nothing
      case controls(Controls)
      case piece([UInt8], ConfiguredOrganization, generation: UInt64, position: Int64)
    }
    let found = state.withLock { state -> Found in
      guard let known = state.organizations[organization] else { return .nothing }
      let position = state.document.position
      if let compiled = known.compiled[project] {
        return .controls(
          Controls(organization: known.configured, compiled: compiled, position: position))
      }
      guard let piece = state.document.project(project, of: organization) else { return .nothing }
      return .piece(
        piece, known.configured, generation: known.generation, position: position)
    }
    switch found {
    case .nothing: return nil
    case .controls(let controls): return controls
    case .piece(let piece, let configured, let generation, let position):
      guard let read = try? Self.project(piece) else {
        preconditionFailure("a project was taken over that cannot be read")
      }
      let compiled = Compiled(rules: RuleSet(configured.rules, read.rules), project: read)
      state.withLock { state in
        guard state.organizations[organization]?.generation == generation else { return }
        state.organizations[organization]?.compiled[project] = compiled
      }
      return Controls(organization: configured, compiled: compiled, position: position)
    }
  }

  // MARK: Changing

  /// Applies a change, if all that it leaves behind can be read.
  ///
  /// Only one task may change a configuration.
  ///
  /// - Throws: `ConfigurationError`; everything is as it was then.
  func apply(_ patch: [UInt8], at position: Int64) throws(ConfigurationError) {
    let change = try prepare(patch, at: position)
    // What is not needed any more is freed when nobody waits for it.
    _ = state.withLock { $0.commit(change) }
  }

  /// Takes over a whole document, if all of it can be read.
  ///
  /// - Throws: `ConfigurationError`; everything is as it was then. `CancellationError`.
  func replace(with document: ConfigurationDocument) async throws {
    var organizations: [OrganizationID: Organization] = [:]
    var keys: [UInt128: Key] = [:]
    for id in document.organizationIDs {
      guard let settings = document.settings(of: id) else { continue }
      organizations[id] = Organization(configured: try Self.organization(settings, id))
    }
    for key in try await Self.keys(of: document) {
      let prefix = Self.prefix(key.hash)
      keys[prefix] = key
      organizations[key.verified.organization]?.keys[key.verified.project, default: []]
        .append(prefix)
    }
    var new = State(
      document: document, isLoaded: true, generation: 0, organizations: organizations, keys: keys)
    state.withLock { state in
      new.generation = state.generation + 1
      for id in new.organizations.keys { new.organizations[id]?.generation = new.generation }
      swap(&state, &new)
    }
  }

  /// Reads every project, on all processors.
  private static func keys(of document: ConfigurationDocument) async throws -> [Key] {
    let projects = document.organizationIDs.flatMap { organization in
      document.projectIDs(of: organization).map { (organization, $0) }
    }
    let batch = 250
    return try await withThrowingTaskGroup(of: [Key].self) { group in
      for start in stride(from: 0, to: projects.count, by: batch) {
        group.addTask {
          try projects[start..<min(start + batch, projects.count)].flatMap {
            organization, project -> [Key] in
            guard let piece = document.project(project, of: organization) else { return [Key]() }
            return try keys(of: piece, project, organization)
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
  }

  private func prepare(
    _ patch: [UInt8], at position: Int64
  ) throws(ConfigurationError) -> Change {
    // The copy is gone when the change is made, so that the document is changed in place.
    let document = state.withLock { $0.document }
    var change = Change(update: try document.update(for: patch, at: position))
    for (id, update) in change.update.organizations {
      guard case .changed(let settings, _, let projects) = update else { continue }
      if let settings { change.organizations[id] = try Self.organization(settings, id) }
      for (project, piece) in projects {
        guard let piece else { continue }
        change.keys += try Self.keys(of: piece, project, id)
      }
    }
    return change
  }

  private static func organization(
    _ piece: [UInt8], _ id: OrganizationID
  ) throws(ConfigurationError) -> ConfiguredOrganization {
    try inside("/organizations/\(id)") { () throws(ConfigurationError) in
      try ConfiguredOrganization(value(piece))
    }
  }

  /// The keys of a project of which everything was read.
  private static func keys(
    of piece: [UInt8], _ id: ProjectID, _ organization: OrganizationID
  ) throws(ConfigurationError) -> [Key] {
    try inside("/organizations/\(organization)/projects/\(id)") { () throws(ConfigurationError) in
      var keys: [Key] = []
      for (name, key) in try project(piece).apiKeys {
        guard let hash = Base64URL.decode(key.hash), hash.count == 32 else {
          throw .invalid(
            pointer: "/api_keys/\(name)/hash", reason: "must be 32 bytes in base64url")
        }
        let verified = VerifiedKey(id: name, organization: organization, project: id)
        keys.append(Key(hash: hash, expiresAt: key.expiresAt, verified: verified))
      }
      return keys
    }
  }

  private static func project(_ piece: [UInt8]) throws(ConfigurationError) -> ConfiguredProject {
    try ConfiguredProject(value(piece))
  }

  private static func value(_ piece: [UInt8]) throws(ConfigurationError) -> JSONValue {
    do throws(JSONSyntaxError) { return try JSONValue.parse(piece) } catch { throw .syntax(error) }
  }

  fileprivate static func prefix(_ hash: [UInt8]) -> UInt128 {
    hash.prefix(16).reduce(0) { $0 << 8 | UInt128($1) }
  }

  /// A change of which everything was read.
  fileprivate struct Change {
    let update: ConfigurationUpdate
    var organizations: [OrganizationID: ConfiguredOrganization] = [:]
    var keys: [Key] = []
  }
}

extension LiveConfiguration.State {
  /// - Returns: what is not needed any more.
  fileprivate mutating func commit(_ change: LiveConfiguration.Change) -> [any Sendable] {
    var garbage: [any Sendable] = []
    document.apply(change.update)
    isLoaded = true
    generation += 1
    if change.update.removesOthers {
      garbage += [organizations, keys]
      organizations = [:]
      keys = [:]
    }
    for (id, update) in change.update.organizations {
      var organization = organizations.removeValue(forKey: id)
      guard case .changed(_, let removesOthers, let projects) = update else {
        for project in organization?.keys.keys.map({ $0 }) ?? [] {
          removeKeys(of: project, &organization)
        }
        garbage.append(organization)
        continue
      }
      let configured = change.organizations[id]
      if organization == nil, let configured {
        organization = LiveConfiguration.Organization(configured: configured)
      }
      if let configured {
        // Whatever else changed is not compiled.
        if configured.rules != organization?.configured.rules {
          garbage.append(organization?.compiled)
          organization?.compiled = [:]
        }
        organization?.configured = configured
      }
      let removed =
        removesOthers ? organization?.keys.keys.map { $0 } ?? [] : Array(projects.keys)
      for project in removed { removeKeys(of: project, &organization) }
      if removesOthers {
        organization?.compiled = [:]
      } else {
        for project in projects.keys { organization?.compiled[project] = nil }
      }
      organization?.generation = generation
      organizations[id] = organization
    }
    // After all that were removed: a key may have moved.
    for key in change.keys {
      let prefix = LiveConfiguration.prefix(key.hash)
      keys[prefix] = key
      organizations[key.verified.organization]?.keys[key.verified.project, default: []]
        .append(prefix)
    }
    return garbage
  }

  private mutating func removeKeys(
    of project: ProjectID, _ organization: inout LiveConfiguration.Organization?
  ) {
    for prefix in organization?.keys.removeValue(forKey: project) ?? []
    where keys[prefix]?.verified.project == project {
      keys[prefix] = nil
    }
  }
}
