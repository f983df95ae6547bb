import Cryptography
import Domain
import FoundationEssentials
import Mail
package import Postgres

/// Keeps personal data out of the log: what an event has to say about a person is sealed under a key of their own.
///
/// A sealed text is `s1.` and base64url of an AES-256-GCM box, whose associated data is the subject's id; the
/// subject's key is sealed under a key-encryption key, with the same id. Where the key was destroyed, nothing opens.
package struct PersonalData: Sendable {
  /// A person as the log knows them.
  struct Subject: Sendable {
    let id: DataSubjectID
    /// Whose address it is, once they proved it.
    let userID: UserID?
    fileprivate let key: [UInt8]
  }

  private static let prefix = "s1."

  private let pool: Pool
  private let keys: KeyRing
  private let lookup: HMACSHA256

  /// - Parameters:
  ///   - pool: what may write; subjects are rarely written.
  ///   - hasher: addresses are found again by a keyed hash.
  package init(pool: Pool, keys: KeyRing, hasher: TokenHasher) {
    self.pool = pool
    self.keys = keys
    lookup = HMACSHA256(key: hasher.derivedKey(for: "addresses"))
  }

  /// The person with this address, made on first sight.
  ///
  /// - Parameter isKept: false for somebody who is only tried out: whoever is new then is forgotten at once.
  /// - Throws: ``PostgresError``; `CryptographyError` when the key ring has lost a version.
  func subject(
    with email: EmailAddress, isKept: Bool, deadline: ContinuousClock.Instant
  ) async throws -> Subject {
    let hash = hash(of: email)
    let id = DataSubjectID(Identifiers.next())
    let key = SecureRandom.bytes(AES256GCM.keySize)
    let sealedKey = try keys.seal(key, for: id.uuid.place)
    let insert = DataSubjectTable.insert(
      id, emailHash: hash, sealedKey: sealedKey, keyVersion: keys.current)
    let row = try await pool.withConnection(deadline: deadline) { session -> Row? in
      let find = DataSubjectTable.find(emailHash: hash)
      let known = try session.execute(find, deadline: deadline).first
      if known != nil || !isKept { return known }
      _ = try session.execute(insert, deadline: deadline)
      return try session.execute(find, deadline: deadline).first
    }
    guard let row else { return Subject(id: id, userID: nil, key: key) }
    guard let subject = try subject(row) else { throw CryptographyError.authenticationFailure }
    return subject
  }

  func seal(_ text: String, for subject: Subject) throws(CryptographyError) -> String {
    Self.prefix
      + Base64URL.encode(
        try AES256GCM.seal(
          Array(text.utf8), key: subject.key, associatedData: subject.id.uuid.place))
  }

  /// What was sealed, by subject and sealed text; those who were erased are not there.
  ///
  /// - Throws: ``PostgresError``; `CryptographyError` when something was tampered with.
  func open(_ sealed: [Sealed], _ reads: Reads) async throws -> [Sealed: String] {
    guard !sealed.isEmpty else { return [:] }
    let ids = Set(sealed.map(\.subjectID.uuid))
    let rows = try await reads.rows(DataSubjectTable.find(Array(ids)))
    let subjects = try rows.compactMap { try subject($0) }
    let keys = Dictionary(subjects.map { ($0.id, $0.key) }) { $1 }
    var opened: [Sealed: String] = [:]
    for item in sealed {
      guard let key = keys[item.subjectID], item.text.hasPrefix(Self.prefix),
        let box = Base64URL.decode(item.text.dropFirst(Self.prefix.count))
      else { continue }
      let bytes = try AES256GCM.open(
        box, key: key, associatedData: item.subjectID.uuid.place)
      opened[item] = String(decoding: bytes, as: UTF8.self)
    }
    return opened
  }

  /// Whoever proved to have the address can have it erased.
  func link(
    _ id: DataSubjectID, to userID: UserID, deadline: ContinuousClock.Instant
  ) async throws {
    try await pool.withConnection(deadline: deadline) { session in
      _ = try session.execute(DataSubjectTable.link(id, to: userID), deadline: deadline)
    }
  }

  /// Makes whoever has the address own what is known of it, unless somebody proved to have it before.
  func claim(
    _ email: EmailAddress, for userID: UserID, deadline: ContinuousClock.Instant
  ) async throws {
    let claim = DataSubjectTable.claim(emailHash: hash(of: email), for: userID)
    try await pool.withConnection(deadline: deadline) { session in
      _ = try session.execute(claim, deadline: deadline)
    }
  }

  private func hash(of email: EmailAddress) -> [UInt8] {
    lookup.authenticationCode(for: email.normalized.utf8)
  }

  /// Nil when the subject was erased.
  private func subject(_ row: Row) throws -> Subject? {
    let (id, userID, sealedKey, version) = try row.decode((UUID, UUID?, [UInt8]?, Int32).self)
    guard let sealedKey else { return nil }
    return Subject(
      id: DataSubjectID(id), userID: userID.map { UserID($0) },
      key: try keys.open(sealedKey, version: version, for: id.place))
  }
}

/// A text that is sealed under a subject's key.
struct Sealed: Hashable, Sendable {
  let subjectID: DataSubjectID
  let text: String
}
