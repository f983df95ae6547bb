import Domain

/// The one JSON document in parts, none much larger than a project, to be sent or stored one after the other. Sorted by id:
/// equal documents are the same bytes.
package struct DocumentChunks: Sequence, IteratorProtocol, Sendable {
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

  package mutating func next() -> [UInt8]? {
    if !begun {
      begun = true
      let head = #"{"format":\#(ConfigurationDocument.format),"position":\#(document.position)"#
      return Array(head.utf8) + continued(document.others) + Array(#","organizations":{"#.utf8)
    }
    if isInside { return nextProject < projects.count ? project() : closeOrganization() }
    if nextOrganization < organizations.count { return openOrganization() }
    if ended { return nil }
    ended = true
    return Array("}}".utf8)
  }

  private mutating func openOrganization() -> [UInt8]? {
    let id = organizations[nextOrganization]
    guard let organization = document.organizations[id] else { return nil }
    projects = organization.projects.keys.sorted { $0.uuid < $1.uuid }
    nextProject = 0
    isInside = true
    let head = #"\#(nextOrganization == 0 ? "" : ",")"\#(id)":{"projects":{"#
    nextOrganization += 1
    return Array(head.utf8)
  }

  private mutating func project() -> [UInt8]? {
    let id = projects[nextProject]
    let organization = organizations[nextOrganization - 1]
    guard let piece = document.organizations[organization]?.projects[id] else { return nil }
    let head = #"\#(nextProject == 0 ? "" : ",")"\#(id)":"#
    nextProject += 1
    return Array(head.utf8) + piece
  }

  private mutating func closeOrganization() -> [UInt8]? {
    isInside = false
    let organization = organizations[nextOrganization - 1]
    guard let settings = document.organizations[organization]?.settings else { return nil }
    return [UInt8(ascii: "}")] + continued(settings) + [UInt8(ascii: "}")]
  }

  /// The members of an object, to be written after others.
  private func continued(_ object: [UInt8]) -> [UInt8] {
    object.count <= 2 ? [] : [UInt8(ascii: ",")] + object.dropFirst().dropLast()
  }
}

extension ConfigurationDocument {
  package var chunks: DocumentChunks { DocumentChunks(self) }

  /// The one JSON document.
  package func bytes() -> [UInt8] { Array(chunks.joined()) }
}
