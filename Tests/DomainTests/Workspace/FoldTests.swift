import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct FoldTests {
  @Test(arguments: [0, 1, 2, 4, -1, Int64.max])
  func `an event out of order stops the fold`(version: Int64) {
    given(.created, .ownerAdded).thenCannotFold(.projectCreated, version: version)
  }

  @Test func `a workspace that nothing happened to is empty`() {
    #expect(Workspace().version == 0)
    #expect(Workspace().organization == nil)
    #expect(Workspace().version(of: .organization(acme)) == nil)
  }

  @Test func `an event is about one entity`() {
    #expect(WorkspaceEvent.created.entity(in: acme) == .organization(acme))
    #expect(WorkspaceEvent.ownerAdded.entity(in: acme) == .member(owner))
    #expect(WorkspaceEvent.projectCreated.entity(in: acme) == .project(assistant))
    #expect(WorkspaceCommand.project(.archive(other)).entity(in: acme) == .project(other))
  }

  @Test func `a state survives being stored`() throws {
    let state = given(
      .created, .ownerAdded, .projectCreated, .panicModeEnabled(nil), .projectArchived, .archived
    ).workspace
    let stored = try JSONEncoder().encode(state)
    #expect(try JSONDecoder().decode(Workspace.self, from: stored) == state)
  }

  @Suite struct ExpectedVersions {
    let workspace = given(.created, .ownerAdded, .projectCreated, .panicModeEnabled(nil)).workspace

    @Test(arguments: [[1], [3], [], [1, 3]])
    func `a stale one is refused and told the current one`(versions: [Int64]) {
      #expect(throws: Rejection.staleVersion(.project(assistant), current: 2)) {
        try ExpectedVersion.oneOf(versions).check(.project(assistant), in: workspace)
      }
    }

    @Test(arguments: [ExpectedVersion.any, .oneOf([1])])
    func `nothing can be expected of what does not exist`(expected: ExpectedVersion) {
      #expect(throws: Rejection.notFound(.project)) {
        try expected.check(.project(other), in: workspace)
      }
    }

    @Test(arguments: [ExpectedVersion.any, .oneOf([2]), .oneOf([1, 2, 3])])
    func `the current one is accepted`(expected: ExpectedVersion) throws {
      try expected.check(.project(assistant), in: workspace)
    }
  }

  @Suite struct StoredNames {
    @Test func `no two payloads have the same name`() {
      let names = WorkspaceEvent.payloadTypes.map { $0.type }
      #expect(Set(names).count == names.count)
    }

    @Test(arguments: [("organization.created", 2), ("organization.vanished", 1), ("", 1)])
    func `an event of an unknown type or version is never skipped`(type: String, version: Int) {
      #expect(throws: UnknownEventType(type: type, schemaVersion: version)) {
        try WorkspaceEvent(type: type, schemaVersion: version, from: Unused())
      }
    }

    private struct Unused: PayloadDecoder {
      func decode<Payload: EventPayload>(_ type: Payload.Type) throws -> Payload {
        throw FoldError(version: 0, reason: "must not be asked")
      }
    }
  }
}
