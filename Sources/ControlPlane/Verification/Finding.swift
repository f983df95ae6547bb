package import Domain
import EventStore
package import FoundationEssentials
package import JSON

/// Something that does not hold, with its place. It repeats no value: what stands in rows may be secret or personal.
package struct Finding: Hashable, Sendable {
  /// The raw values are the command's output.
  package enum Check: String, Sendable, CaseIterable {
    /// An event is missing from a workspace's log, was changed, or does not follow from the one before it.
    case chain
    /// Positions have a gap, or do not end where the log's head says.
    case positions
    /// The log ends before a head that was kept outside, or says something else there.
    case heads
    /// The events have no meaning: the workspace cannot be folded.
    case fold
    /// A row is not what the events say.
    case tables
    /// A row of the audit is not what the events say.
    case audit
    /// A balance is not the sum of its ledger.
    case ledger
  }

  package let check: Check
  /// The workspace, the account or the platform whose log it is; nil when it is about all of them.
  package var stream: UUID?
  package var version: Int64?
  package var position: Int64?
  package var table: String?
  /// The row's primary key, as `column=value`, without the stream.
  package var key: String?
  package let reason: String

  package init(
    _ check: Check, stream: UUID? = nil, version: Int64? = nil, position: Int64? = nil,
    table: String? = nil, key: String? = nil, _ reason: String
  ) {
    self.check = check
    self.stream = stream
    self.version = version
    self.position = position
    self.table = table
    self.key = key
    self.reason = reason
  }

  /// One line for a person.
  package var line: String {
    var parts = [check.rawValue]
    if let stream { parts.append(OrganizationID(stream).description) }
    if let version { parts.append("version \(version)") }
    if let position { parts.append("position \(position)") }
    if let table { parts.append(table) }
    if let key { parts.append(key) }
    return parts.joined(separator: " ") + ": " + reason
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.set("check", check.rawValue)
    object.set("organization_id", stream.map { OrganizationID($0).description })
    object.set("version", version)
    object.set("position", position)
    object.set("table", table)
    object.set("key", key)
    object.set("reason", reason)
    return object
  }
}
