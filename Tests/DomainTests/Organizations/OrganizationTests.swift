import Support
import Testing

@testable import Domain

@Suite struct OrganizationTests {
  static let create = WorkspaceCommand.organization(
    .create(name: "Acme", slug: "acme", owner: owner))

  // MARK: Refused

  @Test(arguments: [
    OrganizationCommand.rename(name: "A", slug: nil), .rename(name: nil, slug: nil), .archive,
  ])
  func `nothing can be done to what was never created`(command: OrganizationCommand) {
    given().when(.organization(command)).thenRejected(.notFound(.organization))
  }

  @Test(arguments: ["Acme", "Acme Incorporated"])
  func `an archived organization cannot be renamed, not even to its own name`(name: String) {
    given(.created, .ownerAdded, .archived)
      .when(.organization(.rename(name: ExactText(name), slug: nil)))
      .thenRejected(.archived(.organization))
  }

  // MARK: Repeated

  @Test func `creating again yields nothing`() {
    given(.created, .ownerAdded).when(Self.create).thenNothing()
  }

  @Test func `archiving again yields nothing`() {
    given(.created, .ownerAdded, .archived).when(.organization(.archive)).thenNothing()
  }

  @Test(arguments: [nil, "Acme"], [nil, "acme"])
  func `renaming to what it is called already yields nothing`(name: String?, slug: String?) {
    given(.created, .ownerAdded)
      .when(.organization(.rename(name: name.map { ExactText($0) }, slug: slug))).thenNothing()
  }

  // MARK: Accepted

  @Test func `who creates it owns it`() {
    let workspace = given().when(Self.create).then(.created, .ownerAdded, .startsFree)
    #expect(workspace.organization?.name == "Acme")
    #expect(workspace.organization?.slug == "acme")
    #expect(workspace.organization?.version == 2)
    #expect(workspace.organization?.archivedAt == nil)
    #expect(workspace.members.mapValues(\.role) == [owner: .owner])
    #expect(workspace.version == 3)
  }

  @Test func `a new name leaves the slug as it is`() {
    let workspace = given(.created, .ownerAdded)
      .when(.organization(.rename(name: "Acme Incorporated", slug: nil)))
      .then(.organization(.renamed(.init(name: "Acme Incorporated", slug: "acme"))))
    #expect(workspace.organization?.version == 2)
    #expect(workspace.organization?.createdAt == Scenario.time(1))
    #expect(workspace.organization?.updatedAt == Scenario.time(3))
  }

  @Test func `a new slug leaves the name as it is`() {
    given(.created, .ownerAdded)
      .when(.organization(.rename(name: nil, slug: "acme-inc")))
      .then(.organization(.renamed(.init(name: "Acme", slug: "acme-inc"))))
  }

  @Test func `archiving keeps everything but the date`() {
    let workspace = given(.created, .ownerAdded).when(.organization(.archive)).then(.archived)
    #expect(workspace.organization?.archivedAt == Scenario.time(3))
    #expect(workspace.organization?.name == "Acme")
    #expect(workspace.organization?.slug == "acme")
  }

  // MARK: Folded

  @Test func `the fold stops at a second creation`() {
    given(.created).thenCannotFold(.created)
  }

  @Test(arguments: [
    WorkspaceEvent.archived, .organization(.renamed(.init(name: "A", slug: "a"))),
  ])
  func `the fold stops at what happened to nothing`(event: WorkspaceEvent) {
    given().thenCannotFold(event)
  }

  @Test func `only commands that name a slug claim one`() {
    #expect(Self.create.claimedSlug == "acme")
    #expect(WorkspaceCommand.organization(.rename(name: "A", slug: nil)).claimedSlug == nil)
    #expect(WorkspaceCommand.organization(.rename(name: nil, slug: "a")).claimedSlug == "a")
    #expect(WorkspaceCommand.organization(.archive).claimedSlug == nil)
    #expect(WorkspaceCommand.project(.archive(assistant)).claimedSlug == nil)
  }
}
