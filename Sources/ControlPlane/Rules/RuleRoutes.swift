import Domain
import FoundationEssentials
import Hummingbird
import JSON
import NIOCore
import Postgres

/// `/v1/organizations/{organization}/rules`: create, list, get, change, delete; a project's whole set at once, and its
/// `rules:evaluate`; and `/v1/regions`.
struct RuleRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let rules = "/v1/organizations/{organization}/rules"
    router.post("\(rules)", use: create)
    router.get("\(rules)", use: list)
    router.get("\(rules)/{rule}", use: get)
    router.patch("\(rules)/{rule}", use: change)
    router.delete("\(rules)/{rule}", use: delete)
    let projectRules = "/v1/organizations/{organization}/projects/{project}/rules"
    router.get("\(projectRules)", use: set)
    router.put("\(projectRules)", use: replaceAll)
    router.takes(
      BodyRules(maximum: ReplaceRulesPayload.maxBytes, isAppended: true), at: projectRules)
    router.post("\(projectRules):evaluate", use: evaluate)
    router.get("/v1/regions", use: regions)
  }

  private func create(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .ruleWrite, ifMatch: .ignored)
    let payload = try CreateRulePayload(context.body, now: change.time)
    return try await change.carryOut(
      .rule(
        .create(
          RuleID(Identifiers.next()), project: payload.projectID, match: payload.rule.match,
          effect: payload.rule.effect, note: payload.rule.note,
          expiresAt: payload.rule.expiresAt)))
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .ruleRead)
    let organization = member.organizationID
    let query = QueryReader(request)
    let kind = query.choice("kind", of: Rule.Match.Kind.self)
    let project = query.string(
      "project_id", TextRules(1...64), where: { ProjectID($0) != nil },
      otherwise: "must be an id that starts with prj_"
    ).flatMap { ProjectID($0) }
    let moment = query.asOf()
    let page = try Page(
      query,
      scope: """
        rules \(organization) \(kind?.rawValue ?? "") \(project?.description ?? "") \
        \(moment.debugDescription)
        """, sealer: services.cursors)
    let rows: [RuleRow]
    if let moment {
      let past = try await WorkspaceHistory.workspace(organization, asOf: moment, member.reads)
      rows = past.rules(
        in: organization, project: project, kind: kind, after: page.afterID,
        limit: Int(page.fetchLimit))
    } else {
      rows = try await member.reads.rows(
        RuleView.list(
          in: organization, project: project, kind: kind, after: page.afterID,
          limit: page.fetchLimit)
      ).map { try RuleRow($0) }
    }
    return page.reply(rows) {
      $0.rule.json(id: $0.id, organizationID: organization)
    } place: {
      $0.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .ruleRead)
    let (organization, id) = (member.organizationID, try context.id("rule", of: Rule.self))
    if let moment = try QueryReader.asOf(request) {
      let past = try await WorkspaceHistory.workspace(organization, asOf: moment, member.reads)
      guard let rule = past.rules[id] else { throw Problem(.notFound) }
      return try rule.rendered(id, organization).reply(to: request)
    }
    let rows = try await member.reads.rows(RuleView.find(id, in: organization))
    guard let row = try rows.first.map({ try RuleRow($0) }) else { throw Problem(.notFound) }
    return try row.rule.rendered(id, organization).reply(to: request)
  }

  private func change(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .ruleWrite, ifMatch: .required)
    let id = try context.id("rule", of: Rule.self)
    let payload = try ChangeRulePayload(context.body)
    return try await change.carryOut(
      .rule(
        .change(id, effect: payload.effect, note: payload.note, expiresAt: payload.expiresAt)))
  }

  private func delete(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .ruleWrite, ifMatch: .required)
    return try await change.carryOut(.rule(.delete(context.id("rule"))))
  }

  /// All rules of a project, whose ETag a replacement needs.
  private func set(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .ruleRead)
    let organization = member.organizationID
    let id = try context.id("project", of: Project.self)
    let rules: [RuleID: Rule]
    if let moment = try QueryReader.asOf(request) {
      let past = try await WorkspaceHistory.workspace(organization, asOf: moment, member.reads)
      guard past.projects[id] != nil else { throw Problem(.notFound) }
      rules = past.rules(of: id)
    } else {
      _ = try await member.reads.project(id, in: organization)
      rules = try await member.rules(RuleView.own(of: id, in: organization))
    }
    return try RenderedResource(
      RulePayloads.set(rules, in: organization), version: Rule.setVersion(rules)
    ).reply(to: request)
  }

  private func replaceAll(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .ruleWrite, ifMatch: .required)
    let id = try context.id("project", of: Project.self)
    try change.requireRoomInLog()
    let drafts =
      context.body.readableBytes <= Self.smallBody
      ? try Self.drafts(context.body, at: change.time)
      // Reading thousands of rules takes too long for a thread that other connections wait for.
      : try await withTaskExecutorPreference(services.longWork.changes) {
        try await Self.draftsElsewhere(context.body, at: change.time)
      }
    return try await change.carryOut(.rule(.replaceAll(of: id, drafts)))
  }

  private static let smallBody = 64 << 10

  @concurrent
  private static func draftsElsewhere(
    _ body: ByteBuffer, at time: Timestamp
  ) async throws -> [RuleCommand.Draft] {
    try drafts(body, at: time)
  }

  private static func drafts(
    _ body: ByteBuffer, at time: Timestamp
  ) throws -> [RuleCommand.Draft] {
    try ReplaceRulesPayload(body).rules.map {
      RuleCommand.Draft(
        id: RuleID(Identifiers.next(at: time)), match: $0.match, effect: $0.effect, note: $0.note,
        expiresAt: $0.expiresAt)
    }
  }

  /// What would be decided about a request, and why: by the very code that every data plane decides with.
  private func evaluate(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .ruleRead)
    try QueryReader(request).finish()
    let payload = try EvaluatePayload(context.body, now: .now)
    let organization = member.organizationID
    let id = try context.id("project", of: Project.self)
    let project = try await member.reads.project(id, in: organization)
    let rows = try await member.reads.rows(CapacityQuery.capacity(of: organization))
    guard let row = rows.first else { throw Problem(.notFound) }
    let stored = try StoredCapacity(row, services.plans)
    let controls = Controls(
      providers: stored.entitlements.providers,
      isExhausted: stored.capacity(at: payload.request.time).remaining <= 0,
      panicMode: project.panicMode,
      rules: try await services.compiledRules.rules(of: id, in: organization, member.reads),
      thresholds: project.thresholds)
    return .json(controls.explain(payload.request).json.bytes())
  }

  private func regions(request: Request, context: APIContext) async throws -> Reply {
    _ = try await services.authorizer.principal(request, context)
    try QueryReader(request).finish()
    return RegionPayloads.regions
  }
}

