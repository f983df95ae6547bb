// MARK: Commands and decide

/// Each names the project too: whoever may act in one project reaches no other's keys.
package enum APIKeyCommand: Equatable, Sendable {
  case create(
    APIKeyID, project: ProjectID, name: ExactText, secret: TokenSecret, expiresAt: Timestamp?)
  /// Nil leaves something as it is; the inner nil removes it. A time that has passed means now.
  case change(APIKeyID, project: ProjectID, name: ExactText?, expiresAt: Timestamp??)
  /// `to` is the key that takes the place of the one before, which stays good for `graceSeconds`.
  case rotate(
    APIKeyID, project: ProjectID, to: APIKeyID, secret: TokenSecret, graceSeconds: Int64)
  case revoke(APIKeyID, project: ProjectID, reason: ExactText?)

  /// The key that it leaves behind.
  package var keyID: APIKeyID {
    switch self {
    case .create(let id, _, _, _, _), .change(let id, _, _, _), .rotate(_, _, let id, _, _),
      .revoke(let id, _, _):
      id
    }
  }
}

extension Workspace {
  func decide(
    _ command: APIKeyCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    if case .revoke(let id, let projectID, let reason) = command {
      // Access can always be taken away, in what is archived too.
      let key = try apiKey(id, in: projectID)
      return key.revokedAt == nil ? [.apiKey(.revoked(.init(keyID: id, reason: reason)))] : []
    }
    _ = try Organization.open(organization)
    switch command {
    case .create(let id, let projectID, let name, let secret, let expiresAt):
      guard apiKeys[id] == nil else { return [] }
      let project = try openProject(projectID)
      try requireUnused(secret)
      try requireRoomForKey(in: projectID, context)
      return [
        .apiKey(
          .created(
            .init(
              keyID: id, projectID: projectID, environment: project.environment, name: name,
              secret: secret, rotatedFrom: nil, expiresAt: expiresAt)))
      ]
    case .change(let id, let projectID, let name, let expiresAt):
      let key = try apiKey(id, in: projectID)
      _ = try openProject(projectID)
      return try key.changes(id, name: name, expiresAt: expiresAt, at: context.time)
        .map { .apiKey($0) }
    case .rotate(let id, let projectID, let newID, let secret, let graceSeconds):
      guard apiKeys[newID] == nil else { return [] }
      let key = try apiKey(id, in: projectID)
      _ = try openProject(projectID)
      if let closure = key.closure(at: context.time) { throw .apiKeyClosed(closure) }
      guard key.rotatedTo == nil else { throw .apiKeyClosed(.rotated) }
      try requireUnused(secret)
      let graceEnd = context.time.advanced(bySeconds: graceSeconds)
      let rotation: [APIKeyEvent] = [
        .created(
          .init(
            keyID: newID, projectID: projectID, environment: key.environment, name: key.name,
            secret: secret, rotatedFrom: id, expiresAt: key.renewedExpiry(at: context.time))),
        // It never outlives what it was good for.
        .rotated(
          .init(
            keyID: id, rotatedTo: newID, expiresAt: min(graceEnd, key.expiresAt ?? graceEnd))),
      ]
      return (endOfGrace(before: key, at: context.time) + rotation).map { .apiKey($0) }
    case .revoke:
      return []
    }
  }

  /// How many keys of a project let somebody in. One that was rotated and the one in its place count once.
  package func activeKeys(in projectID: ProjectID, at time: Timestamp) -> Int64 {
    let count = apiKeys.values.count { key in
      guard key.projectID == projectID, key.closure(at: time) == nil else { return false }
      guard let successor = key.rotatedTo.flatMap({ apiKeys[$0] }) else { return true }
      return successor.closure(at: time) != nil
    }
    return Int64(count)
  }

  private func apiKey(_ id: APIKeyID, in projectID: ProjectID) throws(Rejection) -> APIKey {
    guard let key = apiKeys[id], key.projectID == projectID else { throw .notFound(.apiKey) }
    return key
  }

  private func openProject(_ id: ProjectID) throws(Rejection) -> Project {
    guard let project = projects[id] else { throw .notFound(.project) }
    guard project.archivedAt == nil else { throw .archived(.project) }
    return project
  }

  /// One secret is one key's: a request that is repeated after its reply was forgotten would show the same one again.
  private func requireUnused(_ secret: TokenSecret) throws(Rejection) {
    guard !apiKeys.values.contains(where: { $0.secret.hash == secret.hash }) else {
      throw .secretUsed
    }
  }

  private func requireRoomForKey(
    in projectID: ProjectID, _ context: CommandContext
  ) throws(Rejection) {
    try requireRoom(
      for: .apiKeysPerProject, besides: activeKeys(in: projectID, at: context.time), in: context)
  }

  /// Of keys that took each other's places, two are good at most.
  private func endOfGrace(before key: APIKey, at time: Timestamp) -> [APIKeyEvent] {
    guard let id = key.rotatedFrom, let former = apiKeys[id], former.closure(at: time) == nil
    else { return [] }
    return [.expiryChanged(.init(keyID: id, expiresAt: time))]
  }
}

extension APIKey {
  /// A new key in its place lives as long as it was made to.
  fileprivate func renewedExpiry(at time: Timestamp) -> Timestamp? {
    expiresAt.map { expiresAt in
      let life = expiresAt.microseconds(since: createdAt)
      return max(expiresAt, time.advanced(by: life))
    }
  }

  fileprivate func changes(
    _ id: APIKeyID, name newName: ExactText?, expiresAt newExpiry: Timestamp??, at time: Timestamp
  ) throws(Rejection) -> [APIKeyEvent] {
    var events: [APIKeyEvent] = []
    if let newName, newName != name { events.append(.renamed(.init(keyID: id, name: newName))) }
    if let newExpiry, isChange(newExpiry, at: time) {
      events.append(
        .expiryChanged(.init(keyID: id, expiresAt: newExpiry.map { max($0, time) })))
      // A grace can be cut short, and no more.
      if rotatedTo != nil, newExpiry.map({ $0 > expiresAt ?? $0 }) ?? true {
        throw .apiKeyClosed(.rotated)
      }
    }
    guard !events.isEmpty else { return [] }
    // What lets nobody in any more is not brought back.
    if let closure = closure(at: time) { throw .apiKeyClosed(closure) }
    return events
  }

  private func isChange(_ newExpiry: Timestamp?, at time: Timestamp) -> Bool {
    guard newExpiry != expiresAt else { return false }
    guard let newExpiry, let expiresAt else { return true }
    // To end what has ended is done.
    return newExpiry > time || expiresAt > time
  }
}
