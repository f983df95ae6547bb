import Domain
import JSON

/// The answer to a command: the entity that it was about, rendered from the state that it left behind.
struct CommandReply {
  let status: Int
  let version: Int64
  let location: String?
  let body: JSONObject

  /// Only accepted commands have a reply, and none is accepted unless its entity exists afterwards.
  init(to command: WorkspaceCommand, from workspace: Workspace, in id: OrganizationID) {
    let entity = command.entity(in: id)
    guard let version = workspace.version(of: entity), let body = workspace.json(of: entity, in: id)
    else { preconditionFailure("accepted, but there is no \(entity)") }
    status = command.isCreation ? 201 : 200
    self.version = version
    location = command.isCreation ? entity.path(in: id) : nil
    self.body = body
  }
}

extension WorkspaceCommand {
  fileprivate var isCreation: Bool {
    switch self {
    case .organization(.create), .project(.create): true
    case .organization(.rename), .organization(.archive), .project(.change),
      .project(.setPanicMode), .project(.archive):
      false
    }
  }
}

extension Entity {
  /// Where callers find the entity.
  fileprivate func path(in organization: OrganizationID) -> String {
    let root = "/v1/organizations/\(organization)"
    return switch self {
    case .organization: root
    case .member(let id): "\(root)/members/\(id)"
    case .project(let id): "\(root)/projects/\(id)"
    }
  }
}
