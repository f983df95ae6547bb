package typealias OrganizationID = TypeID<Organization>

// MARK: Events

package enum OrganizationEvent: Equatable, Sendable {
  case created(Created)
  case renamed(Renamed)
  case archived(Archived)

  package struct Created: EventPayload {
    package static let type = "organization.created"
    package let name: ExactText
    package let slug: String
    package var event: WorkspaceEvent { .organization(.created(self)) }
  }

  /// Name and slug as they are from now on, the unchanged one included.
  package struct Renamed: EventPayload {
    package static let type = "organization.renamed"
    package let name: ExactText
    package let slug: String
    package var event: WorkspaceEvent { .organization(.renamed(self)) }
  }

  package struct Archived: EventPayload {
    package static let type = "organization.archived"
    package var event: WorkspaceEvent { .organization(.archived(self)) }
  }

  static let payloadTypes: [any EventPayload.Type] = [
    Created.self, Renamed.self, Archived.self,
  ]

  var payload: any EventPayload {
    switch self {
    case .created(let payload): payload
    case .renamed(let payload): payload
    case .archived(let payload): payload
    }
  }
}

// MARK: State and evolve

/// A workspace's own data: what it is called, and whether it is still in use.
package struct Organization: Equatable, Sendable, Codable, Identified {
  package static let idPrefix = "org"

  package var name: ExactText
  /// Unique among all organizations, archived ones included.
  package var slug: String
  /// How many events happened to the organization itself.
  package var version: Int64
  package let createdAt: Timestamp
  package var updatedAt: Timestamp
  package var archivedAt: Timestamp?

  /// An organization as it was read from a row.
  package init(
    name: ExactText, slug: String, version: Int64, createdAt: Timestamp, updatedAt: Timestamp,
    archivedAt: Timestamp? = nil
  ) {
    self.name = name
    self.slug = slug
    self.version = version
    self.createdAt = createdAt
    self.updatedAt = updatedAt
    self.archivedAt = archivedAt
  }

  private enum CodingKeys: String, CodingKey {
    case name, slug, version
    case createdAt = "created_at"
    case updatedAt = "updated_at"
    case archivedAt = "archived_at"
  }

  static func evolve(
    _ state: Organization?, _ event: OrganizationEvent, _ metadata: EventMetadata
  ) throws(FoldError) -> Organization {
    switch (state, event) {
    case (nil, .created(let created)):
      return Organization(
        name: created.name, slug: created.slug, version: 1,
        createdAt: metadata.occurredAt, updatedAt: metadata.occurredAt)
    case (var organization?, .renamed(let renamed)):
      organization.name = renamed.name
      organization.slug = renamed.slug
      organization.touch(metadata)
      return organization
    case (var organization?, .archived):
      organization.archivedAt = metadata.occurredAt
      organization.touch(metadata)
      return organization
    case (.some, .created):
      throw FoldError(version: metadata.version, reason: "the organization exists already")
    case (nil, .renamed), (nil, .archived):
      throw FoldError(version: metadata.version, reason: "the organization does not exist")
    }
  }

  mutating func touch(_ metadata: EventMetadata) {
    version += 1
    updatedAt = metadata.occurredAt
  }
}

// MARK: Commands and decide

package enum OrganizationCommand: Equatable, Sendable {
  /// The owner becomes its first member.
  case create(name: ExactText, slug: String, owner: UserID)
  /// Nil leaves that one as it is.
  case rename(name: ExactText?, slug: String?)
  case archive

  var claimedSlug: String? {
    switch self {
    case .create(_, let slug, _): slug
    case .rename(_, let slug): slug
    case .archive: nil
    }
  }
}

extension Organization {
  static func decide(
    _ state: Organization?, _ command: OrganizationCommand, in context: CommandContext
  ) throws(Rejection) -> [WorkspaceEvent] {
    switch command {
    case .create(let name, let slug, let owner):
      guard state == nil else { return [] }
      return [
        .organization(.created(.init(name: name, slug: slug))),
        .member(.added(.init(userID: owner, role: .owner))),
        .plan(.changed(.init(.free, of: context.plans))),
      ]
    case .rename(let name, let slug):
      let organization = try open(state)
      let renamed = OrganizationEvent.Renamed(
        name: name ?? organization.name, slug: slug ?? organization.slug)
      let changes = renamed.name != organization.name || renamed.slug != organization.slug
      return changes ? [.organization(.renamed(renamed))] : []
    case .archive:
      guard let state else { throw .notFound(.organization) }
      return state.archivedAt == nil ? [.organization(.archived(.init()))] : []
    }
  }

  /// The organization, if it exists and takes changes.
  static func open(_ state: Organization?) throws(Rejection) -> Organization {
    guard let state else { throw .notFound(.organization) }
    guard state.archivedAt == nil else { throw .archived(.organization) }
    return state
  }
}
