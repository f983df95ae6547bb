import ConfigurationFeed
import Cryptography
import Domain
import JSON

/// What a server keeps on disk to serve gateways from when it starts while its database is away: the document, and what
/// it recognises gateways by. ops/configuration-feed.md has the format.
struct SavedConfiguration: Sendable {
  /// Why a file is not used.
  enum Refusal: Error, Equatable, CustomStringConvertible {
    /// Cut short, or not as it was written.
    case damaged
    case unknownFormat
    /// It is of this one.
    case otherDatabase(String)
    /// Nobody could be recognised.
    case otherPepper
    case unreadable(String)

    var description: String {
      switch self {
      case .damaged: "its checksum is wrong: it is damaged or cut short"
      case .unknownFormat: "it has a format that this version does not know"
      case .otherDatabase(let name): "it is of another database: \(name)"
      case .otherPepper: "it was saved under another SIGNALBOX_TOKEN_PEPPER, or under none"
      case .unreadable(let reason): "it cannot be read: \(reason)"
      }
    }
  }

  private static let format: Int64 = 1
  private static let newline = [UInt8(ascii: "\n")]
  /// Of the last line.
  private static let checksumLength = 65

  /// Names the database that it is of.
  let database: String
  let savedAt: Timestamp
  let key: KnownGateways.Key
  let gateways: Set<KnownGateways.Gateway>
  let document: ConfigurationDocument

  // MARK: Writing

  /// All bytes of the file, in parts: a line about the document, the document, and a line with the SHA-256 of both.
  var chunks: some Sequence<[UInt8]> {
    let parts = [header.bytes() + Self.newline] + document.parts.map(\.bytes) + [Self.newline]
    let checksum = SHA256.hash(of: parts).hexString
    return parts + [Array("\(checksum)\n".utf8)]
  }

  private var header: JSONObject {
    var list = JSONArray()
    for gateway in gateways.sorted(by: { $0.id.uuid < $1.id.uuid }) {
      var object = JSONObject()
      object.set("id", gateway.id.description)
      object.set("hash", Base64URL.encode(gateway.hash))
      if let until = gateway.until { object.set("until", until.rfc3339) }
      list.append(object)
    }
    var object = JSONObject()
    object.set("format", Self.format)
    object.set("database", database)
    object.set("saved_at", savedAt.rfc3339)
    switch key {
    case .own(let bytes): object.set("key", Base64URL.encode(bytes))
    case .pepper(let pepper): object.set("pepper_check", Self.check(of: pepper))
    }
    object.set("gateways", list)
    return object
  }

  /// Tells whether two peppers are the same, without telling the pepper.
  private static func check(of pepper: [UInt8]) -> String {
    Base64URL.encode(TokenHasher(pepper: pepper).derivedKey(for: "saved-configuration"))
  }
}

// MARK: Reading

extension SavedConfiguration {
  /// Reads a file that was written for this database.
  ///
  /// - Parameter pepper: the one that this server is given from outside.
  /// - Throws: ``Refusal``.
  init(_ bytes: [UInt8], of database: String, pepper: [UInt8]?) throws(Refusal) {
    guard let headEnd = bytes.firstIndex(of: UInt8(ascii: "\n")),
      headEnd < bytes.count - Self.checksumLength
    else { throw .damaged }
    let checksum = bytes.suffix(Self.checksumLength)
    let sum = bytes.withUnsafeBytes {
      SHA256.hash(UnsafeRawBufferPointer(rebasing: $0.dropLast(Self.checksumLength)))
    }
    guard checksum.elementsEqual("\(sum.hexString)\n".utf8) else { throw .damaged }
    guard let head = try? JSONValue.parse(Array(bytes[..<headEnd])),
      head["format"] == .integer(Self.format), let named = head["database"]?.string,
      let savedAt = head["saved_at"]?.string.flatMap(Timestamp.init(rfc3339:)),
      let list = head["gateways"]?.array
    else { throw .unknownFormat }
    guard named == database else { throw .otherDatabase(named) }
    self.database = database
    self.savedAt = savedAt
    switch (pepper, head["key"]?.string.flatMap(Base64URL.decode), head["pepper_check"]?.string) {
    case (nil, let own?, nil) where own.count >= 32: key = .own(own)
    case (let pepper?, nil, let check?) where check == Self.check(of: pepper):
      key = .pepper(pepper)
    default: throw .otherPepper
    }
    var gateways: Set<KnownGateways.Gateway> = []
    for entry in list {
      guard let gateway = KnownGateways.Gateway(entry) else { throw .unknownFormat }
      gateways.insert(gateway)
    }
    self.gateways = gateways
    do throws(ConfigurationError) {
      let end = bytes.count - Self.checksumLength
      document = try ConfigurationDocument(parsing: Array(bytes[(headEnd + 1)..<end]))
    } catch {
      throw .unreadable("\(error)")
    }
  }
}

extension KnownGateways.Gateway {
  fileprivate init?(_ entry: JSONValue) {
    guard let id = entry["id"]?.string.flatMap(GatewayTokenID.init),
      let hash = entry["hash"]?.string.flatMap(Base64URL.decode)
    else { return nil }
    let end = entry["until"]?.string
    let until = end.flatMap(Timestamp.init(rfc3339:))
    guard end == nil || until != nil else { return nil }
    self.init(id: id, hash: hash, until: until)
  }
}
