package import Domain
package import JSON

/// The whole configuration that gateways run, at one position of the log: the document of the feed, format 1
/// (`ops/configuration-feed.md`).
///
/// A value, made for ten thousand projects with a hundred rules each: of a project it holds one piece of compact JSON, not a
/// tree, and a change reads and writes only the pieces that it names. Copies share all pieces. Pieces are in canonical form,
/// so equal documents are written as equal bytes.
package struct ConfigurationDocument: Equatable, Sendable {
  /// The only format there is.
  package static let format: Int64 = 1

  struct Organization: Equatable, Sendable {
    /// All of its members but `projects`, as one object.
    var settings: [UInt8]
    var projects: [ProjectID: [UInt8]] = [:]
  }

  /// The position of the last event that it tells of; 0 before the first one.
  package private(set) var position: Int64
  private(set) var organizations: [OrganizationID: Organization] = [:]
  /// Members at the top that a later control plane may send, as one object.
  private(set) var others: [UInt8]

  static let emptyObject = Array("{}".utf8)

  /// A document without organizations.
  package init(position: Int64 = 0) {
    self.position = position
    others = Self.emptyObject
  }

  /// Reads a whole document. Only one project at a time is held as a tree.
  ///
  /// - Throws: `ConfigurationError` that says what is wrong, and where.
  package init(parsing bytes: [UInt8]) throws(ConfigurationError) {
    self.init()
    var reader = DocumentReader()
    try reader.read(bytes)
    position = reader.position
    organizations = reader.organizations
    others = reader.others.canonicalBytes()
  }

  package var organizationIDs: some Collection<OrganizationID> { organizations.keys }

  package func projectIDs(of organization: OrganizationID) -> [ProjectID] {
    organizations[organization].map { Array($0.projects.keys) } ?? []
  }

  package var projectCount: Int { organizations.values.reduce(0) { $0 + $1.projects.count } }

  /// Whether both tell gateways the same, whatever their positions.
  package func saysTheSame(as other: ConfigurationDocument) -> Bool {
    organizations == other.organizations && others == other.others
  }

  /// All members of an organization but `projects`, as compact JSON; nil when there is no such organization.
  package func settings(of organization: OrganizationID) -> [UInt8]? {
    organizations[organization]?.settings
  }

  /// A project as compact JSON; nil when there is no such project.
  package func project(_ project: ProjectID, of organization: OrganizationID) -> [UInt8]? {
    organizations[organization]?.projects[project]
  }

  /// Puts an organization as it stands in the document, `projects` included, in the place of what is known of it; nil
  /// removes it. Builds a document from what is stored elsewhere.
  ///
  /// - Throws: `ConfigurationError` when it holds a `null`, or something that is no project.
  package mutating func set(
    _ id: OrganizationID, to json: JSONObject?, at position: Int64
  ) throws(ConfigurationError) {
    if let json {
      organizations[id] = try inside("/organizations/\(id)") { () throws(ConfigurationError) in
        try Organization(json)
      }
    } else {
      organizations[id] = nil
    }
    self.position = position
  }
}

extension ConfigurationDocument.Organization {
  init(_ json: JSONObject) throws(ConfigurationError) {
    var rest = json
    rest.remove("projects")
    settings = try rest.piece()
    guard json.contains("projects") else { return }
    guard let members = json.object("projects") else { throw .notAnObject("/projects") }
    for name in members.names {
      projects[try ProjectID(named: name, in: "/projects")] =
        try inside("/projects/\(name.asPointerToken)") { () throws(ConfigurationError) in
          guard let project = members.object(name) else { throw .notAnObject("") }
          return try project.piece()
        }
    }
  }
}

// MARK: Changes

/// A change that was made out to be possible, to be applied to the document that it was made for.
package struct ConfigurationUpdate: Sendable {
  package enum OrganizationUpdate: Sendable {
    case removed
    /// - settings: as they are now; nil when they did not change.
    /// - removesOthers: whether projects that are not among these are removed.
    /// - projects: those that changed; nil for one that is removed.
    case changed(settings: [UInt8]?, removesOthers: Bool, projects: [ProjectID: [UInt8]?])
  }

  package let position: Int64
  package fileprivate(set) var organizations: [OrganizationID: OrganizationUpdate] = [:]
  /// Whether organizations that are not among these are removed.
  package fileprivate(set) var removesOthers = false
  fileprivate var others: [UInt8]?
}

extension ConfigurationDocument {
  /// Applies a JSON Merge Patch (RFC 7396) of the whole document.
  ///
  /// - Parameter position: of the last event that the patch tells of. The patch may say it too, then it must be the same.
  /// - Throws: `ConfigurationError`; the document is then as it was.
  package mutating func apply(_ patch: [UInt8], at position: Int64) throws(ConfigurationError) {
    apply(try update(for: patch, at: position))
  }

