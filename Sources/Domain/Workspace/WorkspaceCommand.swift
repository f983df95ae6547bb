/// Everything that can be asked of a workspace. A feature's commands are in the feature's folder.
package enum WorkspaceCommand: Equatable, Sendable {
  case organization(OrganizationCommand)
  case project(ProjectCommand)

  /// What the command is about: an expected version is that entity's.
  package func entity(in organization: OrganizationID) -> Entity {
    switch self {
    case .organization: .organization(organization)
    case .project(let command): .project(command.projectID)
    }
  }

  /// A slug that must be free, or this organization's own, for the command to be carried out.
  package var claimedSlug: String? {
    switch self {
    case .organization(let command): command.claimedSlug
    case .project: nil
    }
  }
}

extension Workspace {
  /// Decides what happens when this is asked: pure, and asking again after it happened yields no events.
  package func decide(_ command: WorkspaceCommand) throws(Rejection) -> [WorkspaceEvent] {
    switch command {
    case .organization(let command):
      try Organization.decide(organization, command)
    case .project(let command):
      try Project.decide(projects[command.projectID], command, in: organization)
    }
  }
}
