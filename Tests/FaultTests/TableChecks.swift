import Domain
import EventStore
import FoundationEssentials
import JSON
import Postgres
import Testing

/// Compares three pictures of every workspace: its rows, what is read of them over HTTP, and what the
/// server folds from the log when asked for the newest version.
struct TableChecks {
  let run: FaultRun
  let port: UInt16

  func check(_ events: [RecordedEvent]) async throws {
    let organizations = try await organizationRows()
    let projects = try await projectRows()
    // A person's account is a stream too, and no organization.
    let streams = Dictionary(
      grouping: events.filter { !$0.type.hasPrefix("account.") }, by: \.organizationID)
    #expect(Set(organizations.keys) == Set(streams.keys), run.hint)
    for (id, stream) in streams {
      let path = "/v1/organizations/\(OrganizationID(id))"
      let asOf = "as_of=\(stream.count)"
      let organization = try await get("\(path)?\(asOf)")
      #expect(organization == (try await get(path)), run.hint)
      #expect(organization["name"]?.string == organizations[id]?.name, run.hint)
      #expect(organization["version"]?.integer == organizations[id]?.version, run.hint)
      let folded = try await pages("\(path)/projects?limit=200&\(asOf)")
      #expect(folded == (try await pages("\(path)/projects?limit=200")), run.hint)
      #expect(Set(folded.map(Self.summary)) == projects[id] ?? [], run.hint)
      try await checkFeed(path, stream)
    }
    try await checkClaims()
  }

  /// The feed gives every event of the stream, once and in order.
  private func checkFeed(_ path: String, _ stream: [RecordedEvent]) async throws {
    var positions: [Int64] = []
    while true {
      let page = try await get("\(path)/events?limit=200&after=\(positions.last ?? 0)")
      let data = page["data"]?.array ?? []
      positions += data.compactMap { $0["position"]?.integer }
      if data.isEmpty { break }
    }
    #expect(positions == stream.map(\.position), run.hint)
  }

  /// Slugs and owners are where the organizations are.
  private func checkClaims() async throws {
    let wrong = try await run.database.count(
      """
      SELECT count(*) FROM organizations FULL JOIN organization_slugs AS claims \
      USING (organization_id) LEFT JOIN memberships AS owners \
      ON owners.organization_id = organizations.organization_id AND owners.role = 'owner' \
      WHERE organizations.slug IS DISTINCT FROM claims.slug OR owners.user_id IS NULL
      """)
    #expect(wrong == 0, run.hint)
  }

  private func organizationRows() async throws -> [UUID: (name: String, version: Int64)] {
    let rows = try await run.database.rows(
      "SELECT organization_id, name, version FROM organizations")
    return try Dictionary(
      uniqueKeysWithValues: rows.map { row throws in
        let (id, name, version) = try row.decode((UUID, String, Int64).self)
        return (id, (name, version))
      })
  }

  private func projectRows() async throws -> [UUID: Set<String>] {
    let rows = try await run.database.rows(
      """
      SELECT organization_id, project_id, name, version, rate_limit, panic_mode, panic_mode_reason, \
      archived_at IS NOT NULL FROM projects
      """)
    var summaries: [UUID: Set<String>] = [:]
    for row in rows {
      let (organization, id, name, version, rateLimit, panics, reason, isArchived) = try row.decode(
        (UUID, UUID, String, Int64, Int64?, Bool, String?, Bool).self)
      summaries[organization, default: []].insert(
        Self.summary(
          ProjectID(id).description, name, version, rateLimit, panics, reason, isArchived))
    }
    return summaries
  }

  private static func summary(_ project: JSONValue) -> String {
    summary(
      project["id"]?.string ?? "", project["name"]?.string ?? "", project["version"]?.integer ?? 0,
      project["rate_limit"]?.integer, project["panic_mode"]?["enabled"]?.bool ?? false,
      project["panic_mode"]?["reason"]?.string, project["archived_at"]?.string != nil)
  }

  private static func summary(
    _ id: String, _ name: String, _ version: Int64, _ rateLimit: Int64?, _ panics: Bool,
    _ reason: String?, _ isArchived: Bool
  ) -> String {
    "\(id) \(name) v\(version) \(rateLimit ?? 0) \(panics) \(reason ?? "-") \(isArchived)"
  }

  private func pages(_ path: String) async throws -> [JSONValue] {
    var elements: [JSONValue] = []
    var next = ""
    while true {
      let page = try await get(path + next)
      elements += page["data"]?.array ?? []
      guard let cursor = page["next_cursor"]?.string else { return elements }
      next = "&cursor=\(cursor)"
    }
  }

  private func get(_ path: String) async throws -> JSONValue {
    let (ledger, port) = (run.ledger, port)
    let response = try await onThread {
      var client = Client(ports: [port], ledger: ledger)
      return try client.get(path)
    }
    if response.status != 200 { run.ledger.violation("GET \(path): \(response.status)") }
    return try JSONValue.parse(response.body)
  }
}
