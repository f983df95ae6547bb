import Domain
import JSON
import NIOCore

extension Project {
  /// The project as callers see it.
  func json(id: ProjectID, organizationID: OrganizationID) -> JSONObject {
    var panicMode = JSONObject()
    panicMode.set("enabled", self.panicMode != nil)
    panicMode.set("reason", self.panicMode?.reason)
    panicMode.set("since", self.panicMode?.since.rfc3339)
    panicMode.set("until", self.panicMode?.until?.rfc3339)
    panicMode.set("by", self.panicMode?.by.json())
    var budgets = JSONObject()
    budgets.set("requests_per_month", self.budgets.requestsPerMonth)
    budgets.set("cost_per_month", self.budgets.costPerMonth)

    var object = JSONObject()
    object.set("id", id.description)
    object.set("organization_id", organizationID.description)
    object.set("name", name)
    object.set("environment", environment.rawValue)
    object.set("rate_limit", thresholds.rateLimit)
    object.set("abuse_threshold", thresholds.abuseThreshold)
    object.set("max_tokens", thresholds.maxTokens)
    object.set("loop_sensitivity", thresholds.loopSensitivity.rawValue)
    object.set("budgets", budgets)
    object.set("panic_mode", panicMode)
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    object.set("archived_at", archivedAt?.rfc3339)
    return object
  }
}

extension Actor {
  /// Who did it, as callers see it.
  func json() -> JSONObject {
    var object = JSONObject()
    object.set("kind", kind.rawValue)
    object.set("id", externalID)
    return object
  }
}

/// The body of `POST …/projects`.
struct CreateProjectPayload {
  let name: ExactText
  let environment: Project.Environment

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let name = reader.exactText("name", .name)
    let environment = reader.choice("environment", of: Project.Environment.self)
    try reader.finish()
    guard let name, let environment else { throw Problem(.invalidRequest) }
    self.name = name
    self.environment = environment
  }
}

/// The body of `PATCH …/projects/{project}`: a merge patch (RFC 7396) in which null lifts a threshold or a budget.
struct ChangeProjectPayload {
  let name: ExactText?
  let thresholds: ThresholdChanges
  let budgets: BudgetChanges

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    name = reader.replacement("name", reader.exactTextChange("name", .name))
    var thresholds = ThresholdChanges()
    thresholds.rateLimit = reader.integerChange("rate_limit", 1...1_000_000).removable
    thresholds.abuseThreshold = reader.integerChange("abuse_threshold", 1...1_000_000).removable
    thresholds.maxTokens = reader.integerChange("max_tokens", 1...10_000_000).removable
    thresholds.loopSensitivity = reader.replacement(
      "loop_sensitivity", reader.choiceChange("loop_sensitivity"))
    budgets = BudgetChanges(reader.objectChange("budgets"))
    try reader.finish()
    self.thresholds = thresholds
  }
}

extension BudgetChanges {
  /// Null lifts all of them.
  fileprivate init(_ change: Change<PayloadReader>) {
    self.init()
    switch change {
    case .absent: break
    case .null:
      requestsPerMonth = .some(nil)
      costPerMonth = .some(nil)
    case .value(let reader):
      requestsPerMonth =
        reader.integerChange("requests_per_month", 1...1_000_000_000_000).removable
      costPerMonth = reader.integerChange("cost_per_month", 1...1_000_000_000_000_000).removable
    }
  }
}

/// The body of `PUT …/panic-mode`.
struct PanicModePayload {
  let enabled: Bool
  let reason: ExactText?
  let until: Timestamp?

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer, now: Timestamp) throws {
    let reader = try PayloadReader(body)
    let enabled = reader.bool("enabled")
    reason = reader.replacement("reason", reader.exactTextChange("reason", .reason))
    until = reader.optionalFuture("until", after: now)
    if enabled == false, until != nil {
      reader.refuse("until", "choice", "is only for switching panic mode on")
    }
    try reader.finish()
    guard let enabled else { throw Problem(.invalidRequest) }
    self.enabled = enabled
  }
}
