import Domain
import FoundationEssentials
import JSON
import Postgres

/// The records of one body, read once: those that are fine stand as rows that the database takes, the others with what is
/// wrong with them.
struct RequestLogBatch: Sendable {
  /// A JSON array of records, or one on each line (NDJSON).
  enum Format {
    case array, lines
  }

  /// A record that is not taken.
  struct Refusal: Sendable {
    struct Error: Sendable {
      /// Into the record (RFC 6901).
      let pointer: String
      let code: String
      let detail: String
    }

    /// The record's place in the body, from 0.
    let index: Int
    let errors: [Error]
  }

  /// A row and whose it is.
  private struct Record: Sendable {
    let index: Int
    let project: UUID
    var isOwned: Bool
    let bytes: Range<Int>
  }

  static let mostRecords = 20_000

  private(set) var rows = CopyRows()
  private(set) var refused: [Refusal] = []
  /// The days that the rows are of, since the Unix epoch.
  private(set) var days: Set<Int64> = []
  private var records: [Record] = []

  /// How many rows there are.
  var count: Int { records.count { $0.isOwned } }

  /// Projects of which nobody knew whose they are.
  var unknownProjects: Set<UUID> { Set(records.lazy.filter { !$0.isOwned }.map(\.project)) }

  /// The projects that the rows are of.
  var projects: Set<UUID> { Set(records.lazy.filter(\.isOwned).map(\.project)) }

  /// Reads a body.
  ///
  /// - Parameters:
  ///   - owners: the organizations of projects, as far as they are known.
  ///   - times: within which records are taken.
  /// - Throws: `JSONSyntaxError` when it is no array; a ``Problem`` of 413 when there are too many records. A line that is
  ///   no JSON is refused alone.
  init(
    _ body: UnsafeRawBufferPointer, _ format: Format, owners: [UUID: UUID],
    times: ClosedRange<Timestamp>
  ) throws {
    var reader = RequestLogReader(times: times)
    switch format {
    case .array:
      var scanner = JSONScanner(body)
      try scanner.expect("[")
      var index = 0
      var isOver = scanner.take("]")
      while !isOver {
        guard index < Self.mostRecords else { throw Self.tooMany }
        try add(reader.record(&scanner, to: &rows, owners), at: index)
        index += 1
        isOver = scanner.take("]")
        if !isOver { try scanner.expect(",") }
      }
      guard scanner.isAtEnd else { throw scanner.failure(.trailingData) }
    case .lines:
      var index = 0
      var rest = body[...]
      while !rest.isEmpty {
        let line = rest.prefix { $0 != UInt8(ascii: "\n") }
        rest = rest[min(line.endIndex + 1, rest.endIndex)...]
        var scanner = JSONScanner(UnsafeRawBufferPointer(rebasing: line))
        if scanner.isAtEnd { continue }
        guard index < Self.mostRecords else { throw Self.tooMany }
        let start = rows.count
        do throws(JSONSyntaxError) {
          let outcome = try reader.record(&scanner, to: &rows, owners)
          guard scanner.isAtEnd else { throw scanner.failure(.trailingData) }
          try add(outcome, at: index)
        } catch {
          rows.removeAll(behind: start)
          let detail = "\(error.message), at character \(error.column) of the line"
          refused.append(
            Refusal(
              index: index,
              errors: [.init(pointer: "", code: "malformed-json", detail: detail)]))
        }
        index += 1
      }
    }
  }

  private static let tooMany = Problem(
    .bodyTooLarge, "a batch has at most \(mostRecords) records",
    members: ["limit": .integer(Int64(mostRecords))])

  private mutating func add(_ outcome: RequestLogReader.Outcome, at index: Int) {
    switch outcome {
    case .row(let project, let isOwned, let time, let bytes):
      records.append(Record(index: index, project: project, isOwned: isOwned, bytes: bytes))
      days.insert(time.days)
    case .refused(let errors):
      refused.append(Refusal(index: index, errors: errors))
    }
  }

  /// Learns whose the unknown projects are, and refuses the records of those that are nobody's.
  mutating func complete(_ owners: [UUID: UUID]) {
    for place in records.indices where !records[place].isOwned {
      let record = records[place]
      if let owner = owners[record.project] {
        rows.replaceFirstColumn(ofRowAt: record.bytes.lowerBound, with: owner)
        records[place].isOwned = true
      } else {
        refused.append(
          Refusal(
            index: record.index,
            errors: [
              .init(
                pointer: "/project_id", code: "unknown-project", detail: "there is no such project")
            ]))
      }
    }
    records.removeAll { !$0.isOwned }
    refused.sort { $0.index < $1.index }
  }

  /// What a copy of the rows sends.
  func chunks() -> () -> [UInt8]? {
    var ranges: [Range<Int>] = []
    for record in records where record.isOwned {
      if let last = ranges.last, last.upperBound == record.bytes.lowerBound {
        ranges[ranges.count - 1] = last.lowerBound..<record.bytes.upperBound
      } else {
        ranges.append(record.bytes)
      }
    }
    return rows.chunks(of: ranges)
  }
}
