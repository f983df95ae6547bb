package typealias WebhookEndpointID = TypeID<WebhookEndpoint>

// MARK: Events

package enum WebhookEndpointEvent: Equatable, Sendable {
  case created(Created)
  case changed(Changed)
  case secretRotated(SecretRotated)
  case disabled(Disabled)
  case enabled(Enabled)
  case replayed(Replayed)
  case deleted(Deleted)

  package struct Created: EventPayload {
    package static let type = "webhook_endpoint.created"
    package let endpointID: WebhookEndpointID
    package let settings: WebhookEndpoint.Settings
    package let secret: SealedKey
    package var event: WorkspaceEvent { .webhookEndpoint(.created(self)) }

    private enum CodingKeys: String, CodingKey {
      case endpointID = "endpoint_id"
      case settings, secret
    }
  }

  package struct Changed: EventPayload {
    package static let type = "webhook_endpoint.changed"
    package let endpointID: WebhookEndpointID
    /// All as they are from then on.
    package let settings: WebhookEndpoint.Settings
    package var event: WorkspaceEvent { .webhookEndpoint(.changed(self)) }

    private enum CodingKeys: String, CodingKey {
      case endpointID = "endpoint_id"
      case settings
    }
  }

  package struct SecretRotated: EventPayload {
    package static let type = "webhook_endpoint.secret_rotated"
    package let endpointID: WebhookEndpointID
    package let secret: SealedKey
    /// Until when deliveries are signed with the one before, too; absent when not at all.
    package let formerUntil: Timestamp?
    package var event: WorkspaceEvent { .webhookEndpoint(.secretRotated(self)) }

    private enum CodingKeys: String, CodingKey {
      case endpointID = "endpoint_id"
      case secret
      case formerUntil = "former_until"
    }
  }

  package struct Disabled: EventPayload {
    package static let type = "webhook_endpoint.disabled"
    package let endpointID: WebhookEndpointID
    package let reason: WebhookEndpoint.DisabledReason
    package var event: WorkspaceEvent { .webhookEndpoint(.disabled(self)) }

    private enum CodingKeys: String, CodingKey {
      case endpointID = "endpoint_id"
      case reason
    }
  }

  package struct Enabled: EventPayload {
    package static let type = "webhook_endpoint.enabled"
    package let endpointID: WebhookEndpointID
    /// Whether it begins with what happens from now on, and not where it stopped.
    package let skipsMissed: Bool
    package var event: WorkspaceEvent { .webhookEndpoint(.enabled(self)) }

    private enum CodingKeys: String, CodingKey {
      case endpointID = "endpoint_id"
      case skipsMissed = "skips_missed"
    }
  }

  /// What happened from a position of the log on is delivered (again).
  package struct Replayed: EventPayload {
    package static let type = "webhook_endpoint.replayed"
    package let endpointID: WebhookEndpointID
    package let fromPosition: Int64
    package var event: WorkspaceEvent { .webhookEndpoint(.replayed(self)) }

    private enum CodingKeys: String, CodingKey {
      case endpointID = "endpoint_id"
      case fromPosition = "from_position"
    }
  }

  package struct Deleted: EventPayload {
    package static let type = "webhook_endpoint.deleted"
    package let endpointID: WebhookEndpointID
    package var event: WorkspaceEvent { .webhookEndpoint(.deleted(self)) }

    private enum CodingKeys: String, CodingKey {
      case endpointID = "endpoint_id"
    }
  }

  package var endpointID: WebhookEndpointID {
    switch self {
    case .created(let payload): payload.endpointID
    case .changed(let payload): payload.endpointID
    case .secretRotated(let payload): payload.endpointID
    case .disabled(let payload): payload.endpointID
    case .enabled(let payload): payload.endpointID
    case .replayed(let payload): payload.endpointID
    case .deleted(let payload): payload.endpointID
    }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    Created.self, Changed.self, SecretRotated.self, Disabled.self, Enabled.self, Replayed.self,
    Deleted.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .created(let payload): payload
    case .changed(let payload): payload
    case .secretRotated(let payload): payload
    case .disabled(let payload): payload
    case .enabled(let payload): payload
    case .replayed(let payload): payload
    case .deleted(let payload): payload
    }
  }
}

// MARK: State and evolve

