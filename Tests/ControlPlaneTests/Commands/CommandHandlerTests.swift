import Domain
import EventStore
import Postgres
import Support
import Testing

@testable import ControlPlane

/// What becomes of commands when the database does not answer, or too late.
@Suite struct CommandHandlerTests {
  /// The commit takes longer than the writer waits for it, and then happens all the same. Nobody sent an Idempotency-Key.
  @Test func `an outcome that nobody knew is looked up, not tried again`() async throws {
    try await TestControlPlane.with { planes in
      let plane = planes[0]
      let organization = try await plane.makeOrganization()
      try await plane.database.withSession { session throws in
        try session.executeScript(
          """
          CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN
            PERFORM pg_sleep(2.5);
            RETURN NULL;
          EXCEPTION WHEN query_canceled THEN
            RETURN NULL;
          END
          $$;
          CREATE CONSTRAINT TRIGGER events_take_long AFTER INSERT ON events
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            WHEN (NEW.type = 'organization.renamed') EXECUTE FUNCTION take_long();
          """, deadline: .soon)
      }
      let before = try await Self.head(plane.database)
      let start = ContinuousClock.now
      let outcome = try await plane.handle(
        .organization(.rename(name: "Slow", slug: nil)), in: organization)
      #expect(
        ContinuousClock.now - start > .seconds(1), "the commit was answered: nothing was tested")
      // Carried out again, it would have found nothing to do, and had no position.
      #expect(outcome.position == before + 1)
      #expect(try await Self.head(plane.database) == before + 1)
      // The state is what the log says, and goes on.
      let next = try await plane.handle(
        .project(.create(ProjectID(Identifiers.next()), name: "Next", environment: .live)),
        in: organization)
      #expect(next.status == 201)
    }
  }

  @Test func `a command whose time is over before its turn comes is not carried out`() async throws
  {
    try await TestControlPlane.with { planes in
      let plane = planes[0]
      let organization = try await plane.makeOrganization()
      let before = try await Self.head(plane.database)
      let (result, duration) = try await WorkspaceWriterTests.whileHeadIsLocked(plane.database) {
        let start = ContinuousClock.now
        let now = Timestamp.now
        let request = CommandRequest(
          commandID: Identifiers.next(at: now), organizationID: organization,
          command: .organization(.rename(name: "Late", slug: nil)), actor: .user(plane.adminID),
          occurredAt: now, deadline: .now + .milliseconds(400))
        let result = await Self.result(of: request, plane)
        return (result, ContinuousClock.now - start)
      }
      guard case .failure(.unavailable) = result else {
        Issue.record("\(result)")
        return
      }
      #expect(duration < .seconds(3), "its own deadline counts")
      _ = try await plane.handle(
        .organization(.rename(name: nil, slug: "next")), in: organization)
      #expect(try await Self.head(plane.database) == before + 1)
    }
  }

  @Test func `a batch takes no command whose time is over, and tells its caller`() async throws {
    func pending(_ deadline: ContinuousClock.Instant) -> PendingCommand {
      PendingCommand(
        CommandRequest(
          commandID: Identifiers.next(), organizationID: OrganizationID(Identifiers.next()),
          command: .organization(.rename(name: "Late", slug: nil)), actor: .system,
          occurredAt: .now, deadline: deadline))
    }
    #expect(pending(.now + .seconds(10)).take())
    let late = pending(.now - .milliseconds(1))
    #expect(!late.take())
    #expect(late.isAnswered)
  }

  private static func result(
    of request: CommandRequest, _ plane: TestControlPlane
  ) async -> Result<CommandOutcome, CommandError> {
    do throws(CommandError) {
      return .success(try await plane.controlPlane.services.commands.handle(request))
    } catch {
      return .failure(error)
    }
  }

  private static func head(_ database: TestDatabase) async throws -> Int64 {
    try await database.withApplicationSession { session throws in
      try session.execute(EventLog.head, deadline: .soon)[0].decode(Int64.self)
    }
  }
}
