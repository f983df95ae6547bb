import FoundationEssentials

@testable import Domain

// What the tests of all features talk about.

let acme = OrganizationID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)))
let owner = UserID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2)))
let assistant = ProjectID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3)))
let other = ProjectID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4)))

extension WorkspaceEvent {
  static let created = Self.organization(.created(.init(name: "Acme", slug: "acme")))
  static let ownerAdded = Self.member(.added(.init(userID: owner, role: .owner)))
  static let startsFree = Self.plan(.changed(.init(.free, of: .standard)))
  static let projectStep = Self.onboarding(
    .advanced(.init(from: .workspaceCreated, to: .projectCreated)))
  static let archived = Self.organization(.archived(.init()))
  static let projectCreated = Self.project(
    .created(.init(projectID: assistant, name: "Assistant", environment: .live)))
  static let projectArchived = Self.project(.archived(.init(projectID: assistant)))
  static func panicModeEnabled(_ reason: ExactText?) -> Self {
    .project(.panicModeEnabled(.init(projectID: assistant, reason: reason)))
  }
}
