import Domain
import FoundationEssentials
import Glibc
import JSON
import Postgres

/// Reads records and writes each as a row, without anything in between: a batch is as fast to read as its bytes are many.
struct RequestLogReader {
  enum Outcome {
    /// Where the row is, and whose project it names; when that is not known, the row's organization is nobody's yet.
    case row(project: UUID, isOwned: Bool, time: Timestamp, bytes: Range<Int>)
    case refused([RequestLogBatch.Refusal.Error])
  }

  private enum Field: Int, CaseIterable {
    case id, occurredAt, projectID, keyID, decision, reason, ruleID, route, provider, model
    case country, region, address, tokensRequested, tokensIn, tokensOut, costMicroUSD, status
    case latency, configurationPosition
  }

  /// In the order of ``Field``.
  private static let names: [StaticString] = [
    "id", "occurred_at", "project_id", "key_id", "decision", "reason", "rule_id", "route",
    "provider", "model", "country", "region", "address", "tokens_requested", "tokens_in",
    "tokens_out", "cost_micro_usd", "status", "latency_ms", "configuration_position",
  ]
  private static let mostErrors = 10
  private static let nobody = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

  private let times: ClosedRange<Timestamp>
  private var values = [JSONScanner.Value?](repeating: nil, count: Field.allCases.count)
  private var errors: [RequestLogBatch.Refusal.Error] = []

  init(times: ClosedRange<Timestamp>) {
    self.times = times
  }

  /// Reads one record.
  ///
  /// - Throws: `JSONSyntaxError`.
  mutating func record(
    _ scanner: inout JSONScanner, to rows: inout CopyRows, _ owners: [UUID: UUID]
  ) throws(JSONSyntaxError) -> Outcome {
    errors = []
    guard scanner.take("{") else {
      _ = try scanner.value()
      refuse(pointer: "", "type", "must be an object")
      return .refused(errors)
    }
    try members(&scanner)
    let start = rows.count
    if let (project, isOwned, time) = write(to: &rows, owners), errors.isEmpty {
      return .row(project: project, isOwned: isOwned, time: time, bytes: start..<rows.count)
    }
    rows.removeAll(behind: start)
    return .refused(errors)
  }

  // MARK: Reading

  private mutating func members(_ scanner: inout JSONScanner) throws(JSONSyntaxError) {
    for place in values.indices { values[place] = nil }
    var (isFirst, expected) = (true, 0)
    while let name = try scanner.nextName(isFirst: isFirst) {
      isFirst = false
      let value = try scanner.value()
      guard let place = Self.place(of: name, from: expected) else {
        refuse(named: name.text ?? "", "unknown", "is not a member of this object")
        continue
      }
      if values[place] != nil { refuse(place, "duplicate", "occurs more than once") }
      values[place] = value
      expected = place + 1
    }
  }

  /// Gateways write members in always the same order: the next one is nearly always the one behind the last.
  private static func place(of name: JSONScanner.Value, from expected: Int) -> Int? {
    guard case .text(let name) = name, let bytes = name.baseAddress else { return nil }
    for step in 0..<names.count {
      let place = (expected + step) % names.count
      if names[place].utf8CodeUnitCount == name.count,
        memcmp(names[place].utf8Start, bytes, name.count) == 0
      {
        return place
      }
    }
    return nil
  }

  // MARK: Writing

  /// Every column in the order of ``RequestLogTable``; nil when the row cannot be placed.
  private mutating func write(
    to rows: inout CopyRows, _ owners: [UUID: UUID]
  ) -> (project: UUID, isOwned: Bool, time: Timestamp)? {
    let log: RequestLogID? = id(.id, isRequired: true)
    let time = time(of: log)
    let project: ProjectID? = id(.projectID, isRequired: true)
    let owner = project.flatMap { owners[$0.uuid] }
    rows.beginRow(columns: RequestLogTable.columns.count)
    rows.append(owner ?? Self.nobody)
    rows.append(TimestampTZ(time ?? times.lowerBound))
    rows.append(log?.uuid ?? Self.nobody)
    rows.append(project?.uuid ?? Self.nobody)
    let key: APIKeyID? = id(.keyID)
    rows.append(key?.uuid)
    let decision: RequestLog.Decision? = choice(.decision, isRequired: true)
    let reason: RequestLog.Reason? = choice(.reason, isRequired: decision == .block)
    rows.append(text: decision?.rawValue)
    rows.append(text: reason?.rawValue)
    let rule: RuleID? = id(.ruleID)
    rows.append(rule?.uuid)
    text(.route, EvidenceText.longestRoute, to: &rows)
    provider(to: &rows)
    text(.model, EvidenceText.longestModel, isRequired: true, to: &rows)
    let country = country()
    rows.append(text: country?.description)
    rows.append(text: region(of: country).rawValue)
    if let address = address() {
      rows.append(address: address.bits, isIPv4: address.isIPv4)
    } else {
      rows.appendNull()
    }
    for field in [Field.tokensRequested, .tokensIn, .tokensOut] {
      rows.append(integer(field, EvidenceBounds.tokens))
    }
    rows.append(integer(.costMicroUSD, EvidenceBounds.costMicroUSD))
    rows.append(integer(.status, EvidenceBounds.status).map { Int32(clamping: $0) })
    rows.append(integer(.latency, EvidenceBounds.latencyMilliseconds))
    rows.append(
      integer(.configurationPosition, 0...QueryReader.largestInteger, isRequired: true) ?? 0)
    guard let project, let time else { return nil }
    return (project.uuid, owner != nil, time)
  }

  // MARK: Values

