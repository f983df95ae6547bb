import EventStore
import FoundationEssentials
import Postgres
import Testing

/// What must hold after every run, whatever happened during it.
struct Invariants {
  let run: FaultRun
  /// The replica that is asked over HTTP.
  let port: UInt16

  init(_ run: FaultRun, port: UInt16? = nil) {
    self.run = run
    self.port = port ?? run.server.port
  }

  func check() async throws {
    var events = try await log()
    checkLedger(events, isFinal: false)
    try await settle(events)
    events = try await log()
    checkLedger(events, isFinal: true)
    checkNothingIsRepeated(events)
    checkPlaces(events)
    let head = try await run.database.count(EventLog.head)
    #expect(head == Int64(events.count), run.hint)
    try checkChains(events)
    try await checkAudit()
    try await TableChecks(run: run, port: port).check(events)
    let violations = run.ledger.violations
    #expect(violations.isEmpty, run.hint)
    print("seed \(run.seed): \(run.ledger.summary), \(events.count) events")
  }

  /// A request that got no answer from a server that ended in good order was not begun.
  func checkNothingUnknownWasCarriedOut() async throws {
    let present = Set(try await log().compactMap(\.requestID))
    let dropped = run.ledger.entries.filter { $0.isUnknown && present.contains($0.operation.id) }
    #expect(dropped.isEmpty, run.hint)
  }

  /// The whole log, in the order of positions.
  func log() async throws -> [RecordedEvent] {
    try await run.database.rows(EventLog.events(after: 0, limit: .max)).map {
      try RecordedEvent($0)
    }
  }

  // MARK: The ledger

  /// Acknowledged: once. Refused, or never carried out: not at all. Unknown: at most once, and at the end only what was
  /// sent without a key is.
  func checkLedger(_ events: [RecordedEvent], isFinal: Bool) {
    let attempts = Dictionary(grouping: events) { $0.requestID ?? "" }
      .mapValues { Set($0.map(\.causationID)).count }
    var wrong: [String] = []
    for entry in run.ledger.entries {
      let effects = attempts[entry.operation.id] ?? 0
      let allowed: ClosedRange<Int>
      if let reply = entry.acknowledgement {
        // What changed nothing has no position.
        allowed = reply.headers["signalbox-position"] == nil ? 0...0 : 1...1
      } else if entry.isUnknown {
        allowed = 0...1
      } else {
        allowed = 0...0
      }
      if !allowed.contains(effects) || (isFinal && !entry.isSettled && !entry.isLost) {
        wrong.append("\(entry.operation.id): \(effects) effects, \(entry.answers)")
      }
    }
    #expect(wrong.isEmpty, run.hint)
  }

  /// A batch whose outcome the server did not look up would be in the log twice, with the same causes.
  func checkNothingIsRepeated(_ events: [RecordedEvent]) {
    let sent = Set(run.ledger.entries.map(\.operation.id))
    let repeated = Dictionary(grouping: events.filter { sent.contains($0.requestID ?? "") }) {
      "\($0.causationID) \($0.organizationID) \($0.type)"
    }.filter { $0.value.count > 1 }
    #expect(repeated.isEmpty, run.hint)
  }

  /// Sends everything again that nobody knows the outcome of, and some of what was acknowledged.
  private func settle(_ events: [RecordedEvent]) async throws {
    let present = Set(events.compactMap(\.requestID))
    let (run, port) = (run, port)
    let entries = run.ledger.entries
    let known = entries.filter { $0.acknowledgement != nil && $0.operation.hasKey }.suffix(50)
    await onThread {
      var client = Client(ports: [port], ledger: run.ledger)
      for entry in entries where !entry.isSettled && !entry.isLost {
        let wasCarriedOut = present.contains(entry.operation.id)
        guard case .acknowledged(let reply) = client.attempt(entry.operation) else {
          if wasCarriedOut { run.ledger.violation("\(entry.operation.id) is lost to its caller") }
          continue
        }
        // Without a key, the last word was that nothing had happened.
        if wasCarriedOut, reply.headers["idempotency-replayed"] == nil {
          run.ledger.violation("\(entry.operation.id) was carried out and not replayed")
        }
      }
      for entry in known {
        guard case .acknowledged(let reply) = client.attempt(entry.operation),
          reply.body == entry.acknowledgement?.body, reply.headers["idempotency-replayed"] != nil
        else {
          run.ledger.violation("\(entry.operation.id): the retry has not got the first result")
          continue
        }
      }
    }
  }

  // MARK: The log

  /// Positions have no gaps; nor have versions, or the chains would not verify.
  func checkPlaces(_ events: [RecordedEvent]) {
    #expect(events.map(\.position) == Array(1...Int64(max(events.count, 1))), run.hint)
  }

  func checkChains(_ events: [RecordedEvent]) throws {
    for (id, stream) in Dictionary(grouping: events, by: \.organizationID) {
      var head = StreamHead.empty
      for event in stream {
        let defect = try HashChain.defect(in: event, after: head)
        #expect(defect == nil, "\(run.hint) \(id)")
        head = StreamHead(version: event.version, hash: event.hash)
      }
    }
  }

  func checkAudit() async throws {
    let differences = try await run.database.count(
      """
      SELECT count(*) FROM events FULL JOIN workspace_audit_events AS audit \
      USING (organization_id, position) WHERE events.event_id IS DISTINCT FROM audit.event_id \
      OR events.version <> audit.version OR events.type <> audit.action \
      OR events.request_id IS DISTINCT FROM audit.request_id
      """)
    #expect(differences == 0, run.hint)
  }
}
