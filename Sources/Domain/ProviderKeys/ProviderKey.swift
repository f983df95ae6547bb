package typealias ProviderKeyID = TypeID<ProviderKey>

// MARK: Events

package enum ProviderKeyEvent: Equatable, Sendable {
  case set(Set)
  case rewrapped(Rewrapped)
  case deleted(Deleted)

  /// A project's key for a provider is another one from now on, or the first one.
  package struct Set: EventPayload {
    package static let type = "provider_key.set"
    package let keyID: ProviderKeyID
    package let projectID: ProjectID
    package let provider: Provider
    package let secret: ProviderKey.Secret
    package var event: WorkspaceEvent { .providerKey(.set(self)) }

    private enum CodingKeys: String, CodingKey {
      case keyID = "key_id"
      case projectID = "project_id"
      case provider, secret
    }
  }

  /// The same key under a newer key-encryption key.
  package struct Rewrapped: EventPayload {
    package static let type = "provider_key.rewrapped"
    package let keyID: ProviderKeyID
    package let sealed: SealedKey
    package var event: WorkspaceEvent { .providerKey(.rewrapped(self)) }

    private enum CodingKeys: String, CodingKey {
      case keyID = "key_id"
      case sealed
    }
  }

  package struct Deleted: EventPayload {
    package static let type = "provider_key.deleted"
    package let keyID: ProviderKeyID
    package var event: WorkspaceEvent { .providerKey(.deleted(self)) }

    private enum CodingKeys: String, CodingKey {
      case keyID = "key_id"
    }
  }

  package var keyID: ProviderKeyID {
    switch self {
    case .set(let payload): payload.keyID
    case .rewrapped(let payload): payload.keyID
    case .deleted(let payload): payload.keyID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [Set.self, Rewrapped.self, Deleted.self]

  var payload: any EventPayload {
    switch self {
    case .set(let payload): payload
    case .rewrapped(let payload): payload
    case .deleted(let payload): payload
    }
  }
}

// MARK: State and evolve

/// A key in its envelope. Nothing here can open it.
package struct SealedKey: Undisclosed, Hashable {
  /// The envelope, in base64url.
  package let envelope: String
  /// Of the key-encryption key that opens it.
  package let keyVersion: Int64

  package init(envelope: String, keyVersion: Int64) {
    self.envelope = envelope
    self.keyVersion = keyVersion
  }

  private enum CodingKeys: String, CodingKey {
    case envelope
    case keyVersion = "key_version"
  }
}

/// What a project pays an upstream provider with: one key for each provider.
package struct ProviderKey: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "pvk"
  /// How many providers a project can have keys for.
  package static let mostPerProject = 100

  /// What is kept of a key.
  package struct Secret: Equatable, Sendable, Codable {
    package var sealed: SealedKey
    /// Keyed hash of the key, shortened: the same for the same key.
    package let fingerprint: String
    /// The key's last four characters, by which people recognise it.
    package let lastFour: String

    package init(sealed: SealedKey, fingerprint: String, lastFour: String) {
      self.sealed = sealed
      self.fingerprint = fingerprint
      self.lastFour = lastFour
    }

    private enum CodingKeys: String, CodingKey {
      case sealed, fingerprint
      case lastFour = "last_four"
    }
  }

  package let projectID: ProjectID
  package let provider: Provider
  package var secret: Secret
  /// How many events happened to it.
  package var version: Int64
  package let createdAt: Timestamp
  /// When the key was set that there is now.
  package var updatedAt: Timestamp

  /// A key as it was read from a row.
  package init(
    projectID: ProjectID, provider: Provider, secret: Secret, version: Int64 = 1,
    createdAt: Timestamp, updatedAt: Timestamp
  ) {
    self.projectID = projectID
    self.provider = provider
    self.secret = secret
    self.version = version
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  private enum CodingKeys: String, CodingKey {
    case provider, secret, version
    case projectID = "project_id"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }

  static func evolve(
    _ state: inout ProviderKey?, _ event: ProviderKeyEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    if case .set(let set) = event, state == nil {
      state = ProviderKey(
        projectID: set.projectID, provider: set.provider, secret: set.secret,
        createdAt: metadata.occurredAt, updatedAt: metadata.occurredAt)
      return
    }
    guard var key = state else {
      throw FoldError(version: metadata.version, reason: "the provider key does not exist")
    }
    switch event {
    case .set(let set):
      guard set.projectID == key.projectID, set.provider == key.provider else {
        throw FoldError(version: metadata.version, reason: "the provider key is another one's")
      }
      key.secret = set.secret
      key.updatedAt = metadata.occurredAt
    case .rewrapped(let rewrapped):
      key.secret.sealed = rewrapped.sealed
    case .deleted:
      state = nil
      return
    }
    key.version += 1
    state = key
  }
}

// MARK: Commands and decide

package enum ProviderKeyCommand: Equatable, Sendable {
  /// The id is the same for the same project and provider. `mayReplace` says that the caller knows of a key that is there;
  /// the first key needs no such word, nor does one that is there already.
  case set(
    ProviderKeyID, project: ProjectID, provider: Provider, ProviderKey.Secret, mayReplace: Bool)
  /// Puts a key into a newer envelope, unless it is in another one meanwhile than the one that was opened for it.
  case rewrap(ProviderKeyID, from: SealedKey, to: SealedKey)
  case delete(ProviderKeyID)

  package var keyID: ProviderKeyID {
    switch self {
    case .set(let id, _, _, _, _), .rewrap(let id, _, _), .delete(let id): id
    }
  }
}

/// A plan does not have a provider.
package struct ProviderMissing: Equatable, Sendable {
  package let provider: Provider
  package let plan: PlanTier
  /// The smallest plan that has it; nil when none does.
  package let upgrade: PlanTier?
}

extension Workspace {
  func decide(
    _ command: ProviderKeyCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    switch command {
    case .set(let id, let projectID, let provider, let secret, let mayReplace):
      guard let project = projects[projectID] else { throw .notFound(.project) }
      _ = try Organization.open(organization)
      guard project.archivedAt == nil else { throw .archived(.project) }
      let former = providerKeys[id]
      guard former?.secret.fingerprint != secret.fingerprint else { return [] }
      try require(provider, in: context)
      if former == nil {
        let usage = providerKeys.values.count { $0.projectID == projectID }
        guard usage < ProviderKey.mostPerProject else {
          throw .tooManyProviderKeys(ProviderKey.mostPerProject)
        }
      } else if !mayReplace {
        throw .versionRequired(.providerKey)
      }
      return [
        .providerKey(
          .set(.init(keyID: id, projectID: projectID, provider: provider, secret: secret)))
      ]
    case .rewrap(let id, let former, let sealed):
      // In what is archived too: otherwise an old key-encryption key could never be dropped.
      guard let key = providerKeys[id] else { throw .notFound(.providerKey) }
      guard key.secret.sealed == former, sealed != former else { return [] }
      return [.providerKey(.rewrapped(.init(keyID: id, sealed: sealed)))]
    case .delete(let id):
      // Access can always be taken away, from what is archived too.
      guard providerKeys[id] != nil else { throw .notFound(.providerKey) }
      return [.providerKey(.deleted(.init(keyID: id)))]
    }
  }
}
