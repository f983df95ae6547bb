import Domain
import JSON

/// Records as comma-separated values (RFC 4180).
enum RequestLogCSV {
  private static let columns = [
    "id", "organization_id", "project_id", "key_id", "occurred_at", "decision", "reason", "rule_id",
    "route", "provider", "model", "country", "region", "address", "tokens_requested", "tokens_in",
    "tokens_out", "cost_micro_usd", "status", "latency_ms", "configuration_position",
  ]

  /// The first line: the names of the columns, which are those of the members.
  static let header = columns.joined(separator: ",") + "\r\n"

  /// One record, as it is shown elsewhere.
  static func line(_ record: JSONObject) -> String {
    columns.map { field(record[$0]) }.joined(separator: ",") + "\r\n"
  }

  private static func field(_ value: JSONValue?) -> String {
    switch value {
    case .string(let text)?: quoted(text)
    case .integer(let number)?: String(number)
    case .bool(let flag)?: flag ? "true" : "false"
    case nil, .null?, .array?, .object?, .real?: ""
    }
  }

  private static func quoted(_ text: String) -> String {
    // Whoever asks for a model chooses what stands here; a spreadsheet must not take it for a formula.
    let isFormula =
      text.unicodeScalars.first.map { "=+-@\t\r".unicodeScalars.contains($0) } ?? false
    let text = isFormula ? "'\(text)" : text
    let needsQuotes = text.utf8.contains { ",\"\r\n".utf8.contains($0) }
    return needsQuotes ? "\"\(text.replacing("\"", with: "\"\""))\"" : text
  }
}
