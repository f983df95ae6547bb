import Domain
import FoundationEssentials
import Postgres

/// `data_subjects`: the keys under which the log's personal data is sealed, one a person. Destroying a key erases.
enum DataSubjectTable {
  static func find(emailHash: [UInt8]) -> Query {
    "SELECT \(fragment: columns) FROM data_subjects WHERE email_hash = \(emailHash)"
  }

  static func find(_ ids: [UUID]) -> Query {
    "SELECT \(fragment: columns) FROM data_subjects WHERE subject_id = ANY(\(ids))"
  }

  /// One that was made by somebody else in the same moment stays as it is.
  static func insert(
    _ id: DataSubjectID, emailHash: [UInt8], sealedKey: [UInt8], keyVersion: Int32
  ) -> Query {
    """
    INSERT INTO data_subjects (subject_id, email_hash, sealed_key, key_version) \
    VALUES (\(id.uuid), \(emailHash), \(sealedKey), \(keyVersion)) ON CONFLICT (email_hash) DO NOTHING
    """
  }

  /// Whoever proved to have the address.
  static func link(_ id: DataSubjectID, to userID: UserID) -> Query {
    "UPDATE data_subjects SET user_id = \(userID.uuid) WHERE subject_id = \(id.uuid)"
  }

  static func claim(emailHash: [UInt8], for userID: UserID) -> Query {
    """
    UPDATE data_subjects SET user_id = \(userID.uuid) \
    WHERE email_hash = \(emailHash) AND user_id IS NULL
    """
  }

  private static let columns = Query(
    unchecked: "subject_id, user_id, sealed_key, key_version")
}
