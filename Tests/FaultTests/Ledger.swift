import Synchronization

/// What every client was told about every operation, and what nobody should have been told.
final class Ledger: Sendable {
  /// What one attempt ended with.
  enum Answer: Sendable, CustomStringConvertible {
    case acknowledged(HTTPConnection.Response)
    case refused(status: Int, code: String)
    /// 503 that promises: not carried out, and never will be.
    case unavailable
    /// Carried out or not: nobody has said.
    case unknown(String)
    /// Nobody was there to read it.
    case unsent

    var description: String {
      switch self {
      case .acknowledged(let reply):
        "\(reply.status) at \(reply.headers["signalbox-position"] ?? "no position")"
      case .refused(let status, let code): "\(status) \(code)"
      case .unavailable: "unavailable"
      case .unknown(let reason): "unknown: \(reason)"
      case .unsent: "unsent"
      }
    }
  }

  struct Entry: Sendable {
    let operation: Operation
    var answers: [Answer] = []
    var acknowledgedAt: ContinuousClock.Instant?

    /// The acknowledged answer, if there was one: the first, because later ones are replays.
    var acknowledgement: HTTPConnection.Response? {
      for case .acknowledged(let response) in answers { return response }
      return nil
    }

    /// Whether the last word is a refusal, which holds for every attempt before it too.
    var isRefused: Bool {
      if case .refused = answers.last { true } else { false }
    }

    var isSettled: Bool { acknowledgement != nil || isRefused }

    /// Whether some attempt may have taken effect without anybody knowing.
    var isUnknown: Bool {
      !isSettled
        && answers.contains { if case .unknown = $0 { true } else { false } }
    }

    /// Whether nobody can ever be told: to send it again without a key would be another request.
    var isLost: Bool { isUnknown && !operation.hasKey }
  }

  private struct State {
    var entries: [String: Entry] = [:]
    var violations: [String] = []
    var longest: Duration = .zero
    var silentPorts: Set<UInt16> = []
  }

  private let state = Mutex(State())

  var entries: [Entry] {
    state.withLock { $0.entries.values.sorted { $0.operation.id < $1.operation.id } }
  }
  var violations: [String] { state.withLock { $0.violations } }
  /// The longest that anybody waited for an answer.
  var longest: Duration { state.withLock { $0.longest } }

  func record(_ operation: Operation, _ answer: Answer, after duration: Duration) {
    state.withLock { state in
      var entry = state.entries[operation.id] ?? Entry(operation: operation)
      if case .acknowledged = answer { entry.acknowledgedAt = entry.acknowledgedAt ?? .now }
      entry.answers.append(answer)
      state.entries[operation.id] = entry
      state.longest = max(state.longest, duration)
    }
  }

  /// A stopped process owes nobody an answer.
  func allowSilence(of port: UInt16) {
    state.withLock { _ = $0.silentPorts.insert(port) }
  }

  func mayBeSilent(_ port: UInt16) -> Bool {
    state.withLock { $0.silentPorts.contains(port) }
  }

  func violation(_ text: String) {
    state.withLock { $0.violations.append(text) }
  }

  func lastAnswer(to operation: Operation) -> Answer? {
    state.withLock { $0.entries[operation.id]?.answers.last }
  }

  /// How many changes were acknowledged since then.
  func acknowledgements(since instant: ContinuousClock.Instant) -> Int {
    state.withLock { state in
      state.entries.values.count { $0.acknowledgedAt.map { $0 > instant } ?? false }
    }
  }

  /// How the run went, attempt by attempt: a run that met no trouble has tested nothing.
  var summary: String {
    let entries = entries
    let answers = entries.flatMap(\.answers)
    let unknown = answers.count { if case .unknown = $0 { true } else { false } }
    let unavailable = answers.count { if case .unavailable = $0 { true } else { false } }
    return
      "\(entries.count) operations, \(entries.count { !$0.operation.hasKey }) without a key, "
      + "\(entries.count { $0.acknowledgement != nil }) acknowledged, "
      + "\(entries.count { $0.isRefused }) refused; attempts with unknown outcome \(unknown), "
      + "unavailable \(unavailable), longest \(longest)"
  }
}
