package import Domain

/// Some bytes of the document: little that depends on what stands before it, then one thing that does not.
package struct DocumentPart: Sendable {
  /// What the piece is of.
  package enum ID: Hashable, Sendable {
    case organization(OrganizationID)
    case project(ProjectID)
  }

  package var prefix: [UInt8] = []
  package var piece: [UInt8] = []
  /// Nil when there is no piece.
  package var id: ID?

  package var bytes: [UInt8] { prefix + piece }
}

/// The one JSON document in parts, none much larger than a project, to be sent or stored one after the other. Sorted by id:
/// equal documents are the same bytes.
package struct DocumentParts: Sequence, IteratorProtocol, Sendable {
  private let document: ConfigurationDocument
  private let organizations: [OrganizationID]
  private var begun = false
  /// The place of the next organization, and of the next project of the one before it.
  private var nextOrganization = 0
  private var nextProject = 0
  private var projects: [ProjectID] = []
  private var isInside = false
  private var ended = false

  init(_ document: ConfigurationDocument) {
    self.document = document
    organizations = document.organizations.keys.sorted { $0.uuid < $1.uuid }
  }

  package mutating func next() -> DocumentPart? {
    if !begun {
      begun = true
      let head = #"{"format":\#(ConfigurationDocument.format),"position":\#(document.position)"#
      return DocumentPart(
        prefix: Array(head.utf8) + continued(document.others) + Array(#","organizations":{"#.utf8))
    }
    if isInside { return nextProject < projects.count ? project() : closeOrganization() }
    if nextOrganization < organizations.count { return openOrganization() }
    if ended { return nil }
    ended = true
    return DocumentPart(prefix: Array("}}".utf8))
  }

  private mutating func openOrganization() -> DocumentPart? {
    let id = organizations[nextOrganization]
    guard let organization = document.organizations[id] else { return nil }
    projects = organization.projects.keys.sorted { $0.uuid < $1.uuid }
    nextProject = 0
    isInside = true
    let head = #"\#(nextOrganization == 0 ? "" : ",")"\#(id)":{"projects":{"#
    nextOrganization += 1
    return DocumentPart(prefix: Array(head.utf8))
  }

  private mutating func project() -> DocumentPart? {
    let id = projects[nextProject]
    let organization = organizations[nextOrganization - 1]
    guard let piece = document.organizations[organization]?.projects[id] else { return nil }
    let head = #"\#(nextProject == 0 ? "" : ",")"\#(id)":"#
    nextProject += 1
    return DocumentPart(prefix: Array(head.utf8), piece: piece, id: .project(id))
  }

  private mutating func closeOrganization() -> DocumentPart? {
    isInside = false
    let organization = organizations[nextOrganization - 1]
    guard let settings = document.organizations[organization]?.settings else { return nil }
    return DocumentPart(
      piece: [UInt8(ascii: "}")] + continued(settings) + [UInt8(ascii: "}")],
      id: .organization(organization))
  }

  /// The members of an object, to be written after others.
  private func continued(_ object: [UInt8]) -> [UInt8] {
    object.count <= 2 ? [] : [UInt8(ascii: ",")] + object.dropFirst().dropLast()
  }
}

extension ConfigurationDocument {
  package var parts: DocumentParts { DocumentParts(self) }

  /// The one JSON document.
  package func bytes() -> [UInt8] { Array(parts.map(\.bytes).joined()) }
}
