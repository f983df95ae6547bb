import JSON
import Testing

extension FaultTests {
  /// What happens when many want the same.
  @Suite struct Contention {
    /// FAULTS.md row 10.
    @Test func `one Idempotency-Key from 64 clients at once has one effect`() async throws {
      try await FaultRun.with { run in
        for round in 1...5 {
          let operation = Operation(
            "\(run.seed)-key-\(round)", .createOrganization, "POST", "/v1/organizations",
            ["name": .string("Round \(round)")])
          let answers = await attempts(of: Array(repeating: operation, count: 64), run)
          let replies = answers.compactMap(Self.acknowledgement)
          #expect(!replies.isEmpty, run.hint)
          #expect(Set(replies.map(\.body)).count == 1, run.hint)
          #expect(
            replies.count { $0.headers["idempotency-replayed"] == nil } == 1, run.hint)
          #expect(answers.allSatisfy(Self.isReplyOrInProgress), run.hint)
        }
        try await Invariants(run).check()
      }
    }

    /// FAULTS.md row 11.
    @Test func `of two writers with the same If-Match one succeeds`() async throws {
      try await FaultRun.with { run in
        let organization = try await create(run, "/v1/organizations", ["name": .string("Round")])
        let project = try await create(
          run, "\(organization)/projects", ["name": .string("P"), "environment": .string("test")])
        for round in 1...40 {
          let rivals = ["a", "b"].map { name in
            Operation(
              "\(run.seed)-match-\(round)\(name)", .renameProject, "PATCH", project,
              ["name": .string("Round \(round)\(name)")], ifMatch: "\"\(round)\"")
          }
          let answers = await attempts(of: rivals, run)
          #expect(answers.compactMap(Self.acknowledgement).count == 1, run.hint)
        }
        try await Invariants(run).check()
      }
    }

    /// Sends all of them at the same time, each on a connection of its own.
    private func attempts(
      of operations: [Operation], _ run: FaultRun
    ) async -> [Ledger.Answer] {
      await withTaskGroup(of: Ledger.Answer.self) { group in
        for operation in operations {
          group.addTask {
            await onThread {
              var client = Client(ports: [run.server.port], ledger: run.ledger)
              return client.attempt(operation)
            }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
    }

    /// - Returns: the path of what was made.
    private func create(
      _ run: FaultRun, _ path: String, _ body: [String: JSONValue]
    ) async throws -> String {
      let operation = Operation(
        "\(run.seed)-create-\(path.count)", .createProject, "POST", path, body)
      let answers = await attempts(of: [operation], run)
      let reply = try #require(answers.first.flatMap(Self.acknowledgement))
      return try #require(reply.headers["location"])
    }

    private static func acknowledgement(_ answer: Ledger.Answer) -> HTTPConnection.Response? {
      if case .acknowledged(let response) = answer { response } else { nil }
    }

    private static func isReplyOrInProgress(_ answer: Ledger.Answer) -> Bool {
      switch answer {
      case .acknowledged, .refused(_, "idempotency-in-progress"): true
      default: false
      }
    }
  }
}
