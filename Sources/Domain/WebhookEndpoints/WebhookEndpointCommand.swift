// MARK: Commands and decide

package enum WebhookEndpointCommand: Equatable, Sendable {
  case create(WebhookEndpointID, WebhookEndpoint.Settings, secret: SealedKey)
  case change(WebhookEndpointID, WebhookEndpointChanges)
  /// Nothing is signed with the secret before the present one any more, however long it was to.
  case rotateSecret(WebhookEndpointID, to: SealedKey, overlapSeconds: Int64)
  /// - Parameter answeredAt: the URL that answered that it is gone; when the endpoint has another one meanwhile, it stays.
  case disable(WebhookEndpointID, WebhookEndpoint.DisabledReason, answeredAt: String? = nil)
  case enable(WebhookEndpointID, skipsMissed: Bool)
  case replay(WebhookEndpointID, fromPosition: Int64)
  case delete(WebhookEndpointID)

  package var endpointID: WebhookEndpointID {
    switch self {
    case .create(let id, _, _), .change(let id, _), .rotateSecret(let id, _, _),
      .disable(let id, _, _), .enable(let id, _), .replay(let id, _), .delete(let id):
      id
    }
  }
}

/// What is to become of an endpoint's settings; nil leaves one as it is.
package struct WebhookEndpointChanges: Equatable, Sendable {
  package var url: String?
  /// The inner nil removes it.
  package var description: ExactText??
  package var eventTypes: EventTypeFilter?

  package init(
    url: String? = nil, description: ExactText?? = nil, eventTypes: EventTypeFilter? = nil
  ) {
    self.url = url
    self.description = description
    self.eventTypes = eventTypes
  }

  func applied(to settings: WebhookEndpoint.Settings) -> WebhookEndpoint.Settings {
    WebhookEndpoint.Settings(
      url: url ?? settings.url, description: description ?? settings.description,
      eventTypes: eventTypes ?? settings.eventTypes)
  }
}

extension Workspace {
  func decide(
    _ command: WebhookEndpointCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    try webhookEvents(command, in: context).map { .webhookEndpoint($0) }
  }

  private func webhookEvents(
    _ command: WebhookEndpointCommand, in context: CommandContext
  ) throws(Rejection) -> [WebhookEndpointEvent] {
    switch command {
    case .create(let id, let settings, let secret):
      guard webhookEndpoints[id] == nil else { return [] }
      _ = try Organization.open(organization)
      guard webhookEndpoints.count < WebhookEndpoint.mostPerWorkspace else {
        throw .tooManyWebhookEndpoints(WebhookEndpoint.mostPerWorkspace)
      }
      return [.created(.init(endpointID: id, settings: settings, secret: secret))]
    case .change(let id, let changes):
      let endpoint = try webhookEndpoint(id)
      _ = try Organization.open(organization)
      let settings = changes.applied(to: endpoint.settings)
      guard settings != endpoint.settings else { return [] }
      return [.changed(.init(endpointID: id, settings: settings))]
    case .rotateSecret(let id, let secret, let overlapSeconds):
      let endpoint = try webhookEndpoint(id)
      _ = try Organization.open(organization)
      guard endpoint.secret != secret else { return [] }
      let formerUntil =
        overlapSeconds > 0 ? context.time.advanced(bySeconds: overlapSeconds) : nil
      return [.secretRotated(.init(endpointID: id, secret: secret, formerUntil: formerUntil))]
    case .disable(let id, let reason, let answeredAt):
      // In what is archived too: sending can always be stopped.
      let endpoint = try webhookEndpoint(id)
      guard endpoint.disablement == nil, answeredAt.map({ $0 == endpoint.settings.url }) ?? true
      else { return [] }
      return [.disabled(.init(endpointID: id, reason: reason))]
    case .enable(let id, let skipsMissed):
      let endpoint = try webhookEndpoint(id)
      _ = try Organization.open(organization)
      guard endpoint.disablement != nil else { return [] }
      return [.enabled(.init(endpointID: id, skipsMissed: skipsMissed))]
    case .replay(let id, let position):
      _ = try webhookEndpoint(id)
      _ = try Organization.open(organization)
      return [.replayed(.init(endpointID: id, fromPosition: position))]
    case .delete(let id):
      _ = try webhookEndpoint(id)
      return [.deleted(.init(endpointID: id))]
    }
  }

  private func webhookEndpoint(_ id: WebhookEndpointID) throws(Rejection) -> WebhookEndpoint {
    guard let endpoint = webhookEndpoints[id] else { throw .notFound(.webhookEndpoint) }
    return endpoint
  }
}
