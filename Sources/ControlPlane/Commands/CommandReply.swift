import Domain
import JSON

/// The answer to a command: the entity that it was about, rendered from the state that it left behind.
struct CommandReply {
  let status: Int
  /// Nil when the entity is gone, or was to be taken away.
  let version: Int64?
  let location: String?
  /// Nil when the entity is gone and left nothing to tell.
  let body: JSONObject?

  /// - Parameter existed: whether the entity was there before the command.
  init(
    to command: WorkspaceCommand, from workspace: Workspace, in id: OrganizationID,
    at time: Timestamp, existed: Bool = false
  ) {
    let entity = command.entity(in: id)
    switch command.effect {
    case .removal:
      // What is gone has no version, but there may be something left to tell.
      body = workspace.json(leftBy: command, at: time)
      status = body == nil ? 204 : 200
      version = nil
      location = nil
    case .creation, .change, .setting:
      // Only accepted commands have a reply, and none of these is accepted unless its entity exists afterwards.
      guard let version = workspace.version(of: entity),
        let body = workspace.json(answering: command, about: entity, in: id, at: time)
      else { preconditionFailure("accepted, but there is no \(entity)") }
      let isCreation = command.effect == .creation || command.effect == .setting && !existed
      status = isCreation ? 201 : 200
      self.version = version
      location = isCreation ? workspace.path(of: entity, in: id) : nil
      self.body = body
    }
  }
}

/// What becomes of the entity that a command is about.
private enum CommandEffect {
  case creation, change, removal
  /// A creation the first time, a change from then on.
  case setting
}

extension WorkspaceCommand {
  fileprivate var effect: CommandEffect {
    switch self {
    case .organization(.create), .project(.create), .invitation(.create), .serviceToken(.create),
      .rule(.create), .apiKey(.create), .webhookEndpoint(.create), .account(.createToken),
      .gatewayToken(.create):
      .creation
    case .member(.remove), .invitation(.revoke), .invitation(.decline), .serviceToken(.revoke),
      .rule(.delete), .apiKey(.revoke), .providerKey(.delete),
      .webhookEndpoint(.delete), .account(.revokeToken), .account(.erase), .gatewayToken(.revoke):
      .removal
    case .organization(.rename), .organization(.archive), .project(.change),
      .project(.setPanicMode), .project(.endPanicMode), .project(.archive), .rule(.change),
      .rule(.replaceAll), .member(.changeRole),
      .member(.transferOwnership), .invitation(.resend), .invitation(.accept),
      .serviceToken(.rotate), .apiKey(.change), .apiKey(.rotate), .providerKey(.rewrap),
      .webhookEndpoint(.change), .webhookEndpoint(.rotateSecret), .webhookEndpoint(.disable),
      .webhookEndpoint(.enable), .webhookEndpoint(.replay), .plan, .onboarding,
      .credits, .usage, .billing:
      .change
    case .providerKey(.set): .setting
    }
  }
}

extension Workspace {
  /// What a command is about, as those see it who asked: plan and onboarding are parts with faces of their own.
  fileprivate func json(
    answering command: WorkspaceCommand, about entity: Entity, in id: OrganizationID,
    at time: Timestamp
  ) -> JSONObject? {
    switch command {
    case .plan: limitsJSON(at: time)
    case .onboarding: onboarding?.json
    case .member(.changeRole(let userID, let role, _)):
      members[userID].map { member in
        var object = member.json(userID: userID)
        object.set(
          "service_tokens",
          JSONArray(serviceTokens(madeBy: userID, strongerThan: role, at: time)))
        return object
      }
    case .organization, .member(.remove), .member(.transferOwnership), .invitation, .serviceToken,
      .project, .rule, .apiKey,
      .providerKey, .webhookEndpoint, .account, .gatewayToken, .credits, .usage, .billing:
      json(of: entity, in: id)
    }
  }
}

extension Workspace {
  /// What a removal left behind that its caller should know of; nil when there is no such thing.
  fileprivate func json(leftBy command: WorkspaceCommand, at time: Timestamp) -> JSONObject? {
    guard case .member(.remove(let userID, _)) = command else { return nil }
    var object = JSONObject()
    object.set("service_tokens", JSONArray(serviceTokens(madeBy: userID, at: time)))
    return object
  }

  /// Where callers find the entity.
  fileprivate func path(of entity: Entity, in organization: OrganizationID) -> String? {
    let root = "/v1/organizations/\(organization)"
    return switch entity {
    case .organization: root
    case .member(let id): "\(root)/members/\(id)"
    case .invitation(let id): "\(root)/invitations/\(id)"
    case .serviceToken(let id): "\(root)/service-tokens/\(id)"
    case .project(let id): "\(root)/projects/\(id)"
    case .rule(let id): "\(root)/rules/\(id)"
    case .ruleSet(let id): "\(root)/projects/\(id)/rules"
    case .apiKey(let id): apiKeys[id].map { "\(root)/projects/\($0.projectID)/api-keys/\(id)" }
    case .providerKey(let id):
      providerKeys[id].map {
        "\(root)/projects/\($0.projectID)/provider-keys/\($0.provider)"
      }
    case .webhookEndpoint(let id): "\(root)/webhook-endpoints/\(id)"
    case .account: "/v1/me"
    case .personalAccessToken(let id): "/v1/me/tokens/\(id)"
    case .gatewayToken(let id): "/v1/platform/gateway-tokens/\(id)"
    case .credits: "\(root)/credits"
    case .creditPurchase(let id): "\(root)/credits/purchases/\(id)"
    case .usage: "\(root)/usage"
    }
  }
}
