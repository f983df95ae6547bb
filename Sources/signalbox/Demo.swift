import ControlPlane
import Domain
import FoundationEssentials

/// Something to look at: one organization with two projects, one of which is in panic mode.
enum Demo {
  static func make(owner: UserID, _ commands: CommandHandler) async throws {
    let organization = OrganizationID(Identifiers.next())
    let (live, test) = (ProjectID(Identifiers.next()), ProjectID(Identifiers.next()))
    let steps: [WorkspaceCommand] = [
      .organization(.create(name: "Demo", slug: "demo", owner: owner)),
      .plan(.change(to: .business)),
      .project(.create(live, name: "Storefront assistant", environment: .live)),
      .project(.create(test, name: "Storefront assistant", environment: .test)),
      .project(.setPanicMode(test, enabled: true, reason: "Trying out the switch")),
    ]
    for command in steps {
      let now = Timestamp.now
      _ = try await commands.handle(
        CommandRequest(
          commandID: Identifiers.next(at: now), organizationID: organization, command: command,
          actor: .user(owner), isByPlatform: true, occurredAt: now))
    }
  }
}
