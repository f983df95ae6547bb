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
    let path = "/v1/organizations/{organization}/projects/{project}/rules:replay"
    router.answers("application/x-ndjson", at: path)
    router.post("\(path)", use: replay)
  }

  /// Streams a line after each page of records, and at last the result. What is wrong with the request is said before.
  private func replay(request: Request, context: APIContext) async throws -> Response {
    let member = try await services.authorizer.member(request, context, may: .requestLogRead)
    if let role = member.role, !role.may(.ruleRead) { throw Problem.forbidden(.ruleRead, role) }
    try QueryReader(request).finish()
    let now = Timestamp.now
    let payload = try ReplayPayload(context.body)
    let (organization, reads) = (member.organizationID, member.reads)
    let id = try context.id("project", of: Project.self)
    let project = try await reads.project(id, in: organization)
    let workspace = try await reads.rows(RuleView.all(for: id, in: organization))
      .map { row throws(PostgresError) in try RuleRow(row) }.filter { $0.rule.projectID == nil }
    let draft = DraftRules(payload.rules, in: id, besides: workspace, at: now)
    let replay = Replay(
      Controls(rules: RuleSet(draft.rules), thresholds: project.thresholds),
      mostSamples: payload.samples)
    let start = Run(
      organization: organization, project: id,
      from: max(payload.from, try await member.oldestEvidence(services.plans)), to: payload.to,
      reads: reads, replay: replay)
    var response = Response(
      status: .ok, headers: [.contentType: "application/x-ndjson", .cacheControl: "no-store"])
    response.body = ResponseBody { writer in
      var run = start
      do {
        while let line = try await run.next() { try await writer.write(ByteBuffer(bytes: line)) }
      } catch let error as PostgresError {
        // The status is sent already: the last line says what happened.
        try await writer.write(ByteBuffer(bytes: error.problem.lastLine))
      }
      try await writer.finish(nil)
    }
    return response
  }

  /// One replay, page by page, so that its memory does not grow with what it reads.
  private struct Run: Sendable {
    let organization: OrganizationID
    let project: ProjectID
    let from: Timestamp
    let to: Timestamp
    let reads: Reads

    private var replay: Replay
    private var last: RequestLogID?
    private var isOver = false
    private let end = ContinuousClock.now + ReplayRoutes.time

    init(
      organization: OrganizationID, project: ProjectID, from: Timestamp, to: Timestamp,
      reads: Reads, replay: Replay
    ) {
      self.organization = organization
      self.project = project
      self.from = from
      self.to = to
      self.reads = reads
      self.replay = replay
    }

    /// What to say after one more page; nil when all is said.
    mutating func next() async throws -> [UInt8]? {
      guard !isOver else { return nil }
      let query = RequestLogTable.history(
        of: project, in: organization, from: from, to: to, after: last,
        limit: ReplayRoutes.pageSize)
      let rows = try await reads.extended(to: min(end, .now + ReplayRoutes.pageTime)).rows(query)
      (replay, last) = try await Self.added(rows, to: replay)
      isOver = rows.count < Int(ReplayRoutes.pageSize)
      let line =
        isOver
        ? replay.result(from: from, to: to) : replay.progress(until: last?.time ?? from)
      return line.bytes() + [UInt8(ascii: "\n")]
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
