import Domain
import HTTPTypes
import Hummingbird
import NIOCore
import Postgres

/// `…/rules:replay`: what other rules would have done to the requests that were recorded.
struct ReplayRoutes: RouteGroup {
  let services: Services

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
    // Before the body is looked at: a draft of thousands of rules takes time to read, too.
    let slot = try services.longWork.replays.take(for: member.organizationID)
    let start = try await withTaskExecutorPreference(services.longWork.threads) {
      try await prepare(member, context)
    }
    var response = Response(
      status: .ok, headers: [.contentType: "application/x-ndjson", .cacheControl: "no-store"])
    let threads = services.longWork.threads
    response.body = ResponseBody { writer in
      var run = start
      defer { slot.release() }
      do {
        while let line = try await run.next(on: threads) {
          try await writer.write(ByteBuffer(bytes: line))
        }
      } catch let error as PostgresError {
        // The status is sent already: the last line says what happened.
        try await writer.write(ByteBuffer(bytes: error.problem.lastLine))
      }
      try await writer.finish(nil)
    }
    return response
  }

  private func prepare(_ member: Membership, _ context: APIContext) async throws -> ReplayRun {
    let (organization, reads) = (member.organizationID, member.reads)
    let now = Timestamp.now
    let payload = try ReplayPayload(context.body)
    let id = try context.id("project", of: Project.self)
    let project = try await reads.project(id, in: organization)
    let workspace = try await reads.rows(
      RuleView.ofWorkspace(organization), over: services.longWork.pages
    ).map { row throws(PostgresError) in try RuleRow(row) }
    let draft = DraftRules(payload.rules, in: id, besides: workspace, at: now)
    return ReplayRun(
      of: id, in: organization,
      from: max(payload.from, try await member.oldestEvidence(services.plans)), to: payload.to,
      reads, over: services.longWork.pages,
      Replay(
        Controls(rules: RuleSet(draft.rules), thresholds: project.thresholds),
        mostSamples: payload.samples))
  }
}
