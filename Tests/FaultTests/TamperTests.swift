import Domain
import FoundationEssentials
import Glibc
import JSON
import Postgres
import Testing

extension FaultTests {
  /// A check that finds nothing is worth as much as what it would find.
  @Suite struct Tampering {
    @Test func `whatever is wrong afterwards is found`() async throws {
      try await FaultRun.with(isTampered: true) { run in
        try await run.underLoad { _ in try await Task.sleep(for: FaultRun.load(0.3)) }
        let invariants = Invariants(run)
        try await invariants.check()

        try await expectIssue(run, Self.renaming) {
          try await TableChecks(run: run, port: run.server.port).check(invariants.log())
        }
        try await expectIssue(run, "DELETE FROM workspace_audit_events WHERE position = 7") {
          try await invariants.checkAudit()
        }
        _ = try await run.database.rows("ALTER TABLE events DISABLE TRIGGER ALL")
        try await expectIssue(run, "UPDATE events SET actor_id = NULL WHERE position = 5") {
          try invariants.checkChains(try await invariants.log())
        }
        try await expectIssue(run, "DELETE FROM events WHERE position = 9") {
          invariants.checkPlaces(try await invariants.log())
        }
        // A change has one or two events: three in a row hold all events of at least one.
        try await expectIssue(run, "DELETE FROM events WHERE position BETWEEN 8 AND 10") {
          invariants.checkLedger(try await invariants.log(), isFinal: true)
        }
      }
    }

    @Test
    func
      `the command says that all holds, beside the server and without it, and then that it does not`()
      async throws
    {
      try await FaultRun.with(isTampered: true) { run in
        try await run.underLoad { _ in
          try await Task.sleep(for: FaultRun.load(0.3))
          // While there are writers.
          let (status, output) = try await Self.verify(run)
          #expect(status == 0 && output.hasPrefix("Everything holds: "), "\(run.hint): \(output)")
        }
        let heads = "\(run.directory)/heads"
        #expect(try await Self.verify(run, "--write-heads", heads).status == 0, run.hint)
        let (organization, version) = try await run.database.rows(
          "SELECT organization_id, max(version) FROM events GROUP BY 1 ORDER BY 2 DESC LIMIT 1")[0]
          .decode((UUID, Int64).self)
        let name = OrganizationID(organization).description
        #expect(
          try await Self.verify(run, "--organization", name, "--known-heads", heads).status == 0,
          run.hint)
        _ = try await run.database.rows("ALTER TABLE events DISABLE TRIGGER ALL")
        _ = try await run.database.rows(Self.renaming)
        _ = try await run.database.rows(
          "DELETE FROM events WHERE organization_id = \(organization) AND version = \(version)")
        run.server.signal(SIGTERM)
        #expect(try await run.server.awaitExit(within: .seconds(20)) == 0, run.hint)
        let (status, output) = try await Self.verify(
          run, "--known-heads", heads, "--output", "json")
        #expect(status == 1, "\(run.hint): \(output)")
        let report = try JSONValue.parse(Array(output.utf8))
        #expect(report["holds"] == .bool(false))
        let findings = report["findings"]?.array ?? []
        let checks = Set(findings.compactMap { $0["check"]?.string })
        #expect(checks.isSuperset(of: ["positions", "heads", "tables", "audit"]), "\(output)")
        #expect(
          findings.contains {
            $0["check"] == .string("heads") && $0["organization_id"] == .string(name)
              && $0["version"] == .integer(version)
          }, "\(output)")
      }
    }

    @Test func `a check that could not be made says so`() async throws {
      let directory = "/tmp/signalbox-faults-\(getpid())-nothing"
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: directory) }
      let command = try ServerProcess(["verify"], directory: directory)
      try command.spawn()
      #expect(try await command.awaitExit(within: .seconds(20)) == 2)
      #expect(command.log.contains("there is no database in"), "\(command.log)")
      #expect(!FileManager.default.fileExists(atPath: "\(directory)/server"))
    }

    private static func verify(
      _ run: FaultRun, _ options: String...
    ) async throws -> (status: Int32, output: String) {
      let command = try ServerProcess(["verify"] + options, directory: run.directory)
      try command.spawn()
      let status = try await command.awaitExit(within: .seconds(60))
      return (status, command.output.isEmpty ? command.log : command.output)
    }

    private static let renaming: Query = """
      UPDATE projects SET name = name || '!' \
      WHERE project_id = (SELECT project_id FROM projects LIMIT 1)
      """

    private func expectIssue(
      _ run: FaultRun, _ tampering: Query, in check: () async throws -> Void
    ) async throws {
      #expect(try await run.database.rows(tampering).affected > 0, run.hint)
      await withKnownIssue { try await check() }
    }
  }
}
