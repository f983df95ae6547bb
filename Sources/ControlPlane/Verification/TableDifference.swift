import Domain
import EventStore
import FoundationEssentials
import JSON

/// A row that is not what the events say: it stands on one side only, or on both with other values.
struct TableDifference {
  private let table: String
  private let key: [(column: String, value: String)]
  /// The row's stream, if the table has such a column.
  let stream: UUID?
  private let version: Int64?
  private let position: Int64?
  private var live: JSONObject?
  private var rebuilt: JSONObject?

  private init?(_ difference: Rebuild.Difference) {
    guard let row = try? JSONObject(parsing: Array(difference.row.utf8)) else { return nil }
    table = difference.table
    key = Rebuild.keys(of: table).map { ($0, Self.text(row[$0])) }
    stream =
      ["organization_id", "user_id"].lazy
      .compactMap { row[$0]?.string.flatMap { UUID(uuidString: $0) } }.first
    position = row["position"]?.integer
    version = position == nil ? nil : row["version"]?.integer
    switch difference.side {
    case .live: live = row
    case .rebuilt: rebuilt = row
    }
  }

  /// Both sides of a row become one difference.
  static func list(_ differences: [Rebuild.Difference]) -> [TableDifference] {
    var found: [TableDifference] = []
    var places: [String: Int] = [:]
    for difference in differences {
      guard let new = TableDifference(difference) else { continue }
      let name = "\(new.table) \(new.key.map(\.value))"
      if let place = places[name] {
        found[place].live = found[place].live ?? new.live
        found[place].rebuilt = found[place].rebuilt ?? new.rebuilt
      } else {
        places[name] = found.count
        found.append(new)
      }
    }
    return found
  }

  var finding: Finding {
    let names = key.filter { $0.column != "organization_id" && $0.column != "position" }
    let text = names.map { "\($0.column)=\($0.value)" }.joined(separator: " ")
    return Finding(
      table == AuditEventTable.table.name ? .audit : .tables, stream: stream, version: version,
      position: position, table: table, key: text.isEmpty ? nil : text, reason)
  }

  private var reason: String {
    switch (live, rebuilt) {
    case (nil, _): return "the row is missing"
    case (_, nil): return "the row is there, and no event says so"
    case (let live?, let rebuilt?):
      let (changed, _) = live.differences(from: rebuilt)
      let names = changed.names.sorted().joined(separator: ", ")
      return "differs from what the events say in \(names)"
    }
  }

  private static func text(_ value: JSONValue?) -> String {
    value?.string ?? value?.integer.map(String.init) ?? "?"
  }
}
