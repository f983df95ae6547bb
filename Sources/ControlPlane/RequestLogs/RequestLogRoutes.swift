import Compression
import Domain
import FoundationEssentials
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Postgres

/// `/v1/dataplane/request-logs`, where gateways report; `/v1/organizations/{organization}/request-logs`: list, get.
struct RequestLogRoutes: RouteGroup {
  let services: Services

  private static let reports = "/v1/dataplane/request-logs"

  func add(to router: APIRouter) {
    router.takes(
      BodyRules(allowsNDJSON: true, codings: ContentCoding.allCases, maximum: 8 << 20),
      at: Self.reports)
    router.post("\(Self.reports)", use: ingest)
    let logs = "/v1/organizations/{organization}/request-logs"
    router.get("\(logs)", use: list)
    router.get("\(logs)/{log}", use: get)
  }

  // MARK: From gateways

  /// What a body may be when it is inflated.
  private static let mostBytes = 32 << 20

  private func ingest(request: Request, context: APIContext) async throws -> Reply {
    _ = try await services.authorizer.gateway(request, context)
    try QueryReader(request).finish()
    let format: RequestLogBatch.Format =
      request.headers[.contentType].map(MediaTypes.isNDJSON) == true ? .lines : .array
    let coding = request.headers[.contentEncoding].flatMap {
      ContentCoding(rawValue: $0.lowercased())
    }
    let (store, body, deadline) = (services.requestLogs, context.body, context.deadline)
    let reservation = context.exchange.bodyReservation
    // A large batch would keep the other connections of this event loop waiting.
    return try await withTaskExecutorPreference(globalConcurrentExecutor) {
      let batch = try body.withUnsafeReadableBytes { bytes in
        guard let coding else { return try Self.batch(bytes, format, store) }
        let inflated = try Self.inflate(bytes, coding)
        try reservation?.grow(to: bytes.count + inflated.count)
        return try inflated.withUnsafeBytes { try Self.batch($0, format, store) }
      }
      return .json(try await store.write(batch, deadline: deadline).json.bytes())
    }
  }

  private static func batch(
    _ bytes: UnsafeRawBufferPointer, _ format: RequestLogBatch.Format, _ store: RequestLogStore
  ) throws -> RequestLogBatch {
    try RequestLogBatch(
      bytes, format, owners: store.knownOwners, times: store.times(now: .now))
  }

  private static func inflate(
    _ bytes: UnsafeRawBufferPointer, _ coding: ContentCoding
  ) throws(Problem) -> [UInt8] {
    do throws(CompressionError) {
      return try coding.inflate(bytes, limit: mostBytes)
    } catch {
      switch error {
      case .malformed:
        throw Problem(.malformedRequest, "the body is no \(coding.rawValue), or not whole")
      case .tooLarge:
        throw Problem(
          .bodyTooLarge, "inflated, the body is too large",
          members: ["limit": .integer(Int64(mostBytes))])
      }
    }
  }

  // MARK: To people

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .requestLogRead)
    let organization = member.organizationID
    let query = QueryReader(request)
    let filter = RequestLogTable.Filter(query)
    let page = try Page(
      query, scope: "request-logs \(organization) \(filter)", sealer: services.cursors)
    let rows = try await member.reads.rows(
      RequestLogTable.list(
        in: organization, filter, since: oldest(member),
        after: page.afterID.map { RequestLogID($0) }, limit: page.fetchLimit))
    return try page.reply(rows.map { try RequestLogRow($0) }) {
      $0.log.json(organizationID: organization)
    } place: {
      $0.log.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .requestLogRead)
    try QueryReader(request).finish()
    guard let id = context.pathParameters["log"].flatMap(RequestLogID.init), id.hasTime else {
      throw Problem(.notFound)
    }
    let rows = try await member.reads.rows(
      RequestLogTable.find(id, in: member.organizationID, since: oldest(member)))
    guard let row = rows.first else { throw Problem(.notFound) }
    // No ETag: evidence does not change.
    return .json(
      try RequestLogRow(row).log.json(organizationID: member.organizationID).bytes())
  }

  private func oldest(_ member: Membership) async throws -> Timestamp {
    try await member.oldestEvidence(services.plans)
  }
}

extension Membership {
  /// What is older is not shown any more, although other workspaces' plans keep its partition.
  func oldestEvidence(_ plans: PlanCatalog) async throws -> Timestamp {
    let rows = try await reads.rows(PlanQuery.plan(of: organizationID))
    guard let row = rows.first else { throw Problem(.notFound) }
    let days = try PlanQuery.entitlements(row, plans).retentionDays
    return Timestamp.now.advanced(bySeconds: -days *| 86_400)
  }
}

extension RequestLogTable.Filter {
  /// Reads `project_id`, `key_id`, `decision`, `provider`, `model`, `country`, `region`, `from` and `to`.
  init(_ query: QueryReader) {
    projectID = query.id("project_id", of: Project.self)
    keyID = query.id("key_id", of: APIKey.self)
    decision = query.choice("decision")
    provider = query.provider()
    model = query.string("model", TextRules(1...ModelPattern.longest))
    country = query.string(
      "country", TextRules(2...2), where: { Country($0) != nil },
      otherwise:
        "must be an ISO 3166-1 alpha-2 code such as DE, or XK; ask for region=unknown otherwise"
    ).flatMap { Country($0) }
    region = query.choice("region")
    from = query.time("from")
    to = query.time("to")
  }
}
