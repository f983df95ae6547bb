import Hummingbird
import JSON

/// A platform admin's request to try something again that was given up: what all such requests have in common.
struct PlatformReplay {
  let reads: Reads
  let isDryRun: Bool

  /// Reads the request. The Idempotency-Key is checked and not kept: what is tried again takes effect once without it, too.
  ///
  /// - Throws: a ``Problem`` of 400, 401, 403, 415, 422 or 429.
  init(_ request: Request, _ context: APIContext, _ services: Services) async throws {
    reads = try await services.authorizer.platformAdmin(request, context)
    let query = QueryReader(request)
    isDryRun = query.dryRun()
    try query.finish()
    _ = try IdempotencyKey.read(request.headers)
    try NoPayload.check(context.body)
  }

  /// What a dry run answers. It names no events: those of a workspace are the workspace's business.
  static func rehearsal(of resource: JSONObject) -> Reply {
    var object = JSONObject()
    object.set("dry_run", true)
    object.set("events", JSONArray())
    object.set("resource", resource)
    return .json(object.bytes())
  }
}
