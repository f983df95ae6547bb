import Domain
import EventStore
import FoundationEssentials
import JSON

/// Follows one stream from its first event to its last: the chain, the heads that are known, the ledger.
struct StreamCheck {
  private let stream: UUID
  /// By version.
  private var known: [Int64: [UInt8]]
  private(set) var head = StreamHead.empty
  private(set) var findings: [Finding] = []
  /// What the ledger's lines add up to; nil when it cannot be said.
  private(set) var units: Int64? = 0

  init(_ stream: UUID, known: [KnownHead]) {
    self.stream = stream
    self.known = Dictionary(known.map { ($0.version, $0.hash) }) { first, _ in first }
  }

  mutating func take(_ event: RecordedEvent) {
    checkChain(event)
    if let hash = known.removeValue(forKey: event.version), hash != event.hash {
      findings.append(
        Finding(
          .heads, stream: stream, version: event.version, position: event.position,
          "another hash was known"))
    }
    // What follows is compared with what is stored, so that one defect is told once.
    head = StreamHead(version: event.version, hash: event.hash)
    if event.type.hasPrefix("credits.") { addLedger(event) }
  }

  private mutating func checkChain(_ event: RecordedEvent) {
    func find(_ reason: String, version: Int64? = nil) -> Finding {
      Finding(
        .chain, stream: stream, version: version ?? event.version,
        position: version == nil ? event.position : nil, reason)
    }
    do {
      switch try HashChain.defect(in: event, after: head) {
      case nil: break
      case .gap(_, let expected):
        findings.append(
          find(
            event.version > expected
              ? "missing, up to version \(event.version - 1)" : "out of order", version: expected))
      case .brokenLink: findings.append(find("does not follow from the event before it"))
      case .wrongHash: findings.append(find("was changed: its hash is another one"))
      }
    } catch {
      findings.append(find("was changed: its payload cannot be read"))
    }
  }

  private mutating func addLedger(_ event: RecordedEvent) {
    guard let payload = try? JSONValue.parse(event.payload), let sum = units else {
      units = nil
      return
    }
    guard payload["balance"] != nil else { return }
    guard let change = payload["units"]?.integer, let balance = payload["balance"]?.integer else {
      units = nil
      return
    }
    let after = sum +| change
    units = after
    if after != balance {
      findings.append(
        Finding(
          .ledger, stream: stream, version: event.version, position: event.position,
          "the balance that the event tells is not the sum of the ledger"))
    }
  }

  /// At the end of the stream.
  mutating func finish(balance: Int64?) {
    for version in known.keys.sorted() {
      findings.append(
        Finding(
          .heads, stream: stream, version: version,
          "missing: the stream ends at version \(head.version)"))
    }
    if let balance, let units, units != balance {
      findings.append(
        Finding(.ledger, stream: stream, "the balance is not the sum of the ledger"))
    }
  }
}
