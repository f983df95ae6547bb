import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct UsageTests {
  static let month = BillingPeriod(containing: Timestamp(clamping: 0))
  static let nextMonth = BillingPeriod(containing: month.end)
  static let startsPlus = WorkspaceEvent.plan(.changed(.init(.plus, of: .standard)))

  static func record(_ requests: Int64, of project: ProjectID = assistant) -> WorkspaceCommand {
    .usage(
      .record([
        UsageReport(id: UUID(), projectID: project, requests: requests, costMicroUSD: requests * 10)
      ]))
  }

  static func recorded(
    _ included: Int64, _ credits: Int64 = 0, _ refused: Int64 = 0,
    of project: ProjectID = assistant, in period: BillingPeriod = month
  ) -> WorkspaceEvent {
    .usage(
      .recorded(
        .init(
          projectID: project, period: period, included: included, credits: credits,
          refused: refused, costMicroUSD: (included + credits + refused) * 10)))
  }

  static func reached(_ percent: Int64, _ used: Int64, _ remaining: Int64) -> WorkspaceEvent {
    .usage(
      .thresholdReached(
        .init(period: month, percent: percent, used: used, remaining: remaining)))
  }

  static func consumed(_ units: Int64, _ balance: Int64) -> WorkspaceEvent {
    .credits(.consumed(.init(period: month, units: -units, balance: balance)))
  }

  // MARK: At the boundary

  @Test func `what the included volume does not cover is refused without credits`() {
    given(.created, .startsFree, Self.recorded(149))
      .when(Self.record(3), by: .system)
      .then(
        Self.recorded(1, 0, 2), Self.reached(80, 150, 0), Self.reached(100, 150, 0))
  }

  @Test func `credits of a plan without them are not spent`() {
    let workspace = given(.created, .startsFree, CreditsTests.purchased).workspace
    #expect(workspace.capacity(in: Self.month, plans: .standard).remaining == 150)
  }

  @Test func `the included volume comes first, then credits, then nothing`() {
    given(.created, Self.startsPlus, CreditsTests.purchased, Self.recorded(49_999))
      .when(Self.record(100_002), by: .system)
      .then(
        Self.recorded(1, 100_000, 1), Self.consumed(100_000, 0),
        Self.reached(80, 150_000, 0), Self.reached(100, 150_000, 0))
  }

  @Test func `while the included volume lasts no credits are spent`() {
    given(.created, Self.startsPlus, CreditsTests.purchased, Self.recorded(10))
      .when(Self.record(20), by: .system).then(Self.recorded(20))
    given(.created, Self.startsPlus, CreditsTests.purchased, Self.recorded(49_990))
      .when(Self.record(20), by: .system)
      .then(Self.recorded(10, 10), Self.consumed(10, 99_990))
  }

  @Test func `a debt is not paid with the included volume, and buys nothing`() {
    let workspace = given(
      .created, Self.startsPlus, CreditsTests.purchased, Self.consumed(100_000, 0),
      CreditsTests.refunded(500, -33_333, -33_333)
    ).workspace
    let capacity = workspace.capacity(in: Self.month, plans: .standard)
    #expect((capacity.credits, capacity.remaining) == (0, 50_000))
  }

  @Test func `projects of one report are told of each by itself`() {
    let reports = [(other, 2), (assistant, 3), (other, 1)].map { project, requests in
      UsageReport(
        id: UUID(), projectID: project, requests: Int64(requests),
        costMicroUSD: Int64(requests) * 10)
    }
    given(.created, .startsFree, Self.recorded(146))
      .when(.usage(.record(reports)), by: .system)
      .then(
        Self.recorded(3), Self.recorded(1, 0, 2, of: other), Self.reached(80, 150, 0),
        Self.reached(100, 150, 0))
  }

  @Test func `whatever is reported, in whatever pieces, adds up`() throws {
    var generator = SeededGenerator(seed: 42)
    for _ in 0..<200 {
      var workspace = given(.created, Self.startsPlus, CreditsTests.purchased).workspace
      var reported: Int64 = 0
      while reported < 160_000 {
        let requests = Int64.random(in: 1...9000, using: &generator)
        reported += requests
        let context = CommandContext(
          actor: .system, time: Scenario.time(1), plans: .standard)
        for event in try workspace.decide(Self.record(requests), in: context) {
          try workspace.fold(event)
        }
      }
      let total = workspace.usage.months[Self.month]?.total ?? UsageCount()
      #expect((total.included, total.credits) == (50_000, 100_000))
      #expect(total.total == reported)
      #expect(workspace.credits.balance == 0)
    }
  }

  // MARK: Months

  @Test func `a new month has its included volume again`() {
    let december = Timestamp(rfc3339: "1970-02-01T00:00:00Z")!
    given(.created, .startsFree, Self.recorded(150))
      .when(Self.record(1), by: .system, at: december)
      .then(Self.recorded(1, in: Self.nextMonth))
  }

  @Test func `a clock that is set back opens no old month`() {
    given(.created, .startsFree, Self.recorded(150, in: Self.nextMonth))
      .when(Self.record(1), by: .system, at: Timestamp(clamping: 5))
      .then(
        Self.recorded(0, 0, 1, in: Self.nextMonth),
        .usage(
          .thresholdReached(
            .init(period: Self.nextMonth, percent: 80, used: 150, remaining: 0))),
        .usage(
          .thresholdReached(
            .init(period: Self.nextMonth, percent: 100, used: 150, remaining: 0))))
  }

  @Test func `months have names, and beginnings and ends`() throws {
    let december = try #require(BillingPeriod("2026-12"))
    #expect(december.description == "2026-12")
    #expect(december.start.rfc3339 == "2026-12-01T00:00:00.000000Z")
    #expect(december.end.rfc3339 == "2027-01-01T00:00:00.000000Z")
    #expect(BillingPeriod(containing: december.end).description == "2027-01")
    #expect(BillingPeriod(containing: december.end.advanced(by: -1)) == december)
    for text in ["", "2026", "2026-13", "2026-1", "2026-00", "26-12", "2026-12-01", "2026_12"] {
      #expect(BillingPeriod(text) == nil, "\(text)")
    }
  }

  // MARK: At the ends of numbers

  @Test func `sums that have no place stop at the largest number`() {
    let huge = (0..<3).map { _ in
      UsageReport(id: UUID(), projectID: assistant, requests: .max, costMicroUSD: .max)
    }
    #expect(huge.isTooLarge)
    #expect(Array(huge.prefix(1)).isTooLarge)
    #expect(
      ![UsageReport(id: UUID(), projectID: assistant, requests: 1, costMicroUSD: 2)].isTooLarge)
    let once = WorkspaceEvent.usage(
      .recorded(
        .init(
          projectID: assistant, period: Self.month, included: 150, credits: 0,
          refused: .max - 150, costMicroUSD: .max)))
    given(.created, .startsFree)
      .when(.usage(.record(huge)), by: .system)
      .then(once, Self.reached(80, 150, 0), Self.reached(100, 150, 0))
    let workspace = given(.created, .startsFree, once, once, once).workspace
    let project = workspace.usage.months[Self.month]?.projects[assistant]
    #expect(project?.count.refused == .max)
    #expect(project?.count.total == .max)
    #expect(project?.costMicroUSD == .max)
    #expect(workspace.capacity(in: Self.month, plans: .standard).remaining == 0)
  }

  @Test func `a report below zero counts nothing`() {
    given(.created, .startsFree)
      .when(
        .usage(
          .record([
            UsageReport(id: UUID(), projectID: assistant, requests: -5, costMicroUSD: .min)
          ])), by: .system
      )
      .then(Self.recorded(0))
  }

  @Test func `whatever is counted, nothing ends the process, and nothing is below zero`() throws {
    var random = SeededGenerator(seed: 31)
    let numbers: [Int64] = [0, 1, 149, 150, 151, 1 << 31, 1 << 53, .max - 1, .max]
    for _ in 0..<500 {
      var workspace = given(.created, .startsFree).workspace
      for _ in 0..<4 {
        let reports = (0..<Int.random(in: 1...3, using: &random)).map { _ in
          UsageReport(
            id: UUID(), projectID: Bool.random(using: &random) ? assistant : other,
            requests: numbers.randomElement(using: &random) ?? 0,
            costMicroUSD: numbers.randomElement(using: &random) ?? 0)
        }
        let context = CommandContext(
          actor: .system, time: Scenario.time(workspace.version + 1), plans: .standard,
          upgrades: .selfService, isByPlatform: false)
        for event in try workspace.decide(.usage(.record(reports)), in: context) {
          try workspace.fold(event)
        }
      }
      let months = workspace.usage.months.values
      for count in months.flatMap({ [$0.total] + $0.projects.values.map(\.count) }) {
        #expect(count.included >= 0 && count.credits >= 0 && count.refused >= 0)
        #expect(count.included <= 150)
      }
      #expect(workspace.capacity(in: Self.month, plans: .standard).remaining >= 0)
    }
  }

  // MARK: Thresholds

  @Test func `each threshold is told of once a month`() {
    given(.created, .startsFree, Self.recorded(119))
      .when(Self.record(1), by: .system).then(Self.recorded(1), Self.reached(80, 120, 30))
    given(.created, .startsFree, Self.recorded(120), Self.reached(80, 120, 30))
      .when(Self.record(1), by: .system).then(Self.recorded(1))
    given(.created, .startsFree, Self.recorded(118))
      .when(Self.record(1), by: .system).then(Self.recorded(1))
  }

  // MARK: What gateways are told

  @Test(
    arguments: [
      (0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 4), (6, 6), (7, 6), (150, 128),
      (500_000, 393_216),
      (.max, 6_917_529_027_641_081_856),
    ] as [(Int64, Int64)])
  func `the remainder is told roughly, and its end exactly`(remaining: Int64, told: Int64) {
    let capacity = Capacity(
      included: remaining, includedUsed: 0, credits: 0, resetsAt: Timestamp(clamping: 0))
    #expect(capacity.coarseRemaining == told)
  }
}
