import Domain
import JSON
import Logging
import Synchronization

/// Records of evidence on their way to the control plane. What was not confirmed is sent again: the control plane knows by
/// its id what it has already.
final class EvidenceQueue: Sendable {
  private struct State {
    /// In the order in which they came; those before `first` have left.
    var waiting: [RequestRecord] = []
    var first = 0
    /// Sent, but not confirmed.
    var underway: [RequestRecord] = []
    /// How often in a row the control plane answered what is underway with 500.
    var errors = 0
    /// How many records were confirmed so far.
    var confirmed = 0
    /// Records that the control plane answered with 500 by themselves, with the number that was confirmed before.
    var suspects: [String: Int] = [:]

    var count: Int { waiting.count - first }

    mutating func take(_ most: Int) -> ArraySlice<RequestRecord> {
      let batch = waiting[first..<min(first + most, waiting.count)]
      first = batch.endIndex
      if first > waiting.count / 2 {
        let rest = Array(waiting[first...])
        defer { (waiting, first) = (rest, 0) }
        return ArraySlice(Array(batch))
      }
      return batch
    }
  }

  private enum Outcome {
    case nothing, delivered, failed
  }

  /// After so many answers of 500 in a row the records of a batch go separate ways.
  private static let mostErrors = 3
  private static let mostSuspects = 1000

  private let capacity: Int
  private let batchSize: Int
  private let counters: Counters
  private let logger: Logger
  private let state = Mutex(State())

  init(capacity: Int, batchSize: Int, counters: Counters, logger: Logger) {
    self.capacity = capacity
    self.batchSize = batchSize
    self.counters = counters
    self.logger = logger
  }

  /// Never waits. When too many records wait, the oldest one is dropped, and counted.
  func add(_ record: RequestRecord) {
    let dropped = state.withLock { state in
      state.waiting.append(record)
      guard state.count + state.underway.count > capacity else { return 0 }
      return state.take(1).count
    }
    counters.count(\.evidenceRecorded)
    if dropped > 0 { counters.count(\.evidenceDropped, by: dropped) }
  }

  /// Delivers what there is, again and again, until its task is cancelled.
  func run(_ client: ControlPlaneClient, _ timing: Timing) async {
    var failures = 0
    while !Task.isCancelled {
      let pause =
        failures == 0
        ? timing.evidence
        : timing.backoff.delay(afterFailures: failures, atLeast: timing.evidence)
      try? await Task.sleep(for: pause)
      failures = await deliverAll(client) ? 0 : failures + 1
    }
  }

  /// - Returns: whether nothing is left.
  func deliverAll(_ client: ControlPlaneClient) async -> Bool {
    while true {
      if Task.isCancelled { return false }
      switch await deliver(client) {
      case .nothing: return true
      case .delivered: continue
      case .failed: return false
      }
    }
  }

  private func deliver(_ client: ControlPlaneClient) async -> Outcome {
    let batch = state.withLock { state in
      if state.underway.isEmpty { state.underway = Array(state.take(batchSize)) }
      return state.underway
    }
    guard !batch.isEmpty else { return .nothing }
    var body = JSONArray()
    for record in batch { body.append(record.json) }
    do {
      let reply = try await client.sendEvidence(body.bytes())
      switch reply.status {
      case 200..<300:
        confirm(batch, reply.body)
        return .delivered
      case 400, 413, 422:
        // Something in it, or its size: what is in order shall not wait for it, nor be lost with it.
        split(batch, status: reply.status)
        return .delivered
      default:
        if reply.status == 500 { separate(batch) } else { state.withLock { $0.errors = 0 } }
        throw ControlPlaneClient.Failure(
          description: "request-logs: \(reply.status)", status: reply.status)
      }
    } catch {
      if !Task.isCancelled {
        counters.count(\.evidenceFailures)
        logger.warning(
          "Evidence is not delivered, and waits",
          metadata: ["error": "\(error)", "records": "\(batch.count)"])
      }
      return .failed
    }
  }

  private func confirm(_ batch: [RequestRecord], _ reply: [UInt8]) {
    let refused = (try? JSONValue.parse(reply))?["refused"]?.array ?? []
    state.withLock { state in
      state.underway = []
      state.errors = 0
      state.confirmed +|= batch.count
      for record in batch { state.suspects[record.id] = nil }
    }
    counters.count(\.evidenceDelivered, by: batch.count - refused.count)
    guard !refused.isEmpty else { return }
    counters.count(\.evidenceRefused, by: refused.count)
    logger.error(
      "Evidence is refused by the control plane", metadata: ["records": "\(refused.count)"])
  }

  /// An error of the control plane's own may be about one record, and then it comes again with every attempt. Its
  /// neighbours shall not share its fate. By itself it goes to the end of the queue, and is given up when the control plane
  /// has taken others meanwhile: then the control plane works, and the record is what is wrong.
  private func separate(_ batch: [RequestRecord]) {
    let isHopeless = state.withLock { state in
      state.errors += 1
      guard state.errors >= Self.mostErrors else { return false }
      state.errors = 0
      guard batch.count == 1 else { return true }
      let record = batch[0]
      if let confirmed = state.suspects[record.id], state.confirmed > confirmed {
        state.suspects[record.id] = nil
        return true
      }
      if state.suspects.count >= Self.mostSuspects { state.suspects = [:] }
      state.suspects[record.id] = state.suspects[record.id] ?? state.confirmed
      state.waiting.append(record)
      state.underway = []
      return false
    }
    if isHopeless { split(batch, status: 500) }
  }

  /// Halves a batch that is not taken; one record by itself is given up.
  private func split(_ batch: [RequestRecord], status: UInt) {
    let half = batch.count / 2
    state.withLock { state in
      state.errors = 0
      state.underway = Array(batch[..<half])
      guard half > 0 else { return }
      state.waiting.replaceSubrange(..<state.first, with: batch[half...])
      state.first = 0
    }
    guard half == 0 else { return }
    counters.count(\.evidenceRefused)
    logger.error(
      "A record of evidence is refused by the control plane", metadata: ["status": "\(status)"])
  }
}
