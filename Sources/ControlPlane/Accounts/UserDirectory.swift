import Cryptography
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
  private let identityHash: HMACSHA256

  /// - Parameters:
  ///   - pool: what may write; users are rarely written.
  ///   - hasher: of those who were erased, a keyed hash of how they signed in is left.
  package init(pool: Pool, hasher: TokenHasher) {
    self.pool = pool
    identityHash = HMACSHA256(key: hasher.derivedKey(for: "identities"))
  }

  /// The user whose identity this is; nil when they were erased after the identity provider vouched for them.
  ///
  /// - Throws: ``PostgresError``.
  func user(of identity: VerifiedIdentity, _ reads: Reads) async throws -> User? {
    let found = try await reads.rows(
      UserTable.find(issuer: identity.issuer, subject: identity.subject)
    ).first.map { try Found($0) }
    if let found, found.isUpToDate(with: identity) { return found.user }
    let hash = identityHash.authenticationCode(
      for: "\(identity.issuer)\n\(identity.subject)".utf8)
    if found == nil, try await wasErased(hash, since: identity.issuedAt, reads) { return nil }
    let registration = UserTable.register(
      UserID(Identifiers.next()), issuer: identity.issuer, subject: identity.subject,
      identityHash: hash, email: identity.email, name: identity.name)
    let deadline = reads.deadline
    return try await pool.withConnection(deadline: deadline) { session in
      try Found(session.execute(registration, deadline: deadline)[0]).user
    }
  }

  /// Whether the person was erased in the second in which their token was issued, or later.
  private func wasErased(
    _ identityHash: [UInt8], since issuedAt: Int64?, _ reads: Reads
  ) async throws -> Bool {
    let rows = try await reads.rows(UserTable.erasure(ofIdentity: identityHash))
    guard let issuedAt, let erasedAt = try rows.first?.decode(TimestampTZ.self) else {
      return false
    }
    return issuedAt <= Timestamp(erasedAt).seconds
  }

  /// Members of the past, as they are called now: newest users first, behind the one with the id `after`.
  func profiles(
    of members: [UserID: Member], after: UUID?, limit: Int, _ reads: Reads
  ) async throws -> [MemberProfile] {
    let page = members.filter { id, _ in after.map { id.uuid < $0 } ?? true }
      .sorted { $0.key.uuid > $1.key.uuid }.prefix(limit)
    // Those who have left share no organization with the caller any more. Who they were, row security has let through.
    let names = try await names(of: page.map(\.key.uuid), reads.scoped(to: .system))
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
    let hasIdentityHash: Bool

    init(_ row: Row) throws(PostgresError) {
      let (id, isPlatformAdmin, email, name, hasIdentityHash) = try row.decode(
        (UUID, Bool, String?, String?, Bool).self)
      user = User(id: UserID(id), isPlatformAdmin: isPlatformAdmin)
      self.email = email
      self.name = name
      self.hasIdentityHash = hasIdentityHash
    }

    private static func isSame(_ known: String?, _ told: String?) -> Bool {
      guard let known, let told else { return known == nil && told == nil }
      return known.isExactly(told)
    }

    func isUpToDate(with identity: VerifiedIdentity) -> Bool {
      Self.isSame(email, identity.email) && Self.isSame(name, identity.name) && hasIdentityHash
    }
  }
}
