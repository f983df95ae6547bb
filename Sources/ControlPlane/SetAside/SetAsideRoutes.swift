import Domain
import FoundationEssentials
import Hummingbird
import JSON
import Postgres

/// `/v1/platform/set-aside`: items that background jobs gave up; for platform admins.
struct SetAsideRoutes: RouteGroup {
  let services: Services
  let attempts: JobAttempts
  /// Tries an item again, whatever its kind.
  let carryOut: @Sendable (JobItem) async throws -> AttemptOutcome

  func add(to router: APIRouter) {
    let items = "/v1/platform/set-aside"
    router.get("\(items)", use: list)
    router.post("\(items)/{item}:replay", use: replay)
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let reads = try await services.authorizer.platformAdmin(request, context)
    let query = QueryReader(request)
    let kind = query.choice("kind", of: JobKind.self)
    let page = try Page(
      query, scope: "set-aside \(kind?.rawValue ?? "")", sealer: services.cursors)
    let rows = try await reads.rows(
      JobAttemptTable.list(
        kind, after: page.afterName.flatMap(SetAsidePlace.init)?.place, limit: page.fetchLimit))
    return try page.reply(rows.map { try JobAttemptRow($0) }) {
      $0.json()
    } place: {
      Array(SetAsidePlace($0).description.utf8)
    }
  }

  /// At once: the caller is told what became of it.
  private func replay(request: Request, context: APIContext) async throws -> Reply {
    let replay = try await PlatformReplay(request, context, services)
    let id: TypeID<SetAside> = try context.id("item")
    let row = try await row(id, replay.reads)
    // Whether it succeeds is known only once it is tried.
    if replay.isDryRun { return PlatformReplay.rehearsal(of: row.json()) }
    switch try await attempts.replay(.id(id), { try await carryOut($0) }) {
    case nil: throw Problem(.notFound)
    case .passing: throw Problem.unavailable()
    case .done: return .json(row.json(isDone: true).bytes())
    case .failed: return .json(try await self.row(id, replay.reads).json().bytes())
    }
  }

  private func row(_ id: TypeID<SetAside>, _ reads: Reads) async throws -> JobAttemptRow {
    guard let row = try await reads.rows(JobAttemptTable.find(id)).first else {
      throw Problem(.notFound)
    }
    return try JobAttemptRow(row)
  }
}

/// Where an item stands in the list.
private struct SetAsidePlace: CustomStringConvertible {
  let place: (time: Timestamp, id: UUID)

  init(_ row: JobAttemptRow) {
    place = (row.setAsideAt ?? row.lastAttemptAt, row.id.uuid)
  }

  init?(_ text: String) {
    let parts = text.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, let time = Int64(parts[0]).flatMap(Timestamp.init(microseconds:)),
      let id = UUID(uuidString: String(parts[1]))
    else { return nil }
    place = (time, id)
  }

  var description: String { "\(place.time.microseconds) \(place.id)" }
}
