import Domain
import JSON
import NIOCore

extension Organization {
  /// The organization as callers see it.
  func json(id: OrganizationID, planTier: PlanTier, onboardingState: String) -> JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("name", name)
    object.set("slug", slug)
    object.set("plan_tier", planTier.rawValue)
    object.set("onboarding_state", onboardingState)
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    object.set("archived_at", archivedAt?.rfc3339)
    return object
  }
}

extension Workspace {
  /// The organization as callers see it; nil when this is not one's stream.
  func organizationJSON(id: OrganizationID) -> JSONObject? {
    organization?.json(
      id: id, planTier: plan?.tier ?? .free,
      onboardingState: onboarding?.state.name ?? Onboarding.Step.workspaceCreated.rawValue)
  }
}

/// The body of `POST /v1/organizations`.
struct CreateOrganizationPayload {
  let name: ExactText
  let slug: String?

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let name = reader.exactText("name", .name)
    slug = reader.replacement(
      "slug", reader.stringChange("slug", .slug, where: Slug.isValid, otherwise: Slug.rule))
    try reader.finish()
    guard let name else { throw Problem(.invalidRequest) }
    self.name = name
  }
}

/// The body of `PATCH /v1/organizations/{organization}`: a merge patch (RFC 7396) in which nothing can be removed.
struct RenameOrganizationPayload {
  let name: ExactText?
  let slug: String?

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    name = reader.replacement("name", reader.exactTextChange("name", .name))
    slug = reader.replacement(
      "slug", reader.stringChange("slug", .slug, where: Slug.isValid, otherwise: Slug.rule))
    try reader.finish()
  }
}

/// The short name of an organization in addresses and scripts.
enum Slug {
  static let rule =
    "must be lowercase letters, digits and hyphens, beginning and ending with a letter or digit"

  static func isValid(_ slug: String) -> Bool {
    slug.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
      && slug.utf8.first != UInt8(ascii: "-") && slug.utf8.last != UInt8(ascii: "-")
  }

  /// The name's letters and digits, and the end of the id so that it is free.
  static func made(from name: String, for id: OrganizationID) -> String {
    let words = name.lowercased().utf8.split { !isAlphanumeric($0) }
    let stem = words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "-")
    let cut = String(stem.prefix(30)).split(separator: "-").joined(separator: "-")
    return (cut.isEmpty ? "org" : cut) + "-" + id.description.suffix(8)
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
      || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}
