package import FoundationEssentials

// MARK: Events

package enum UsageEvent: Equatable, Sendable {
  case recorded(Recorded)
  case thresholdReached(ThresholdReached)

  /// Requests of one project that gateways let pass, as a number of their reports together tell it.
  package struct Recorded: EventPayload {
    package static let type = "usage.recorded"
    package let projectID: ProjectID
    package let period: BillingPeriod
    package let included: Int64
    package let credits: Int64
    package let refused: Int64
    package let costMicroUSD: Int64
    package var event: WorkspaceEvent { .usage(.recorded(self)) }

    package var count: UsageCount {
      UsageCount(included: included, credits: credits, refused: refused)
    }

    private enum CodingKeys: String, CodingKey {
      case projectID = "project_id"
      case period, included, credits, refused
      case costMicroUSD = "cost_micro_usd"
    }
  }

  /// So much of what the workspace may use in a month is used. Told once a month.
  package struct ThresholdReached: EventPayload {
    package static let type = "usage.threshold_reached"
    package let period: BillingPeriod
    package let percent: Int64
    /// Requests that the month's capacity covered so far.
    package let used: Int64
    package let remaining: Int64
    package var event: WorkspaceEvent { .usage(.thresholdReached(self)) }
  }

  static let payloadTypes: [any EventPayload.Type] = [Recorded.self, ThresholdReached.self]

  var payload: any EventPayload {
    switch self {
    case .recorded(let payload): payload
    case .thresholdReached(let payload): payload
    }
  }
}

// MARK: State and evolve

/// What a workspace used, month by month. Requests are counted in the month in which they are recorded.
package struct Usage: Equatable, Sendable, Codable {
  package struct Project: Equatable, Sendable, Codable {
    package fileprivate(set) var count = UsageCount()
    package fileprivate(set) var costMicroUSD: Int64 = 0
    /// How many events told of it.
    package fileprivate(set) var version: Int64 = 0
    package fileprivate(set) var updatedAt: Timestamp

    private enum CodingKeys: String, CodingKey {
      case count, version
      case costMicroUSD = "cost_micro_usd"
      case updatedAt = "updated_at"
    }
  }

  package struct Month: Equatable, Sendable, Codable {
    package fileprivate(set) var projects: [ProjectID: Project] = [:]
    package fileprivate(set) var total = UsageCount()
    /// Of those that were told of.
    fileprivate var thresholds: Set<Int64> = []
  }

  package private(set) var months: [BillingPeriod: Month] = [:]
  /// The newest month that anything was recorded in.
  package private(set) var newestPeriod: BillingPeriod?

  package init() {}

  private enum CodingKeys: String, CodingKey {
    case months
    case newestPeriod = "newest_period"
  }

  /// How many of the newest month's included requests are used.
  package var includedUsed: Int64 {
    newestPeriod.flatMap { months[$0]?.total.included } ?? 0
  }

  /// In which month something is recorded. A clock that is set back does not open an old one again.
  package func period(at time: Timestamp) -> BillingPeriod {
    let period = BillingPeriod(containing: time)
    return newestPeriod.map { max($0, period) } ?? period
  }

  mutating func evolve(_ event: UsageEvent, _ metadata: EventMetadata) {
    switch event {
    case .recorded(let recorded):
      newestPeriod = max(newestPeriod ?? recorded.period, recorded.period)
      var project =
        months[recorded.period]?.projects[recorded.projectID]
        ?? Project(updatedAt: metadata.occurredAt)
      project.count += recorded.count
      project.costMicroUSD +|= recorded.costMicroUSD
      project.version +|= 1
      project.updatedAt = metadata.occurredAt
      months[recorded.period, default: Month()].projects[recorded.projectID] = project
      months[recorded.period]?.total += recorded.count
    case .thresholdReached(let reached):
      months[reached.period, default: Month()].thresholds.insert(reached.percent)
    }
  }

  fileprivate func hasTold(_ percent: Int64, in period: BillingPeriod) -> Bool {
    months[period]?.thresholds.contains(percent) ?? false
  }
}

