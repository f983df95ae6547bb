/// Which types of events somebody wants: `*` for all, `project.*` for all of one subject, or a type by its name. Sorted, each
/// once.
package struct EventTypeFilter: Equatable, Sendable, Codable {
  package static let all = "*"
  /// More than there are types.
  package static let mostPatterns = 200

  package let patterns: [String]

  package init(_ patterns: some Sequence<String>) {
    self.patterns = Set(patterns).sorted()
  }

  package init(from decoder: any Decoder) throws {
    self.init(try [String](from: decoder))
  }

  package func encode(to encoder: any Encoder) throws {
    try patterns.encode(to: encoder)
  }

  package func matches(_ type: String) -> Bool {
    patterns.contains { pattern in
      pattern == Self.all || pattern == type
        || pattern.hasSuffix(".*") && type.hasPrefix(pattern.dropLast())
    }
  }

  /// Whether a pattern can ever match an event that a webhook may carry.
  package static func isKnown(_ pattern: String) -> Bool {
    let filter = EventTypeFilter([pattern])
    return deliverableTypes.contains { filter.matches($0) }
  }

  /// The types of events that a webhook may carry: those of workspaces that every role may read that may set up endpoints.
  ///
  /// Each of those roles can point any endpoint of the workspace at a server of its own, so who made an endpoint does not
  /// matter: it tells no more than the least of them may read. A type that this program does not know is not sent.
  package static let deliverableTypes: [String] = WorkspaceEvent.payloadTypes.map { $0.type }
    .filter { type in
      guard !type.hasPrefix("account."), !type.hasPrefix("gateway_token."),
        let permission = WorkspaceEvent.permissionToRead(eventOfType: type)
      else { return false }
      return Permission.webhookWrite.roles.allSatisfy { $0.may(permission) }
    }
}
