import Domain
import EventStore
import Postgres
import Support
import Testing

@testable import ControlPlane

@Suite struct CancellationTests {
  /// Another replica holds the log's head: the command is in a batch that waits for it.
  @Test func `a caller who was told that nothing happened is told the truth`() async throws {
    try await TestControlPlane.with { planes in
      let plane = planes[0]
      let organization = try await plane.makeOrganization()
      let replica = Connection(options: plane.database.application, name: "another replica")
      let (isLocked, locked) = AsyncStream.makeStream(of: Void.self)
      async let lock: Void = replica.run(deadline: .soon) { session in
        _ = try session.pipeline(["BEGIN", EventLog.lockHead], deadline: .soon)
        locked.finish()
        _ = try session.pipeline(["SELECT pg_sleep(3)", "ROLLBACK"], deadline: .soon)
      }
      for await _ in isLocked {}

      let renaming = Task {
        try await plane.handle(.organization(.rename(name: "B", slug: nil)), in: organization)
      }
      try await Task.sleep(for: .milliseconds(200))
      renaming.cancel()
      let result = await renaming.result
      #expect(throws: CommandError.self) { try result.get() }

      try await lock
      await replica.close()
      // A command that comes later is carried out after whatever was on its way.
      let later = try await plane.handle(
        .organization(.rename(name: nil, slug: "later")), in: organization)
      guard case .failure(CommandError.unavailable) = result else { return }
      #expect(later.version == 3, "\(String(decoding: later.body, as: UTF8.self))")
    }
  }

  @Test func `a caller who gave up before is answered at once`() async throws {
    let plane = try await TestControlPlane.shared
    let organization = try await plane.makeOrganization()
    let renaming = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await plane.handle(
        .organization(.rename(name: "B", slug: nil)), in: organization)
    }
    let result = await renaming.result
    #expect(throws: CommandError.self) { try result.get() }
  }
}
