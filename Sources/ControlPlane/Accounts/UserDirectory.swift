import Domain
import FoundationEssentials
import Identity
package import Postgres

/// Who the users are: made on first sight of an identity, brought up to date when the identity provider says otherwise.
package struct UserDirectory: Sendable {
  struct User: Sendable {
    let id: UserID
    let isPlatformAdmin: Bool
  }

  private let pool: Pool

  /// - Parameter pool: what may write; users are rarely written.
  package init(pool: Pool) {
    self.pool = pool
  }

  /// The user whose identity this is.
  ///
  /// - Throws: ``PostgresError``.
  func user(of identity: VerifiedIdentity, _ reads: Reads) async throws -> User {
    let found = try await reads.rows(
      UserTable.find(issuer: identity.issuer, subject: identity.subject)
    ).first.map { try Found($0) }
    if let found, found.email == identity.email, found.name == identity.name { return found.user }
    let registration = UserTable.register(
      UserID(Identifiers.next()), issuer: identity.issuer, subject: identity.subject,
      email: identity.email, name: identity.name)
    let deadline = reads.deadline
    return try await pool.withConnection(deadline: deadline) { session in
      try Found(session.execute(registration, deadline: deadline)[0]).user
    }
  }

  /// Members of the past, as they are called now: newest users first, behind the one with the id `after`.
  func profiles(
    of members: [UserID: Member], after: UUID?, limit: Int, _ reads: Reads
  ) async throws -> [MemberProfile] {
    let page = members.filter { id, _ in after.map { id.uuid < $0 } ?? true }
      .sorted { $0.key.uuid > $1.key.uuid }.prefix(limit)
    let names = try await names(of: page.map(\.key.uuid), reads)
    return page.map { id, member in
      let person = names[id.uuid]
      return MemberProfile(userID: id, member: member, name: person?.name, email: person?.email)
    }
  }

  /// What somebody is called, of those who are known.
  func names(of ids: [UUID], _ reads: Reads) async throws -> [UUID: Person] {
    guard !ids.isEmpty else { return [:] }
    let rows = try await reads.rows(UserTable.names(of: ids))
    let people = try rows.map { row throws(PostgresError) in
      let (id, email, name, isErased) = try row.decode((UUID, String?, String?, Bool).self)
      return (id, Person(email: email, name: name, isErased: isErased))
    }
    return Dictionary(people) { $1 }
  }

  struct Person: Sendable {
    let email: String?
    let name: String?
    let isErased: Bool
  }

  private struct Found {
    let user: User
    let email: String?
    let name: String?

    init(_ row: Row) throws(PostgresError) {
      let (id, isPlatformAdmin, email, name) = try row.decode(
        (UUID, Bool, String?, String?).self)
      user = User(id: UserID(id), isPlatformAdmin: isPlatformAdmin)
      self.email = email
      self.name = name
    }
  }
}
