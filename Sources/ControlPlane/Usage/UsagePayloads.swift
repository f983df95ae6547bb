import Domain
import FoundationEssentials
import JSON

extension Usage.Project {
  /// What a project used in a month, as the audit shows it.
  func json(projectID: ProjectID, period: BillingPeriod) -> JSONObject {
    var object = count.json
    object.set("project_id", projectID.description)
    object.set("period", period.description)
    object.set("cost_micro_usd", costMicroUSD)
    return object
  }
}

extension UsageCount {
  var json: JSONObject {
    var object = JSONObject()
    object.set("included", included)
    object.set("credits", credits)
    object.set("refused", refused)
    return object
  }
}

extension Capacity {
  var json: JSONObject {
    var object = JSONObject()
    object.set("included", included)
    object.set("included_used", includedUsed)
    object.set("credits", credits)
    object.set("remaining", remaining)
    object.set("resets_at", resetsAt.rfc3339)
    return object
  }
}

/// `GET …/usage`: a month's counters, and sums of its evidence for charts.
struct UsageReply {
  let period: BillingPeriod
  /// Nil for a month that is over.
  let capacity: Capacity?
  let projects: [UsageCounterRow]
  /// Requests that were reported and are not counted yet.
  let pending: Int64
  let dimensions: [UsageDayTable.Dimension]
  let sums: [UsageSum]

  var json: JSONObject {
    var total = UsageCount()
    var counters = JSONArray()
    for project in projects {
      total += project.count
      var object = project.count.json
      object.set("project_id", project.projectID.description)
      object.set("cost_micro_usd", project.costMicroUSD)
      counters.append(object)
    }
    var data = JSONArray()
    for sum in sums { data.append(sum.json) }
    var object = JSONObject()
    object.set("period", period.description)
    object.set("starts_at", period.start.rfc3339)
    object.set("ends_at", period.end.rfc3339)
    object.set("capacity", capacity?.json)
    object.set("total", total.json)
    object.set("pending", pending)
    object.set("projects", counters)
    object.set("group_by", dimensions.map(\.rawValue))
    object.set("data", data)
    return object
  }
}

extension UsageSum {
  fileprivate var json: JSONObject {
    var object = JSONObject()
    for (dimension, value) in values {
      let shown =
        dimension == .project ? UUID(uuidString: value).map { ProjectID($0).description } : value
      object.set(key: dimension.rawValue, shown ?? value)
    }
    object.set("requests", requests)
    object.set("tokens_in", tokensIn)
    object.set("tokens_out", tokensOut)
    object.set("cost_micro_usd", costMicroUSD)
    return object
  }
}