extension Membership {
  fileprivate func rules(_ query: Query) async throws -> [RuleID: Rule] {
    let rows = try await reads.rows(query)
    let rules = try rows.map { row throws(PostgresError) in try RuleRow(row) }
    return Dictionary(uniqueKeysWithValues: rules.map { ($0.id, $0.rule) })
  }
}

extension Workspace {
  /// What ``RuleView/list(in:project:kind:after:limit:)`` would have found at this state.
  fileprivate func rules(
    in organization: OrganizationID, project: ProjectID?, kind: Rule.Match.Kind?, after: UUID?,
    limit: Int
  ) -> [RuleRow] {
    let candidates = project.map { Array(rules.of($0)) } ?? Array(rules.all)
    return
      candidates
      .filter { id, rule in
        (after.map { id.uuid < $0 } ?? true) && (kind.map { $0 == rule.match.kind } ?? true)
      }
      .sorted { $0.key.uuid > $1.key.uuid }
      .prefix(limit)
      .map { RuleRow(organizationID: organization, id: $0.key, rule: $0.value) }
  }
}

extension Rule {
  fileprivate func rendered(_ id: RuleID, _ organization: OrganizationID) -> RenderedResource {
    RenderedResource(json(id: id, organizationID: organization), version: version)
  }
}
