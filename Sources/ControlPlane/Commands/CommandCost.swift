import Domain

/// How much of the writer's time something takes, where an ordinary command takes 1: a rule that is written with thousands
/// of others takes about half as long as a command by itself.
extension WorkspaceCommand {
  /// What is known before the command is decided.
  var weight: Int {
    switch self {
    case .rule(.replaceAll(_, let drafts)): 1 + drafts.count / 2
    case .usage(.record(let reports)): 1 + reports.count / 8
    case .rule(.create), .rule(.change), .rule(.delete), .usage, .organization, .member,
      .invitation, .serviceToken, .project, .apiKey, .providerKey, .webhookEndpoint, .plan,
      .onboarding, .account, .gatewayToken, .credits, .billing:
      1
    }
  }
}

extension WorkspaceCommand {
  /// About how many bytes the command appends to the log beyond those of its request: each of many parts gets an id, and
  /// names another one that it takes the place of.
  var overheadBytes: Int { 200 * (weight - 1) }
}

extension WorkspaceEvent {
  /// What is known once the command is decided.
  var weight: Int {
    switch self {
    case .ruleSet(.replaced(let replaced)):
      1 + (replaced.deleted.count + replaced.changed.count + replaced.created.count) / 2
    case .organization, .member, .invitation, .serviceToken, .project, .rule, .apiKey, .providerKey,
      .webhookEndpoint, .plan, .onboarding, .account, .gatewayToken, .credits, .usage, .billing:
      1
    }
  }
}

extension FairQueue.Limits {
  /// What one transaction carries.
  static var batch: Self { Self(count: CommandQueue.batchLimit, weight: 512, alone: 64) }
}
