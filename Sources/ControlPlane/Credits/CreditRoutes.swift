import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `/v1/organizations/{organization}/credits`: the balance, what was bought, and how the balance came about.
struct CreditRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let credits = "/v1/organizations/{organization}/credits"
    router.get("\(credits)", use: balance)
    router.get("\(credits)/purchases", use: purchases)
    router.get("\(credits)/purchases/{purchase}", use: purchase)
    router.get("\(credits)/ledger", use: ledger)
  }

  private func balance(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .creditsRead)
    let query = QueryReader(request)
    let moment = query.asOf()
    try query.finish()
    if let moment {
      let past = try await WorkspaceHistory.workspace(
        member.organizationID, asOf: moment, member.reads)
      let isSpendable =
        past.capacity(in: BillingPeriod(containing: .now), plans: services.plans)
        .credits > 0
      return .json(
        CreditPayloads.credits(balance: past.credits.balance, isSpendable: isSpendable).bytes())
    }
    let rows = try await member.reads.rows(CapacityQuery.capacity(of: member.organizationID))
    guard let row = rows.first else { throw Problem(.notFound) }
    let stored = try StoredCapacity(row, services.plans)
    let isSpendable = stored.capacity(at: .now).credits > 0
    return .json(CreditPayloads.credits(balance: stored.balance, isSpendable: isSpendable).bytes())
  }

  private func purchases(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .creditsRead)
    let query = QueryReader(request)
    let status = query.choice("status", of: CreditPurchase.Status.self)
    let page = try Page(
      query, scope: "credit-purchases \(member.organizationID) \(status?.rawValue ?? "")",
      sealer: services.cursors)
    let rows = try await member.reads.rows(
      CreditPurchaseTable.list(
        in: member.organizationID, status: status, after: page.afterID, limit: page.fetchLimit))
    return try page.reply(rows.map { try CreditPurchaseRow($0) }) {
      $0.json
    } place: {
      $0.id.uuid.place
    }
  }

  private func purchase(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .creditsRead)
    try QueryReader(request).finish()
    let id = try context.id("purchase", of: CreditPurchase.self)
    let rows = try await member.reads.rows(
      CreditPurchaseTable.find(id, in: member.organizationID))
    guard let row = try rows.first.map({ try CreditPurchaseRow($0) }) else {
      throw Problem(.notFound)
    }
    return try RenderedResource(row.json, version: row.version).reply(to: request)
  }

  private func ledger(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .creditsRead)
    let page = try Page(
      QueryReader(request), scope: "credit-ledger \(member.organizationID)",
      sealer: services.cursors)
    let rows = try await member.reads.rows(
      CreditLedger.list(
        in: member.organizationID, before: page.afterPosition, limit: page.fetchLimit))
    return try page.reply(rows.map { try LedgerEntry($0) }) {
      $0.json
    } place: {
      $0.version.place
    }
  }
}
