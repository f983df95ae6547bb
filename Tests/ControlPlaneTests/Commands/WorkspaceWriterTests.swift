import Domain
import EventStore
import JSON
import Postgres
import Support
import Synchronization
import Testing

@testable import ControlPlane

/// What only the writer sees to, behind the lock on the log's head.
@Suite struct WorkspaceWriterTests {
  /// A right may end between the moment when it was looked at and the moment when its command is decided. The demotion is
  /// another replica's, and waits for the head's lock before the command does.
  @Test func `a right that ended while the command waited is not used any more`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      var demotedFirst = 0
      for _ in 0..<3 {
        let organization = try await replicas[0].makeOrganization()
        let user = try await replicas[0].makeUser()
        try await replicas[0].addMember(user.id, role: .admin, to: organization)
        let path = "/v1/organizations/\(organization)"
        // This replica knows the role, and has the workspace's state.
        #expect(try await user.client.patch(path, #"{"name":"Before"}"#).status == 200)

        let (demotion, rename) = try await Self.whileHeadIsLocked(replicas[0].database) {
          let demotion = Task {
            try await replicas[1].handle(
              .member(.changeRole(user.id, to: .viewer)), in: organization)
          }
          try await Task.sleep(for: .milliseconds(300))
          let rename = Task { try await user.client.patch(path, #"{"name":"After"}"#) }
          try await Task.sleep(for: .milliseconds(300))
          return (demotion, rename)
        }
        let end = try #require(try await demotion.value.position)
        let reply = try await rename.value
        if let position = reply["signalbox-position"].flatMap({ Int64($0) }), position < end {
          continue
        }
        demotedFirst += 1
        #expect(reply.status == 403, "\(reply.text)")
        let name = try await replicas[0].client.get(path).json["name"]
        #expect(name == .string("Before"))
      }
      #expect(demotedFirst > 0, "the demotion never came first: nothing was tested")
    }
  }

  /// Something that weighs much and does not show it beforehand: nothing is asked for but to have no rules.
  @Test func `what turns out to be large is carried out, with those in its batch`() async throws {
    try await TestControlPlane.with { planes in
      let client = planes[0].client
      let organization = try await client.makeOrganization()
      let project = try await client.makeProject(in: organization)
      let rules = (0..<600).map { #"{"provider":"openai","model":"m\#($0)","effect":"deny"}"# }
      let filled = try await client.put(
        "\(project)/rules", #"{"rules":[\#(rules.joined(separator: ","))]}"#,
        headers: ["If-Match": "*"])
      #expect(filled.status == 200, "\(filled.text.prefix(200))")
      // They gather behind the lock, in one batch.
      let database = planes[0].database
      let (emptied, others) = try await Self.whileHeadIsLocked(database) {
        let first = Task { try await client.makeProject(in: organization) }
        try await Task.sleep(for: .milliseconds(200))
        let emptied = Task {
          try await client.put(
            "\(project)/rules", #"{"rules":[]}"#, headers: ["If-Match": "*"])
        }
        let others = (0..<5).map { number in
          Task { try await client.makeProject(in: organization, "\(number)") }
        }
        try await Task.sleep(for: .milliseconds(300))
        return (emptied, [first] + others)
      }
      #expect(try await emptied.value.json["data"] == .array([]))
      for other in others { _ = try await other.value }
      #expect(try await client.all("\(organization)/projects").count == 7)
      try await database.withApplicationSession { session throws in
        #expect(try Rebuild.differences(session, deadline: .soon) == [])
      }
    }
  }

  /// Somebody else holds the lock on the log's head while the body runs.
  static func whileHeadIsLocked<Value: Sendable>(
    _ database: TestDatabase, _ body: () async throws -> Value
  ) async throws -> Value {
    let replica = Connection(options: database.application, name: "another replica")
    let (isLocked, locked) = AsyncStream.makeStream(of: Void.self)
    let flag = Flag()
    let holding = Task {
      try await replica.run(deadline: .soon) { session in
        _ = try session.pipeline(["BEGIN", EventLog.lockHead], deadline: .soon)
        locked.finish()
        while !flag.isRaised {
          _ = try session.execute("SELECT pg_sleep(0.01)", deadline: .soon)
        }
        _ = try session.execute("ROLLBACK", deadline: .soon)
      }
    }
    for await _ in isLocked {}
    let result: Result<Value, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    flag.raise()
    try await holding.value
    await replica.close()
    return try result.get()
  }
}

private final class Flag: Sendable {
  private let value = Atomic(false)

  var isRaised: Bool { value.load(ordering: .acquiring) }

  func raise() { value.store(true, ordering: .releasing) }
}
