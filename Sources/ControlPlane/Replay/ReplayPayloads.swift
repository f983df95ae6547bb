import Domain
import FoundationEssentials
import JSON
import NIOCore

/// The body of `POST …/rules:replay`: a project's rules as they might be, and the time to look at.
struct ReplayPayload {
  let rules: [RuleDraft]
  let from: Timestamp
  let to: Timestamp
  /// How many differences are shown.
  let samples: Int

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    rules = RuleDraft.set(reader)
    let from = reader.time("from")
    let to = reader.time("to")
    let samples = reader.optionalInteger("samples", 0...1000)
    if let from, let to, from >= to { reader.refuse("to", "range", "must be later than from") }
    try reader.finish()
    guard let from, let to else { throw Problem(.invalidRequest) }
    self.from = from
    self.to = to
    self.samples = samples.map { Int($0) } ?? 20
  }
}

/// The draft's rules among those of the workspace: their ids say which of the draft they are.
struct DraftRules {
  let rules: [RuleID: Rule]

  /// The last rules in the order of ids, as new ones would be, and ids that nobody has.
  private static let first = UInt64.max - UInt64(RuleDraft.most)

  /// - Parameter workspace: the rules of the whole workspace, which stay as they are.
  init(
    _ draft: [RuleDraft], in project: ProjectID, besides workspace: [RuleRow], at time: Timestamp
  ) {
    var rules = Dictionary(uniqueKeysWithValues: workspace.map { ($0.id, $0.rule) })
    for (index, fields) in draft.enumerated() {
      rules[Self.id(index)] = Rule(
        projectID: project, match: fields.match, effect: fields.effect, note: fields.note,
        expiresAt: fields.expiresAt, createdBy: .system, createdAt: time, updatedAt: time)
    }
    self.rules = rules
  }

  /// The place in the draft of a rule that is one of it.
  static func index(of id: RuleID) -> Int? {
    let bytes = id.uuid.place
    let number = bytes.suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard bytes.prefix(8).allSatisfy({ $0 == 0xFF }), number >= first else { return nil }
    return Int(number - first)
  }

  private static func id(_ index: Int) -> RuleID {
    let number = first + UInt64(index)
    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * UInt64($0))) }
    return RuleID(UUID(leading: [UInt8](repeating: 0xFF, count: 8) + bytes))
  }
}

extension Replay {
  /// A line that says how far it is.
  func progress(until time: Timestamp) -> JSONObject {
    var progress = JSONObject()
    progress.set("total", Int64(total))
    progress.set("until", time.rfc3339)
    var line = JSONObject()
    line.set("progress", progress)
    return line
  }

  /// The last line.
  ///
  /// - Parameter until: the time of the last record that was looked at, when a limit has ended the replay before its end.
  func result(from: Timestamp, to: Timestamp, until: Timestamp?) -> JSONObject {
    var reasons = JSONArray()
    for reason in RequestLog.Reason.allCases {
      guard let changes = byReason[reason] else { continue }
      var object = JSONObject()
      object.set("reason", reason.rawValue)
      object.set("would_be_blocked", Int64(changes.wouldBeBlocked))
      object.set("would_be_allowed", Int64(changes.wouldBeAllowed))
      reasons.append(object)
    }
    var samples = JSONArray()
    for difference in self.samples { samples.append(difference.json) }
    var result = JSONObject()
    result.set("from", from.rfc3339)
    result.set("to", to.rfc3339)
    result.set("complete", until == nil)
    result.set("until", (until ?? to).rfc3339)
    result.set("total", Int64(total))
    result.set("same", Int64(same))
    result.set("other_reason", Int64(otherReason))
    result.set("would_be_blocked", Int64(changes.wouldBeBlocked))
    result.set("would_be_allowed", Int64(changes.wouldBeAllowed))
    result.set("by_reason", reasons)
    result.set("samples", samples)
    var line = JSONObject()
    line.set("result", result)
    return line
  }
}

extension Replay.Difference {
  fileprivate var json: JSONObject {
    let index = rule.flatMap { DraftRules.index(of: $0) }
    var object = JSONObject()
    object.set("log_id", log.description)
    object.set("before", before.json)
    object.set("after", after.json)
    // The workspace's own rule, or else the draft's.
    object.set("rule_id", index == nil ? rule?.description : nil)
    object.set("rule_index", index.map { Int64($0) })
    return object
  }
}

extension Replay.Verdict {
  fileprivate var json: JSONObject {
    var object = JSONObject()
    object.set("decision", decision.rawValue)
    object.set("reason", reason?.rawValue)
    return object
  }
}
