/// How a gateway reaches its control plane, and who it is.
public struct GatewayConfiguration: Sendable {
  /// The base URLs of the control plane's replicas, such as `https://signalbox.example.com`; one where a load balancer stands
  /// before them. The first is asked until it fails, then the next.
  public var controlPlanes: [String]
  /// The gateway token (`sbg_…`).
  public var token: String
  /// What this instance is called where propagation is shown: 1 to 100 characters, one name for each instance.
  public var name: String
  /// The secret under which API keys are hashed: 32 bytes, given with a new gateway token as `api_key_pepper` (base64url).
  public var apiKeyPepper: [UInt8]
  /// Where the last good configuration is kept, so that the gateway starts without the control plane; nil keeps none. The
  /// file holds hashes of keys and sealed keys: only its owner may read it.
  public var snapshotPath: String?
  /// The key-encryption keys that open provider keys: `1:<key>,2:<key>`, each a version and 32 bytes in base64url (see
  /// `ops/sealed-provider-keys.md`). Nil when this gateway opens none.
  public var keyEncryptionKeys: String?
  /// How many records of evidence wait at most while they cannot be delivered; then the oldest ones are dropped.
  public var evidenceCapacity: Int
  package var timing = Timing()

  /// What is wrong with it is said by ``GatewayClient/init(_:logger:)``.
  public init(
    controlPlanes: [String], token: String, name: String, apiKeyPepper: [UInt8],
    snapshotPath: String? = nil, keyEncryptionKeys: String? = nil,
    evidenceCapacity: Int = 100_000
  ) {
    self.controlPlanes = controlPlanes
    self.token = token
    self.name = name
    self.apiKeyPepper = apiKeyPepper
    self.snapshotPath = snapshotPath
    self.keyEncryptionKeys = keyEncryptionKeys
    self.evidenceCapacity = evidenceCapacity
  }

  /// What is wrong with a configuration; names the field, and repeats no secret.
  public struct Invalid: Error, Equatable, Sendable, CustomStringConvertible {
    /// The field, and what it must be.
    public let description: String
  }

  func validate() throws(Invalid) {
    guard !controlPlanes.isEmpty,
      controlPlanes.allSatisfy({ $0.hasPrefix("https://") || $0.hasPrefix("http://") })
    else {
      throw Invalid(
        description: "controlPlanes must be URLs that begin with https:// (or http://)")
    }
    guard token.hasPrefix("sbg_") else {
      throw Invalid(description: "token must be a gateway token, which begins with sbg_")
    }
    guard 1...100 ~= name.count else {
      throw Invalid(description: "name must have from 1 to 100 characters")
    }
    guard apiKeyPepper.count == 32 else {
      throw Invalid(description: "apiKeyPepper must have 32 bytes")
    }
    guard evidenceCapacity > 0 else {
      throw Invalid(description: "evidenceCapacity must be above zero")
    }
  }
}

/// All that a gateway waits for. Tests wait less.
package struct Timing: Sendable {
  package var connect = Duration.seconds(5)
  /// For the head of a reply.
  package var reply = Duration.seconds(30)
  /// A connection on which nothing arrives for so long is dead: heartbeats come every 15 s.
  package var silence = Duration.seconds(40)
  package var backoff = Backoff()
  /// Between two acknowledgements.
  package var acknowledgement = Duration.milliseconds(250)
  /// Between two batches of evidence that are not full.
  package var evidence = Duration.seconds(1)
  /// Records in one batch.
  package var evidenceBatch = 1000
  /// Between two times that the configuration is saved.
  package var save = Duration.seconds(30)
  /// For what is left to do at the end.
  package var shutdown = Duration.seconds(5)

  package init() {}
}
