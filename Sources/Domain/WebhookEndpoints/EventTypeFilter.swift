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

  /// Whether a pattern can ever match something that happens to a workspace.
  package static func isKnown(_ pattern: String) -> Bool {
    let filter = EventTypeFilter([pattern])
    return workspaceTypes.contains { filter.matches($0) }
  }

  /// The types of what happens to workspaces, and not to people or to the platform.
  package static let workspaceTypes: [String] = WorkspaceEvent.payloadTypes.map { $0.type }
    .filter { !$0.hasPrefix("account.") && !$0.hasPrefix("gateway_token.") }
}
