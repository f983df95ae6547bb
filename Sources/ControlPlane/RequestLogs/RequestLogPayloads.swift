import Domain
import JSON

extension RequestLog {
  /// The record as callers see it.
  func json(organizationID: OrganizationID) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("organization_id", organizationID.description)
    object.set("project_id", projectID.description)
    object.set("key_id", keyID?.description)
    object.set("occurred_at", time.rfc3339)
    object.set("decision", decision.rawValue)
    object.set("reason", reason?.rawValue)
    object.set("rule_id", ruleID?.description)
    object.set("route", route)
    object.set("provider", provider)
    object.set("model", model)
    object.set("country", country?.description)
    object.set("region", region.rawValue)
    object.set("address", address?.description)
    object.set("tokens_requested", tokensRequested)
    object.set("tokens_in", tokensIn)
    object.set("tokens_out", tokensOut)
    object.set("cost_micro_usd", costMicroUSD)
    object.set("status", status.map(Int64.init))
    object.set("latency_ms", latencyMilliseconds)
    object.set("configuration_position", configurationPosition)
    return object
  }
}

/// The answer to a batch of records: what became of every one of them.
struct IngestOutcome {
  let accepted: Int
  /// That were there already.
  let duplicates: Int
  let refused: [RequestLogBatch.Refusal]
  /// How many requests the workspaces of the records may still make.
  var remaining: [OrganizationID: Int64] = [:]

  var json: JSONObject {
    var refusals = JSONArray()
    for refusal in refused {
      var errors = JSONArray()
      for error in refusal.errors {
        var object = JSONObject()
        object.set("pointer", error.pointer)
        object.set("code", error.code)
        object.set("detail", error.detail)
        errors.append(object)
      }
      var object = JSONObject()
      object.set("index", Int64(refusal.index))
      object.set("errors", errors)
      refusals.append(object)
    }
    var object = JSONObject()
    object.set("accepted", Int64(accepted))
    object.set("duplicates", Int64(duplicates))
    object.set("refused", refusals)
    var capacity = JSONObject()
    for (organization, remaining) in remaining.sorted(by: {
      $0.key.description < $1.key.description
    }) {
      var left = JSONObject()
      left.set("remaining", remaining)
      capacity.set(key: organization.description, left)
    }
    object.set("capacity", capacity)
    return object
  }
}
