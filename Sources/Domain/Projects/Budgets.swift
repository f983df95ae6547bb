/// How much a project may use in a calendar month (UTC) before the data plane holds its traffic back. Nil means no limit.
package struct Budgets: Equatable, Sendable, Codable {
  package var requestsPerMonth: Int64?
  /// Micro-USD, by the data plane's estimate.
  package var costPerMonth: Int64?

  /// Budgets as given; a project starts without any.
  package init(requestsPerMonth: Int64? = nil, costPerMonth: Int64? = nil) {
    self.requestsPerMonth = requestsPerMonth
    self.costPerMonth = costPerMonth
  }

  private enum CodingKeys: String, CodingKey {
    case requestsPerMonth = "requests_per_month"
    case costPerMonth = "cost_per_month"
  }
}

/// What a caller wants to change of the budgets: the outer nil leaves one as it is, the inner nil lifts it.
package struct BudgetChanges: Equatable, Sendable {
  package var requestsPerMonth: Int64??
  package var costPerMonth: Int64??

  /// No change at all, to be filled in.
  package init() {}

  func applied(to budgets: Budgets) -> Budgets {
    Budgets(
      requestsPerMonth: requestsPerMonth ?? budgets.requestsPerMonth,
      costPerMonth: costPerMonth ?? budgets.costPerMonth)
  }
}
