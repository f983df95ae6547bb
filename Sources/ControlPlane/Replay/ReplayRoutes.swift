import Domain
import FoundationEssentials
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Postgres

/// `…/rules:replay`: what other rules would have done to the requests that were recorded.
struct ReplayRoutes: RouteGroup {
  let services: Services

  private static let pageSize: Int64 = 5000
  /// For the whole of it, and for each page.
  private static let time: Duration = .seconds(300)
  private static let pageTime: Duration = .seconds(10)

  func add(to router: APIRouter) {
    router.post("/v1/organizations/{organization}/projects/{project}/rules:replay", use: replay)
  }

  /// Streams a line after each page of records, and at last the result. What is wrong with the request is said before.
  private func replay(request: Request, context: APIContext) async throws -> Response {
    let member = try await services.authorizer.member(request, context, may: .requestLogRead)
    if let role = member.role, !role.may(.ruleRead) { throw Problem.forbidden(.ruleRead, role) }
    try QueryReader(request).finish()
    let now = Timestamp.now
    let payload = try ReplayPayload(context.body, now: now)
    let (organization, reads) = (member.organizationID, member.reads)
    guard let id = context.pathParameters["project"].flatMap(ProjectID.init) else {
      throw Problem(.notFound)
    }
    let projects = try await reads.rows(ProjectTable.find(id, in: organization))
    guard let project = try projects.first.map({ try ProjectRow($0).project }) else {
      throw Problem(.notFound)
    }
    let workspace = try await reads.rows(RuleView.all(for: id, in: organization))
      .map { row throws(PostgresError) in try RuleRow(row) }.filter { $0.rule.projectID == nil }
    let draft = DraftRules(payload.rules, in: id, besides: workspace, at: now)
    let run = Run(
      organization: organization, project: id,
      from: max(payload.from, try await member.oldestEvidence(services.plans)), to: payload.to,
      reads: reads)
    let replay = Replay(
      Controls(rules: RuleSet(draft.rules), thresholds: project.thresholds),
      mostSamples: payload.samples)
    var response = Response(
      status: .ok, headers: [.contentType: "application/x-ndjson", .cacheControl: "no-store"])
    response.body = ResponseBody { writer in
      do {
        try await run.play(replay) { try await writer.write(ByteBuffer(bytes: $0)) }
      } catch let error as PostgresError {
        // The status is sent already: the last line says what happened.
        try await writer.write(ByteBuffer(bytes: Self.failure(error)))
      }
      try await writer.finish(nil)
    }
    return response
  }

  private static func failure(_ error: PostgresError) -> [UInt8] {
    let kind = error.problem.kind
    var problem = JSONObject()
    problem.set("code", kind.code)
    problem.set("title", kind.title)
    var line = JSONObject()
    line.set("error", problem)
    return line.bytes() + [UInt8(ascii: "\n")]
  }

  /// One replay, page by page, so that its memory does not grow with what it reads.
  private struct Run: Sendable {
    let organization: OrganizationID
    let project: ProjectID
    let from: Timestamp
    let to: Timestamp
    let reads: Reads

    func play(_ replay: Replay, _ send: ([UInt8]) async throws -> Void) async throws {
      let end = ContinuousClock.now + ReplayRoutes.time
      var replay = replay
      var last: RequestLogID?
      while true {
        let query = RequestLogTable.history(
          of: project, in: organization, from: from, to: to, after: last,
          limit: ReplayRoutes.pageSize)
        let rows = try await reads.extended(to: min(end, .now + ReplayRoutes.pageTime)).rows(query)
        (replay, last) = try await Self.added(rows, to: replay)
        guard rows.count == Int(ReplayRoutes.pageSize), let until = last?.time else { break }
        try await send(replay.progress(until: until).bytes() + [UInt8(ascii: "\n")])
      }
      try await send(replay.result(from: from, to: to).bytes() + [UInt8(ascii: "\n")])
    }

    /// Away from the event loop, whose other connections would have to wait.
    private static func added(
      _ rows: Rows, to replay: Replay
    ) async throws -> (Replay, RequestLogID?) {
      try await withTaskExecutorPreference(globalConcurrentExecutor) {
        var replay = replay
        var last: RequestLogID?
        for row in rows {
          let log = try RequestLogRow(row).log
          replay.add(log)
          last = log.id
        }
        return (replay, last)
      }
    }
  }
}
