import Domain
import JSON
import NIOCore

extension WebhookEndpoint {
  /// The endpoint as callers see it: never a secret.
  func json(id: WebhookEndpointID, organizationID: OrganizationID) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("organization_id", organizationID.description)
    object.set("url", settings.url)
    object.set("description", settings.description)
    object.set("event_types", settings.eventTypes.patterns)
    object.set("status", disablement == nil ? "enabled" : "disabled")
    object.set("disabled_reason", disablement?.reason.rawValue)
    object.set("disabled_at", disablement?.since.rfc3339)
    object.set("former_secret_until", former?.until.rfc3339)
    object.set("created_by", createdBy.json())
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    return object
  }
}

extension TextRules {
  /// What an endpoint is there for.
  fileprivate static let endpointDescription = TextRules(1...500, allowsOuterSpaces: false)
  fileprivate static let eventTypePattern = TextRules(1...100)
  fileprivate static let webhookURL = TextRules(1...WebhookURL.longest)
}

extension PayloadReader {
  /// A URL as ``WebhookURL`` writes it, whose target the policy allows.
  fileprivate func check(_ url: String?, _ policy: TargetPolicy) -> String? {
    guard let url else { return nil }
    do throws(WebhookURL.Refusal) {
      let parsed = try WebhookURL(url)
      try policy.check(parsed)
      return parsed.text
    } catch {
      refuse("url", error.code, error.detail)
      return nil
    }
  }

  fileprivate static let patternRule = """
    must be *, a type of event that happens to organizations, or project.* for all of one subject; \
    events about invitations and service tokens are not sent to webhooks: read them with GET …/events
    """
}

/// The body of `POST …/webhook-endpoints`. Without `event_types` it wants all.
struct CreateWebhookEndpointPayload {
  let settings: WebhookEndpoint.Settings

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer, _ policy: TargetPolicy) throws {
    let reader = try PayloadReader(body)
    let url = reader.check(reader.string("url", .webhookURL), policy)
    let description = reader.optionalExactText("description", .endpointDescription)
    let types = reader.optionalStrings(
      "event_types", 1...EventTypeFilter.mostPatterns, each: .eventTypePattern,
      where: EventTypeFilter.isKnown, otherwise: PayloadReader.patternRule)
    try reader.finish()
    guard let url else { throw Problem(.invalidRequest) }
    settings = .init(
      url: url, description: description,
      eventTypes: EventTypeFilter(types ?? [EventTypeFilter.all]))
  }
}

/// The body of `PATCH …/webhook-endpoints/{endpoint}`: a merge patch (RFC 7396).
struct ChangeWebhookEndpointPayload {
  let changes: WebhookEndpointChanges

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer, _ policy: TargetPolicy) throws {
    let reader = try PayloadReader(body)
    let url = reader.replacement("url", reader.stringChange("url", .webhookURL))
    let types = reader.replacement(
      "event_types",
      reader.stringsChange(
        "event_types", 1...EventTypeFilter.mostPatterns, each: .eventTypePattern,
        where: EventTypeFilter.isKnown, otherwise: PayloadReader.patternRule))
    changes = WebhookEndpointChanges(
      url: reader.check(url, policy),
      description: reader.exactTextChange("description", .endpointDescription).removable,
      eventTypes: types.map { EventTypeFilter($0) })
    try reader.finish()
  }
}

/// The body of `POST …/webhook-endpoints/{endpoint}:rotate-secret`.
struct RotateWebhookSecretPayload {
  let overlapSeconds: Int64

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    guard body.readableBytes > 0 else {
      overlapSeconds = WebhookEndpoint.usualOverlap
      return
    }
    let reader = try PayloadReader(body)
    overlapSeconds =
      reader.optionalInteger("overlap_seconds", 0...WebhookEndpoint.longestOverlap)
      ?? WebhookEndpoint.usualOverlap
    try reader.finish()
  }
}

/// The body of `POST …/webhook-endpoints/{endpoint}:enable`.
struct EnableWebhookEndpointPayload {
  let skipsMissed: Bool

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    guard body.readableBytes > 0 else {
      skipsMissed = false
      return
    }
    let reader = try PayloadReader(body)
    skipsMissed = reader.optionalBool("skip_missed") ?? false
    try reader.finish()
  }
}

/// The body of `POST …/webhook-endpoints/{endpoint}:replay`.
struct ReplayWebhookEventsPayload {
  let fromPosition: Int64

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let fromPosition = reader.integer("from_position", 1...QueryReader.largestInteger)
    try reader.finish()
    guard let fromPosition else { throw Problem(.invalidRequest) }
    self.fromPosition = fromPosition
  }
}