/// Where a workspace wants to be told of what happens to it.
package struct WebhookEndpoint: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "whe"
  /// How many a workspace can have.
  package static let mostPerWorkspace = 20
  /// For how long deliveries are signed with a former secret at most, in seconds: seven days.
  package static let longestOverlap: Int64 = 7 * 86_400
  /// And when nobody says: one day.
  package static let usualOverlap: Int64 = 86_400

  /// What its owner chooses.
  package struct Settings: Equatable, Sendable, Codable {
    package var url: String
    package var description: ExactText?
    package var eventTypes: EventTypeFilter

    package init(url: String, description: ExactText? = nil, eventTypes: EventTypeFilter) {
      self.url = url
      self.description = description
      self.eventTypes = eventTypes
    }

    private enum CodingKeys: String, CodingKey {
      case url, description
      case eventTypes = "event_types"
    }
  }

  /// Why nothing is sent to it. The raw values are stored.
  package enum DisabledReason: String, Sendable, Codable, CaseIterable {
    /// Somebody wanted it so.
    case `operator`
    /// It answered 410.
    case gone
  }

  package struct Disablement: Equatable, Sendable, Codable {
    package let reason: DisabledReason
    package let since: Timestamp

    package init(reason: DisabledReason, since: Timestamp) {
      self.reason = reason
      self.since = since
    }
  }

  /// The secret before the present one, as long as both sign.
  package struct FormerSecret: Equatable, Sendable, Codable {
    package let sealed: SealedKey
    package let until: Timestamp

    package init(sealed: SealedKey, until: Timestamp) {
      self.sealed = sealed
      self.until = until
    }
  }

  /// From where on deliveries were asked for last. Whoever makes them follows it once, and then goes on by itself.
  package struct Start: Equatable, Sendable, Codable {
    /// The workspace's version when it was asked for: a later one counts.
    package let version: Int64
    /// What is behind this position of the log is delivered; nil for what is behind that version.
    package let after: Int64?

    package init(version: Int64, after: Int64?) {
      self.version = version
      self.after = after
    }
  }

  package var settings: Settings
  package var secret: SealedKey
  package var former: FormerSecret?
  /// Nil while it is enabled.
  package var disablement: Disablement?
  package var start: Start
  package let createdBy: Actor
  package var version: Int64
  package let createdAt: Timestamp
  package var updatedAt: Timestamp

  /// An endpoint as it was read from a row.
  package init(
    settings: Settings, secret: SealedKey, former: FormerSecret? = nil,
    disablement: Disablement? = nil, start: Start, createdBy: Actor, version: Int64 = 1,
    createdAt: Timestamp, updatedAt: Timestamp
  ) {
    self.settings = settings
    self.secret = secret
    self.former = former
    self.disablement = disablement
    self.start = start
    self.createdBy = createdBy
    self.version = version
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  private enum CodingKeys: String, CodingKey {
    case settings, secret, former, disablement, start, version
    case createdBy = "created_by"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }

  static func evolve(
    _ state: inout WebhookEndpoint?, _ event: WebhookEndpointEvent, _ metadata: EventMetadata
  ) throws(FoldError) {
    if case .created(let created) = event {
      guard state == nil else {
        throw FoldError(version: metadata.version, reason: "the endpoint exists already")
      }
      state = WebhookEndpoint(
        settings: created.settings, secret: created.secret,
        start: Start(version: metadata.version, after: nil), createdBy: metadata.actor,
        createdAt: metadata.occurredAt, updatedAt: metadata.occurredAt)
      return
    }
    guard state?.evolve(event, metadata) != nil else {
      throw FoldError(version: metadata.version, reason: "the endpoint does not exist")
    }
    if case .deleted = event { state = nil }
  }

  private mutating func evolve(_ event: WebhookEndpointEvent, _ metadata: EventMetadata) {
    switch event {
    case .created, .deleted: break
    case .changed(let changed):
      settings = changed.settings
    case .secretRotated(let rotated):
      former = rotated.formerUntil.map { FormerSecret(sealed: secret, until: $0) }
      secret = rotated.secret
    case .disabled(let disabled):
      disablement = Disablement(reason: disabled.reason, since: metadata.occurredAt)
    case .enabled(let enabled):
      disablement = nil
      if enabled.skipsMissed { start = Start(version: metadata.version, after: nil) }
    case .replayed(let replayed):
      start = Start(version: metadata.version, after: replayed.fromPosition - 1)
    }
    version += 1
    updatedAt = metadata.occurredAt
  }
}
