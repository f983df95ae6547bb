/// How many requests a workspace may still make in a month: the included ones that are left, then those for credits.
package struct Capacity: Equatable, Sendable {
  /// Of the plan, for the whole month.
  package let included: Int64
  /// What of them is used.
  package let includedUsed: Int64
  /// Log units that may be spent; none when the plan has no requests for credits, or there is a debt.
  package let credits: Int64
  /// When the included requests are counted from the beginning.
  package let resetsAt: Timestamp

  /// - Parameter balance: log units, below zero when there is a debt.
  package init(
    _ entitlements: Entitlements, includedUsed: Int64, balance: Int64, in period: BillingPeriod
  ) {
    included = entitlements.includedRequests
    self.includedUsed = includedUsed
    credits = entitlements.creditBackedRequests ? max(0, balance) : 0
    resetsAt = period.end
  }

  init(included: Int64, includedUsed: Int64, credits: Int64, resetsAt: Timestamp) {
    self.included = included
    self.includedUsed = includedUsed
    self.credits = credits
    self.resetsAt = resetsAt
  }

  package var includedLeft: Int64 { max(0, included -| includedUsed) }

  package var remaining: Int64 { includedLeft +| credits }

  /// The remainder as gateways are told of it: rounded down to two significant binary digits, so that it changes a few
  /// dozen times on its way to nothing, and not with every report. Nothing is nothing.
  package var coarseRemaining: Int64 {
    let remaining = remaining
    guard remaining > 3 else { return remaining }
    let shift = Int64.bitWidth - remaining.leadingZeroBitCount - 2
    return (remaining >> shift) << shift
  }

  /// What a number of requests, from zero, is counted as: the included volume first, then credits; what neither covers is
  /// refused.
  func allot(_ requests: Int64) -> UsageCount {
    let included = min(requests, includedLeft)
    let credits = min(requests - included, credits)
    return UsageCount(included: included, credits: credits, refused: requests - included - credits)
  }
}

/// A number of requests, by what covered them.
package struct UsageCount: Equatable, Sendable, Codable {
  package var included: Int64 = 0
  package var credits: Int64 = 0
  /// Served although nothing was left: gateways learn of that a moment later.
  package var refused: Int64 = 0

  package init(included: Int64 = 0, credits: Int64 = 0, refused: Int64 = 0) {
    self.included = included
    self.credits = credits
    self.refused = refused
  }

  package var total: Int64 { included +| credits +| refused }

  package static func += (left: inout UsageCount, right: UsageCount) {
    left.included +|= right.included
    left.credits +|= right.credits
    left.refused +|= right.refused
  }
}