  /// The id's own time, with which the record's has to agree.
  private mutating func time(of log: RequestLogID?) -> Timestamp? {
    guard let text = string(.occurredAt, isRequired: true) else { return nil }
    let place = Field.occurredAt.rawValue
    guard let time = Timestamp(rfc3339: text) else {
      refuse(place, "time", TimeRules.explanation)
      return nil
    }
    guard let log else { return nil }
    guard log.hasTime else {
      refuse(Field.id.rawValue, "format", "must hold a UUID of version 7")
      return nil
    }
    guard time >= .epoch, time.microseconds / 1000 == log.time.microseconds / 1000 else {
      refuse(place, "mismatch", "must be the time in the id, to the millisecond")
      return nil
    }
    guard times.contains(log.time) else {
      let isPast = log.time < times.lowerBound
      refuse(
        place, isPast ? "too-old" : "future",
        isPast ? "is longer ago than any plan keeps evidence" : "is yet to come")
      return nil
    }
    return log.time
  }

  private mutating func id<Entity: Identified>(
    _ field: Field, isRequired: Bool = false
  ) -> TypeID<Entity>? {
    guard let text = string(field, isRequired: isRequired) else { return nil }
    if let id = TypeID<Entity>(text) { return id }
    refuse(field.rawValue, "format", "must be an id that starts with \(Entity.idPrefix)_")
    return nil
  }

  private mutating func choice<Choice: CaseIterable & RawRepresentable<String>>(
    _ field: Field, isRequired: Bool = false
  ) -> Choice? {
    guard let text = string(field, isRequired: isRequired) else { return nil }
    if let choice = Choice(rawValue: text) { return choice }
    let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    refuse(field.rawValue, "choice", "must be one of: \(choices)")
    return nil
  }

  /// A client can seem to come from anywhere, or nowhere: a code that names no country is kept as an unknown country. A record
  /// that was refused for it would not be counted.
  private mutating func country() -> Country? {
    string(.country).flatMap { Country(observed: $0) }
  }

  /// The region that the gateway names, or else the country's.
  private mutating func region(of country: Country?) -> Region {
    string(.region).flatMap { Region(rawValue: $0) } ?? Region(of: country)
  }

  /// Kept in small letters, as rules name providers; nearly always it is written so, and copied as it is.
  private mutating func provider(to rows: inout CopyRows) {
    let isLowercase = { (byte: UInt8) in 0x20..<0x7F ~= byte && byte == byte.asciiLowercased }
    if case .text(let text) = values[Field.provider.rawValue],
      1...EvidenceText.longestProvider ~= text.count, text.allSatisfy(isLowercase)
    {
      return rows.append(text: text)
    }
    guard let text = string(.provider, isRequired: true) else { return rows.appendNull() }
    rows.append(
      text: EvidenceText.kept(text, longest: EvidenceText.longestProvider).asciiLowercased)
  }

  private mutating func address() -> IPAddress? {
    guard let text = string(.address) else { return nil }
    if let address = IPAddress(text) { return address }
    refuse(Field.address.rawValue, "format", "must be an IPv4 or IPv6 address")
    return nil
  }

  private mutating func integer(
    _ field: Field, _ range: ClosedRange<Int64>, isRequired: Bool = false
  ) -> Int64? {
    let number: Int64?
    switch values[field.rawValue] {
    case .integer(let value): number = value
    // JSON has only numbers: 2.0 is one of these.
    case .real(let value): number = Int64(exactly: value)
    case nil, .null:
      if isRequired { refuse(field.rawValue, "required", "is required") }
      return nil
    case .text, .string, .other: number = nil
    }
    if let number, range.contains(number) { return number }
    refuse(
      field.rawValue, "range",
      "must be an integer from \(range.lowerBound) to \(range.upperBound)")
    return nil
  }

  private mutating func string(_ field: Field, isRequired: Bool = false) -> String? {
    switch values[field.rawValue] {
    case .text(let text): return String(decoding: text, as: UTF8.self)
    case .string(let text): return text
    case nil, .null:
      if isRequired { refuse(field.rawValue, "required", "is required") }
    case .integer, .real, .other: refuse(field.rawValue, "type", "must be a string")
    }
    return nil
  }

  /// A text that a client may have chosen, and so is kept whatever it is; nearly always it is plain ASCII, and copied as
  /// it is.
  private mutating func text(
    _ field: Field, _ longest: Int, isRequired: Bool = false, to rows: inout CopyRows
  ) {
    if case .text(let text) = values[field.rawValue], 1...longest ~= text.count,
      text.allSatisfy({ 0x20..<0x7F ~= $0 })
    {
      return rows.append(text: text)
    }
    guard let text = string(field, isRequired: isRequired) else { return rows.appendNull() }
    rows.append(text: EvidenceText.kept(text, longest: longest))
  }

  private mutating func refuse(_ place: Int, _ code: String, _ detail: String) {
    refuse(named: "\(Self.names[place])", code, detail)
  }

  /// A name that the gateway has made up may be as long as the body; what it begins with says which one is meant. It is cut
  /// before it is escaped: half an escape would be no pointer.
  private mutating func refuse(named name: String, _ code: String, _ detail: String) {
    let beginning = String(String.UnicodeScalarView(name.unicodeScalars.prefix(64)))
    refuse(pointer: "/\(beginning.asPointerToken)", code, detail)
  }

  private mutating func refuse(pointer: String, _ code: String, _ detail: String) {
    guard errors.count < Self.mostErrors else { return }
    errors.append(.init(pointer: pointer, code: code, detail: detail))
  }
}

extension JSONScanner.Value {
  /// A string's text.
  fileprivate var text: String? {
    switch self {
    case .text(let text): String(decoding: text, as: UTF8.self)
    case .string(let text): text
    case .integer, .real, .null, .other: nil
    }
  }
}
