import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `/v1/organizations/{organization}/usage`: what was used in a month, and of what.
struct UsageRoutes: RouteGroup {
  let services: Services

  /// More sums than this are no chart any more.
  private static let mostSums: Int64 = 10_000

  func add(to router: APIRouter) {
    router.get("/v1/organizations/{organization}/usage", use: usage)
  }

  private func usage(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .usageRead)
    let organization = member.organizationID
    let now = Timestamp.now
    let query = QueryReader(request)
    let period = query.period("period") ?? BillingPeriod(containing: now)
    let dimensions = query.dimensions("group_by")
    var filter = UsageDayTable.Filter(firstDay: period.start.day)
    filter.projectID = query.id("project_id", of: Project.self)
    filter.provider = query.provider()
    filter.model = query.string("model", TextRules(1...ModelPattern.longest))
    filter.decision = query.choice("decision")
    try query.finish()

    // Before the counters: reports that are counted meanwhile are missing in neither.
    let pending = try await member.reads.rows(UsageReportTable.pending(of: organization))
    let capacities = try await member.reads.rows(CapacityQuery.capacity(of: organization))
    guard let row = capacities.first else { throw Problem(.notFound) }
    let stored = try StoredCapacity(row, services.plans)
    let newest = stored.capacity(at: now)
    let isRunning = newest.resetsAt == period.end
    let counters = try await member.reads.rows(UsageCounterTable.all(in: organization, period))
    let sums = try await member.reads.rows(
      UsageDayTable.sums(in: organization, filter, by: dimensions, limit: Self.mostSums + 1))
    guard sums.count <= Self.mostSums else {
      throw Problem.invalid([
        .init(
          .parameter("group_by"), "too-many",
          "makes more than \(Self.mostSums) sums: group by less, or filter")
      ])
    }
    return .json(
      UsageReply(
        period: period, capacity: isRunning ? newest : nil,
        projects: try counters.map { row throws(PostgresError) in try UsageCounterRow(row) },
        pending: isRunning ? try pending[0].decode(Int64.self, column: "requests") : 0,
        dimensions: dimensions,
        sums: try sums.map { row throws(PostgresError) in try UsageSum(row, by: dimensions) }
      ).json.bytes())
  }
}

extension QueryReader {
  /// A month such as `2026-11`.
  fileprivate func period(_ name: String) -> BillingPeriod? {
    string(
      name, TextRules(1...20), where: { BillingPeriod($0) != nil },
      otherwise: "must be a month such as 2026-11"
    ).flatMap { BillingPeriod($0) }
  }

  /// What sums are taken by, each once, separated by commas; by day when absent.
  fileprivate func dimensions(_ name: String) -> [UsageDayTable.Dimension] {
    let read = { (text: String) -> [UsageDayTable.Dimension]? in
      let names = text.split(separator: ",", omittingEmptySubsequences: false)
      let dimensions = names.compactMap { UsageDayTable.Dimension(rawValue: String($0)) }
      return dimensions.count == names.count && Set(dimensions).count == names.count
        ? dimensions : nil
    }
    let choices = UsageDayTable.Dimension.allCases.map(\.rawValue).joined(separator: ", ")
    return string(
      name, TextRules(1...100), where: { read($0) != nil },
      otherwise: "must be some of these, each once, separated by commas: \(choices)"
    ).flatMap(read) ?? [.day]
  }
}

extension Timestamp {
  /// The day of UTC, e.g. `2026-11-24`.
  fileprivate var day: String { String(rfc3339.prefix(10)) }
}
