import Domain
import JSON
import NIOCore

extension Entitlements {
  /// What a plan allows, as it is stored and shown.
  func json() -> JSONObject {
    var object = JSONObject()
    object.set("projects", projects)
    object.set("members", members)
    object.set("api_keys_per_project", apiKeysPerProject)
    object.set("rules_per_project", rulesPerProject)
    object.set("included_requests", includedRequests)
    object.set("credit_backed_requests", creditBackedRequests)
    object.set("providers", providers)
    object.set("network_controls", networkControls)
    object.set("region_rules", regionRules)
    object.set("retention_days", retentionDays)
    return object
  }
}

extension PlanCatalog {
  /// `GET /v1/plans`.
  var json: JSONObject {
    var data = JSONArray()
    for plan in plans {
      var object = JSONObject()
      object.set("plan_tier", plan.tier.rawValue)
      object.set("name", plan.name)
      object.set("price_per_month_micro_usd", plan.pricePerMonth)
      object.set("entitlements", plan.entitlements.json())
      data.append(object)
    }
    var body = JSONObject()
    body.set("catalog_version", version)
    body.set("data", data)
    return body
  }
}

/// What a workspace may have and has: `GET …/limits`, and the answer to a change of the plan.
struct WorkspaceLimits {
  let tier: PlanTier
  let catalogVersion: Int64
  let entitlements: Entitlements
  let usage: [WorkspaceLimit: Int64]
  /// Those about the whole workspace, of which there may be as many as of a project's.
  let workspaceRules: Int64
  /// Open projects, by id.
  let projects: [(id: ProjectID, usage: [ProjectLimit: Int64])]

  var json: JSONObject {
    var over: Set<Limit> = []
    func list(_ usage: [(Limit, Int64)]) -> (limits: JSONArray, over: JSONArray) {
      var (limits, names) = (JSONArray(), JSONArray())
      for (limit, usage) in usage {
        var object = JSONObject()
        object.set("limit", limit.rawValue)
        object.set("allowed", entitlements[limit])
        object.set("usage", usage)
        limits.append(object)
        guard usage > entitlements[limit] else { continue }
        over.insert(limit)
        names.append(limit.rawValue)
      }
      return (limits, names)
    }
    let workspace = WorkspaceLimit.allCases.map { ($0.limit, usage[$0] ?? 0) }
    let limits = list(workspace + [(.rulesPerProject, workspaceRules)]).limits
    var projects = JSONArray()
    for project in self.projects {
      let listed = list(ProjectLimit.allCases.map { ($0.limit, project.usage[$0] ?? 0) })
      var object = JSONObject()
      object.set("project_id", project.id.description)
      object.set("limits", listed.limits)
      object.set("over_limit", listed.over)
      projects.append(object)
    }
    var names = JSONArray()
    for limit in Limit.allCases where over.contains(limit) { names.append(limit.rawValue) }
    var object = JSONObject()
    object.set("plan_tier", tier.rawValue)
    object.set("catalog_version", catalogVersion)
    object.set("entitlements", entitlements.json())
    object.set("limits", limits)
    object.set("projects", projects)
    object.set("over_limit", names)
    return object
  }
}

extension Workspace {
  /// Nil when it is on no plan yet.
  func limitsJSON(at time: Timestamp) -> JSONObject? {
    plan.map { plan in
      let open = projects.filter { $0.value.archivedAt == nil }.keys
        .sorted { $0.uuid < $1.uuid }
      return WorkspaceLimits(
        tier: plan.tier, catalogVersion: plan.catalogVersion, entitlements: plan.entitlements,
        usage: Dictionary(
          uniqueKeysWithValues: WorkspaceLimit.allCases.map { ($0, usage(of: $0, at: time)) }),
        workspaceRules: ruleCount(in: nil),
        projects: open.map { id in
          (
            id,
            Dictionary(
              uniqueKeysWithValues: ProjectLimit.allCases.map {
                ($0, usage(of: $0, in: id, at: time))
              })
          )
        }
      ).json
    }
  }
}

/// The body of `PUT …/plan`.
struct ChangePlanPayload {
  let tier: PlanTier

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let tier = reader.choice("plan_tier", of: PlanTier.self)
    try reader.finish()
    guard let tier else { throw Problem(.invalidRequest) }
    self.tier = tier
  }
}
