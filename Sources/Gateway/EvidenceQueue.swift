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
    state.withLock { $0.underway = [] }
    counters.count(\.evidenceDelivered, by: batch.count - refused.count)
    guard !refused.isEmpty else { return }
    counters.count(\.evidenceRefused, by: refused.count)
    logger.error(
      "Evidence is refused by the control plane", metadata: ["records": "\(refused.count)"])
  }

  private func split(_ batch: [RequestRecord], status: UInt) {
    let half = batch.count / 2
    state.withLock { state in
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