// MARK: Commands and decide

/// How many of a project's requests one batch of evidence tells of.
package struct UsageReport: Equatable, Sendable {
  /// Names the report, which is recorded once.
  package let id: UUID
  package let projectID: ProjectID
  package let requests: Int64
  package let costMicroUSD: Int64

  /// A number below zero is a defect of the report, and counts as zero.
  package init(id: UUID, projectID: ProjectID, requests: Int64, costMicroUSD: Int64) {
    self.id = id
    self.projectID = projectID
    self.requests = max(0, requests)
    self.costMicroUSD = max(0, costMicroUSD)
  }
}

package enum UsageCommand: Equatable, Sendable {
  /// Whoever carries this out sees to it that every report is recorded once.
  case record([UsageReport])
}

extension Workspace {
  /// How many requests are left at a time.
  package func capacity(at time: Timestamp, plans: PlanCatalog) -> Capacity {
    capacity(in: usage.period(at: time), plans: plans)
  }

  /// How many requests are left in a month.
  package func capacity(in period: BillingPeriod, plans: PlanCatalog) -> Capacity {
    Capacity(
      plan?.entitlements ?? plans[plan?.tier ?? .free].entitlements,
      includedUsed: usage.months[period]?.total.included ?? 0, balance: credits.balance,
      in: period)
  }

  func decide(
    _ command: UsageCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    guard organization != nil else { throw .notFound(.organization) }
    switch command {
    case .record(let reports):
      let period = usage.period(at: context.time)
      var capacity = capacity(in: period, plans: context.plans)
      var consumed: Int64 = 0
      var events: [WorkspaceEvent] = []
      for report in reports.byProject {
        let count = capacity.allot(report.requests)
        capacity = capacity.after(count)
        consumed +|= count.credits
        events.append(
          .usage(
            .recorded(
              .init(
                projectID: report.projectID, period: period, included: count.included,
                credits: count.credits, refused: count.refused,
                costMicroUSD: report.costMicroUSD))))
      }
      if consumed > 0 { events.append(.credits(credits.consume(consumed, in: period))) }
      return events + thresholds(reachedWith: capacity, besides: events, in: period)
    }
  }

  /// Those that are reached for the first time this month.
  private func thresholds(
    reachedWith capacity: Capacity, besides events: [WorkspaceEvent], in period: BillingPeriod
  ) -> [WorkspaceEvent] {
    var total = usage.months[period]?.total ?? UsageCount()
    for case .usage(.recorded(let recorded)) in events { total += recorded.count }
    let used = total.included +| total.credits
    return [80, 100].compactMap { (percent: Int64) in
      // used / (used + remaining) >= percent / 100, without a division.
      guard !events.isEmpty, !usage.hasTold(percent, in: period),
        Int128(used) * Int128(100 - percent) >= Int128(capacity.remaining) * Int128(percent)
      else { return nil }
      return .usage(
        .thresholdReached(
          .init(period: period, percent: percent, used: used, remaining: capacity.remaining)))
    }
  }
}

extension Capacity {
  fileprivate func after(_ count: UsageCount) -> Capacity {
    Capacity(
      included: included, includedUsed: includedUsed +| count.included,
      credits: credits -| count.credits, resetsAt: resetsAt)
  }
}

extension [UsageReport] {
  /// Whether a sum of the reports has no place in an `Int64`, and so is counted as the largest one.
  package var isTooLarge: Bool {
    byProject.contains { $0.requests == .max || $0.costMicroUSD == .max }
  }

  /// One for each project, in an order that depends on nothing but the projects.
  fileprivate var byProject: [UsageReport] {
    let sums = reduce(into: [ProjectID: UsageReport]()) { sums, report in
      let former = sums[report.projectID]
      sums[report.projectID] = UsageReport(
        id: report.id, projectID: report.projectID,
        requests: report.requests +| (former?.requests ?? 0),
        costMicroUSD: report.costMicroUSD +| (former?.costMicroUSD ?? 0))
    }
    return sums.values.sorted { $0.projectID.description < $1.projectID.description }
  }
}
