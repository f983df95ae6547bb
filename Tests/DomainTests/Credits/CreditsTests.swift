import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct CreditsTests {
  static let id = CreditPurchaseID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7)))
  static let order = PurchaseOrder(
    purchaseID: id, paymentID: "pi_1", package: CreditPackage.all[0], amount: 1500, currency: "usd")
  static let purchased = WorkspaceEvent.credits(
    .purchased(
      .init(purchaseID: id, order: .init(order), units: 100_000, balance: 100_000)))
  static let facts: [CreditsCommand] = [
    .begin(order), .complete(order), .refund(paymentID: "pi_1", refunded: 500),
    .refund(paymentID: "pi_1", refunded: 900),
    .openDispute(paymentID: "pi_1", disputeID: "dp_1", amount: 600, place(1, 0)),
    // The same, told by the event about the money.
    .openDispute(paymentID: "pi_1", disputeID: "dp_1", amount: 600, place(2, 0)),
    .closeDispute(paymentID: "pi_1", disputeID: "dp_1", amount: 600, outcome: .won, place(3, 1)),
    .closeDispute(paymentID: "pi_1", disputeID: "dp_1", amount: 600, outcome: .won, place(3, 2)),
    .openDispute(paymentID: "pi_1", disputeID: "dp_2", amount: 300, place(5, 0)),
    .closeDispute(paymentID: "pi_1", disputeID: "dp_2", amount: 300, outcome: .lost, place(5, 1)),
    // The bank did not take this one.
    .recordRefund(paymentID: "pi_1", refundID: "re_1", amount: 400, hasFailed: false),
    .recordRefund(paymentID: "pi_1", refundID: "re_1", amount: 400, hasFailed: true),
  ]

  static func place(_ time: Int64, _ rank: Int64) -> Billing.Place {
    Billing.Place(time: time, rank: rank, source: "evt_\(time)_\(rank)")
  }

  // MARK: Refused

  @Test(arguments: facts[2...])
  func `what happens to a payment that nobody knows is for later`(command: CreditsCommand) {
    given(.created).when(.credits(command)).thenRejected(.notFound(.creditPurchase))
  }

  @Test(arguments: facts)
  func `nothing is bought for an organization that does not exist`(command: CreditsCommand) {
    given().when(.credits(command)).thenRejected(.notFound(.organization))
  }

  @Test func `nobody but the system tells of payments`() throws {
    var workspace = Workspace()
    try workspace.fold(.created)
    try workspace.fold(.ownerAdded)
    for command: WorkspaceCommand in [.credits(.complete(Self.order)), .usage(.record([]))] {
      #expect(!workspace.admits(.user(owner), for: command))
      #expect(!workspace.admits(Actor(kind: .gateway, id: UUID()), for: command))
      #expect(workspace.admits(.system, for: command))
    }
  }

  // MARK: Repeated

  @Test func `a payment that came once came once`() {
    given(.created, Self.purchased).when(.credits(.complete(Self.order))).thenNothing()
  }

  @Test func `another purchase of the same payment is the same purchase`() {
    let other = PurchaseOrder(
      purchaseID: CreditPurchaseID(UUID()), paymentID: "pi_1", package: CreditPackage.all[2],
      amount: 4500, currency: "usd")
    for command: CreditsCommand in [.begin(other), .complete(other), .fail(other)] {
      given(.created, Self.purchased).when(.credits(command)).thenNothing()
    }
  }

  @Test func `a payment that came does not fail afterwards`() {
    given(.created, Self.purchased).when(.credits(.fail(Self.order))).thenNothing()
  }

  @Test func `a smaller refund that is told of late changes nothing`() {
    given(.created, Self.purchased, Self.refunded(900, -60_000, 40_000))
      .when(.credits(.refund(paymentID: "pi_1", refunded: 500))).thenNothing()
  }

  // MARK: Done

  @Test func `a paid purchase adds its units`() {
    given(.created).when(.credits(.complete(Self.order))).then(Self.purchased)
  }

  @Test func `an archived organization is owed what it paid for`() {
    given(.created, .archived).when(.credits(.complete(Self.order))).then(Self.purchased)
  }

  @Test func `what is on its way does not count yet`() {
    let workspace = given(.created).when(.credits(.begin(Self.order))).then(
      .credits(.purchaseStarted(.init(purchaseID: Self.id, order: .init(Self.order)))))
    #expect(workspace.credits.balance == 0)
    #expect(workspace.credits.purchases[Self.id]?.status == .pending)
  }

  @Test(arguments: [(500, -33_333), (1, -66), (1499, -99_933), (1500, -100_000), (9999, -100_000)])
  func `a refund takes its share back`(refunded: Int64, units: Int64) {
    let workspace = given(.created, Self.purchased)
      .when(.credits(.refund(paymentID: "pi_1", refunded: refunded)))
      .then(Self.refunded(refunded, units, 100_000 + units))
    #expect(
      workspace.credits.purchases[Self.id]?.status
        == (refunded < 1500 ? .partiallyRefunded : .refunded))
  }

  @Test func `parts of a refund add up to the whole`() {
    given(.created, Self.purchased, Self.refunded(500, -33_333, 66_667))
      .when(.credits(.refund(paymentID: "pi_1", refunded: 1500)))
      .then(Self.refunded(1500, -66_667, 0))
  }

  @Test func `what was spent and then refunded is a debt, told once a month`() {
    let consumed = WorkspaceEvent.credits(
      .consumed(.init(period: Self.month, units: -100_000, balance: 0)))
    let indebted = WorkspaceEvent.credits(.debtIncurred(.init(period: Self.month, debt: 33_333)))
    let workspace = given(.created, Self.purchased, consumed)
      .when(.credits(.refund(paymentID: "pi_1", refunded: 500)))
      .then(Self.refunded(500, -33_333, -33_333), indebted)
    #expect(workspace.credits.debt == 33_333)
    given(.created, Self.purchased, consumed, Self.refunded(500, -33_333, -33_333), indebted)
      .when(.credits(.refund(paymentID: "pi_1", refunded: 1500)))
      .then(Self.refunded(1500, -66_667, -100_000))
  }

  @Test func `a won dispute gives back what it took, a lost one does not`() {
    let opened = WorkspaceEvent.credits(
      .disputeOpened(
        .init(
          purchaseID: Self.id, disputeID: "dp_1", amount: 1500, place: Self.place(1, 0),
          units: -100_000, balance: 0)))
    given(.created, Self.purchased)
      .when(
        .credits(
          .openDispute(paymentID: "pi_1", disputeID: "dp_1", amount: 1500, Self.place(1, 0)))
      )
      .then(opened)
    for (outcome, units, status) in [
      (CreditPurchase.Dispute.Outcome.won, Int64(100_000), CreditPurchase.Status.completed),
      (.lost, 0, .chargedBack),
    ] {
      let workspace = given(.created, Self.purchased, opened)
        .when(
          .credits(
            .closeDispute(
              paymentID: "pi_1", disputeID: "dp_1", amount: 1500, outcome: outcome,
              Self.place(2, 1)))
        ).then(
          .credits(
            .disputeClosed(
              .init(
                purchaseID: Self.id, disputeID: "dp_1", amount: 1500, outcome: outcome,
                place: Self.place(2, 1), units: units, balance: units))))
      #expect(workspace.credits.purchases[Self.id]?.status == status)
    }
  }

  @Test func `a refund that fails gives back what it took, whether or not the next sum holds it`() {
    for secondSum in [Int64(1500), 3000] {
      let told: [CreditsCommand] = [
        .refund(paymentID: "pi_1", refunded: 1500),
        .recordRefund(paymentID: "pi_1", refundID: "re_1", amount: 1500, hasFailed: true),
        .recordRefund(paymentID: "pi_1", refundID: "re_2", amount: 1500, hasFailed: false),
        .refund(paymentID: "pi_1", refunded: secondSum),
      ]
      var balances: [Int64] = []
      var workspace = Workspace()
      try? workspace.fold(.created)
      try? workspace.fold(Self.purchased)
      for command in told {
        Self.fold(command, into: &workspace)
        balances.append(workspace.credits.balance)
      }
      #expect(balances == [0, 100_000, 0, 0])
    }
  }

  @Test func `money that goes again after a dispute was won is away again, in any order`() {
    let told: [CreditsCommand] = [
      .openDispute(paymentID: "pi_1", disputeID: "dp_1", amount: 1500, Self.place(1, 0)),
      .closeDispute(
        paymentID: "pi_1", disputeID: "dp_1", amount: 1500, outcome: .won, Self.place(2, 1)),
      .openDispute(paymentID: "pi_1", disputeID: "dp_1", amount: 1500, Self.place(3, 0)),
    ]
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      var workspace = Workspace()
      try? workspace.fold(.created)
      try? workspace.fold(Self.purchased)
      for index in order { Self.fold(told[index], into: &workspace) }
      #expect(workspace.credits.balance == 0, "\(order)")
      #expect(workspace.credits.purchases[Self.id]?.status == .disputed)
    }
  }

  private static func fold(_ command: CreditsCommand, into workspace: inout Workspace) {
    let context = CommandContext(
      actor: .system, time: Scenario.time(workspace.version + 1), plans: .standard)
    for event in (try? workspace.decide(.credits(command), in: context)) ?? [] {
      #expect(throws: Never.self) { try workspace.fold(event) }
    }
  }

  @Test func `numbers at the ends of their type end no process`() {
    for amount in [Int64.min, -1, .max] {
      var workspace = Workspace()
      try? workspace.fold(.created)
      try? workspace.fold(Self.purchased)
      for command: CreditsCommand in [
        .refund(paymentID: "pi_1", refunded: amount),
        .recordRefund(paymentID: "pi_1", refundID: "re_1", amount: amount, hasFailed: false),
        .recordRefund(paymentID: "pi_1", refundID: "re_2", amount: amount, hasFailed: true),
        .recordRefund(paymentID: "pi_1", refundID: "re_3", amount: .max, hasFailed: false),
        .openDispute(paymentID: "pi_1", disputeID: "dp_1", amount: amount, Self.place(1, 0)),
        .openDispute(paymentID: "pi_1", disputeID: "dp_2", amount: .max, Self.place(1, 0)),
      ] { Self.fold(command, into: &workspace) }
      #expect(0...100_000 ~= workspace.credits.balance)
    }
  }

  // MARK: Any order

  /// Every order of what can be told of one payment, each fact twice, some of it before the payment itself is known and
  /// then told again.
  @Test func `the same facts leave the same balance in any order`() throws {
    var generator = SeededGenerator(seed: 4711)
    for _ in 0..<2000 {
      var workspace = Workspace()
      try workspace.fold(.created)
      var waiting = (Self.facts + Self.facts).shuffled(using: &generator)
      while !waiting.isEmpty {
        var parked: [CreditsCommand] = []
        for command in waiting {
          let context = CommandContext(
            actor: .system, time: Scenario.time(workspace.version + 1), plans: .standard)
          do throws(Rejection) {
            for event in try workspace.decide(.credits(command), in: context) {
              #expect(throws: Never.self) { try workspace.fold(event) }
            }
          } catch {
            #expect(error == .notFound(.creditPurchase))
            parked.append(command)
          }
        }
        waiting = parked
      }
      // 900 refunded, of which 400 came back, and 300 lost of 1500 leave 700.
      #expect(workspace.credits.balance == 46_667)
      #expect(workspace.credits.purchases[Self.id]?.status == .chargedBack)
    }
  }

  // MARK: Folded

  @Test func `a balance that is not the ledger's sum stops the fold`() {
    given(.created).thenCannotFold(
      .credits(
        .purchased(.init(purchaseID: Self.id, order: .init(Self.order), units: 100_000, balance: 1))
      )
    )
    given(.created, Self.purchased).thenCannotFold(Self.refunded(500, -1, 99_999))
    given(.created, Self.purchased).thenCannotFold(
      .credits(.consumed(.init(period: Self.month, units: -1, balance: 100_000))))
  }

  @Test func `a payment has one purchase`() {
    given(.created, Self.purchased).thenCannotFold(
      .credits(
        .purchased(
          .init(
            purchaseID: CreditPurchaseID(UUID()), order: .init(Self.order), units: 100_000,
            balance: 200_000))))
  }

  // MARK: Samples

  static let month = BillingPeriod(containing: Timestamp(clamping: 0))

  static func refunded(_ amount: Int64, _ units: Int64, _ balance: Int64) -> WorkspaceEvent {
    .credits(
      .refunded(.init(purchaseID: id, refundedAmount: amount, units: units, balance: balance)))
  }
}