  /// What a patch does to this document: all that can fail of applying it, and all that takes long.
  package func update(
    for patch: [UInt8], at position: Int64
  ) throws(ConfigurationError) -> ConfigurationUpdate {
    guard position > self.position else { throw .notNewer(than: self.position) }
    var rest = try Self.object(patch)
    if let format = rest["format"], format != .integer(Self.format) { throw .unknownFormat }
    if let named = rest["position"], named != .integer(position) {
      throw .invalid(pointer: "/position", reason: "must be the position of the change")
    }
    var update = ConfigurationUpdate(position: position)
    if let organizations = rest.object("organizations") {
      for name in organizations.names {
        let id = try OrganizationID(named: name, in: "/organizations")
        update.organizations[id] = try inside("/organizations/\(name.asPointerToken)") {
          () throws(ConfigurationError) in
          if organizations.isNull(name) { return .removed }
          guard let change = organizations.object(name) else { throw .notAnObject("") }
          return try Self.update(self.organizations[id], change)
        }
      }
    } else if rest.contains("organizations") {
      guard rest.isNull("organizations") else { throw .notAnObject("/organizations") }
      update.removesOthers = true
    }
    for name in ["format", "position", "organizations"] { rest.remove(name) }
    if !rest.isEmpty { update.others = try Self.merged(others, rest) }
    return update
  }

  /// Applies a change that ``update(for:at:)`` made for exactly this document. Takes no time to speak of.
  package mutating func apply(_ update: ConfigurationUpdate) {
    position = update.position
    if let others = update.others { self.others = others }
    if update.removesOthers { organizations = [:] }
    for (id, change) in update.organizations {
      switch change {
      case .removed: organizations[id] = nil
      case .changed(let settings, let removesOthers, let projects):
        var organization =
          organizations.removeValue(forKey: id) ?? Organization(settings: Self.emptyObject)
        if let settings { organization.settings = settings }
        if removesOthers { organization.projects = [:] }
        for (id, project) in projects { organization.projects[id] = project }
        organizations[id] = organization
      }
    }
  }

  private static func update(
    _ current: Organization?, _ patch: JSONObject
  ) throws(ConfigurationError) -> ConfigurationUpdate.OrganizationUpdate {
    var rest = patch
    rest.remove("projects")
    let settings =
      rest.isEmpty && current != nil ? nil : try merged(current?.settings ?? emptyObject, rest)
    guard let changes = patch.object("projects") else {
      guard !patch.contains("projects") || patch.isNull("projects") else {
        throw .notAnObject("/projects")
      }
      return .changed(
        settings: settings, removesOthers: patch.contains("projects"), projects: [:])
    }
    var projects: [ProjectID: [UInt8]?] = [:]
    for name in changes.names {
      let id = try ProjectID(named: name, in: "/projects")
      let piece = try inside("/projects/\(name.asPointerToken)") {
        () throws(ConfigurationError) -> [UInt8]? in
        if changes.isNull(name) { return nil }
        guard let change = changes.object(name) else { throw .notAnObject("") }
        return try merged(current?.projects[id] ?? emptyObject, change)
      }
      projects.updateValue(piece, forKey: id)
    }
    return .changed(settings: settings, removesOthers: false, projects: projects)
  }

  private static func merged(
    _ piece: [UInt8], _ patch: JSONObject
  ) throws(ConfigurationError) -> [UInt8] {
    try MergePatch.apply(patch, to: object(piece)).piece()
  }

  private static func object(_ bytes: [UInt8]) throws(ConfigurationError) -> JSONObject {
    do throws(JSONSyntaxError) {
      return try JSONObject(parsing: bytes)
    } catch {
      throw .syntax(error)
    }
  }
}

extension JSONObject {
  /// The form in which parts of a document are held.
  func piece() throws(ConfigurationError) -> [UInt8] {
    // A merge leaves none but those in arrays.
    if let pointer = pointerToNull {
      throw .invalid(pointer: pointer, reason: "must not be null: what there is none of is absent")
    }
    return canonicalBytes()
  }

  func isNull(_ name: String) -> Bool { object(name) == nil && self[name] == .null }
}

extension ConfigurationError {
  static func notAnObject(_ pointer: String) -> ConfigurationError {
    .invalid(pointer: pointer, reason: "must be an object")
  }
}

extension TypeID {
  init(named name: String, in pointer: String) throws(ConfigurationError) {
    guard let id = Self(name) else {
      throw .invalid(
        pointer: pointer,
        reason: "the members' names must be ids that start with \(Entity.idPrefix)_")
    }
    self = id
  }
}
