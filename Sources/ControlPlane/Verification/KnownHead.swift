package import Domain
import EventStore
package import FoundationEssentials
package import JSON

/// Where a stream's log ended at some time, kept outside the database. A person who can write to the database can cut a
/// log's tail and leave no gap, but cannot make it end where it is known to have ended.
package struct KnownHead: Hashable, Sendable {
  package let stream: UUID
  package let version: Int64
  package let hash: [UInt8]

  package struct Unreadable: Error, CustomStringConvertible {
    package let line: Int
    package var description: String {
      "line \(line) is no head: it must be an object of organization_id, version and hash"
    }
  }

  /// Reads one JSON object a line, as ``json`` writes them.
  ///
  /// - Throws: ``Unreadable``.
  package static func list(parsing text: [UInt8]) throws(Unreadable) -> [KnownHead] {
    var heads: [KnownHead] = []
    for (number, line) in text.split(separator: UInt8(ascii: "\n")).enumerated() {
      guard let value = try? JSONValue.parse(Array(line)),
        let id = value["organization_id"]?.string.flatMap({ OrganizationID($0) }),
        let version = value["version"]?.integer, version > 0,
        let hash = value["hash"]?.string.flatMap(Self.bytes)
      else { throw Unreadable(line: number + 1) }
      heads.append(KnownHead(stream: id.uuid, version: version, hash: hash))
    }
    return heads
  }

  package var json: JSONObject {
    let digits = Array("0123456789abcdef".utf8)
    let hex = hash.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    var object = JSONObject()
    object.set("organization_id", OrganizationID(stream).description)
    object.set("version", version)
    object.set("hash", String(decoding: hex, as: UTF8.self))
    return object
  }

  private static func bytes(_ hex: String) -> [UInt8]? {
    let digits = Array(hex.utf8)
    guard digits.count == 64 else { return nil }
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: 64, by: 2) {
      guard let high = Character(UnicodeScalar(digits[index])).hexDigitValue,
        let low = Character(UnicodeScalar(digits[index + 1])).hexDigitValue
      else { return nil }
      bytes.append(UInt8(high << 4 | low))
    }
    return bytes
  }
}
