import Glibc

/// What the thread of one such connection does; it belongs to that thread.
final class ReadLoop {
  private struct Sent {
    var attempt: ReadRequest.Attempt
    var rows: [Rows] = []
    var failure: PostgresError?
  }

  /// Enough to keep a server busy; more would only wait behind each other, and be lost together.
  private static let window = 256

  private let link: Link
  private let owner: ReaderConnection
  private let passOn: @Sendable (ReadRequest.Attempt) -> Bool
  private var pending: [ReadRequest.Attempt] = []
  private var sent: [Sent] = []
  private var head = 0
  /// No request ends before this; it may be too early, never too late.
  private var nextDeadline: ContinuousClock.Instant?

  init(
    link: Link, owner: ReaderConnection,
    passOn: @escaping @Sendable (ReadRequest.Attempt) -> Bool
  ) {
    self.link = link
    self.owner = owner
    self.passOn = passOn
  }

  var isIdle: Bool { pending.isEmpty && head == sent.count }

  /// Sends what can be sent, reads what has arrived, then sleeps until there is more of either.
  func turn(_ arrived: [ReadRequest.Attempt], _ wakeup: Wakeup) {
    pending += arrived
    for attempt in arrived { remind(attempt.request.deadline) }
    link.tend()
    var hasMoreToSend = false
    if let session = link.session {
      do throws(PostgresError) {
        try send(session.wire)
        hasMoreToSend = session.wire.flush()
        try read(session.wire)
      } catch {
        recover(error)
      }
    } else if head < sent.count {
      recover(PostgresError(.connectionLost(outcome: .unknown)))
    } else {
      movePending()
    }
    if let nextDeadline, nextDeadline <= .now { expire() }
    sleep(hasMoreToSend, wakeup)
  }

  private func send(_ wire: Wire) throws(PostgresError) {
    guard !pending.isEmpty else { return }
    if wire.isIdle { try wire.deallocateRetired() }
    var taken = 0
    defer { pending.removeFirst(taken) }
    for attempt in pending {
      guard sent.count - head < Self.window else { break }
      taken += 1
      if attempt.request.isOver {
        owner.settled()
        continue
      }
      sent.append(Sent(attempt: attempt))
      for query in attempt.request.queries { try wire.send(query) }
      try wire.sendSync()
    }
  }

  private func read(_ wire: Wire) throws(PostgresError) {
    while let arrival = try wire.next() {
      switch arrival {
      case .rows(let rows): sent[head].rows.append(rows)
      case .failed(let error): sent[head].failure = sent[head].failure ?? error
      case .skipped: break
      case .sync:
        let done = sent[head]
        head += 1
        if head == sent.count {
          sent.removeAll(keepingCapacity: true)
          head = 0
        } else if head == 4 * Self.window {
          sent.removeFirst(head)
          head = 0
        }
        finish(done)
      }
    }
  }

  private func finish(_ done: Sent) {
    guard let failure = done.failure else { return answer(done.attempt, .success(done.rows)) }
    let isStale = [.invalidStatementName, .featureNotSupported].contains(failure.sqlState)
    if isStale, done.attempt.failures == 0 {
      // The statement was prepared in a pipeline that failed, or the table has changed since.
      var again = done.attempt
      again.failures += 1
      pending.append(again)
    } else {
      answer(done.attempt, .failure(failure))
    }
  }

  private func answer(_ attempt: ReadRequest.Attempt, _ answer: ReadRequest.Answer) {
    owner.settled()
    attempt.request.finish(answer)
  }

  /// After a loss: whatever was sent is repeated once, by whoever is up.
  private func recover(_ error: PostgresError) {
    let lost = sent[head...]
    sent = []
    head = 0
    link.tend()
    for item in lost where !item.attempt.request.isOver && item.attempt.failures == 0 {
      var again = item.attempt
      again.failures += 1
      pass(on: again)
    }
    for item in lost where item.attempt.request.isOver || item.attempt.failures > 0 {
      answer(item.attempt, .failure(error))
    }
    movePending()
  }

  /// While there is no session, other connections may have one.
  private func movePending() {
    if let refusal = link.refusal {
      for attempt in pending { answer(attempt, .failure(refusal)) }
      pending = []
      return
    }
    let waiting = pending
    pending = []
    for attempt in waiting { pass(on: attempt) }
  }

  private func pass(on attempt: ReadRequest.Attempt) {
    // While closing, the others may be gone already: the last requests stay where they are.
    if !owner.isClosing, passOn(attempt) { owner.settled() } else { pending.append(attempt) }
  }

  private func remind(_ deadline: ContinuousClock.Instant) {
    nextDeadline = nextDeadline.map { min($0, deadline) } ?? deadline
  }

  /// Answers whoever has waited long enough. When that is the one whom the server is working for, the
  /// server may have stopped: the session is given up for the sake of those behind.
  private func expire() {
    let now = ContinuousClock.now
    if head < sent.count, sent[head].attempt.request.deadline <= now { link.session?.abort() }
    for item in sent[head...] where item.attempt.request.deadline <= now {
      item.attempt.request.finish(
        .failure(PostgresError(.deadlineExceeded(outcome: .unknown))))
    }
    for attempt in pending where attempt.request.deadline <= now {
      answer(
        attempt,
        .failure(
          PostgresError(.deadlineExceeded(outcome: .notSent), reason: link.lastError?.reason)))
    }
    pending.removeAll { $0.request.deadline <= now }
    let deadlines =
      sent[head...].lazy.map(\.attempt.request.deadline).filter { $0 > now }.min()
    nextDeadline = [deadlines, pending.lazy.map(\.request.deadline).min()].compactMap(\.self).min()
    if head < sent.count, link.session == nil {
      recover(PostgresError(.deadlineExceeded(outcome: .unknown)))
    }
  }

  private func sleep(_ hasMoreToSend: Bool, _ wakeup: Wakeup) {
    let canSend = link.session != nil && sent.count - head < Self.window
    if canSend, !pending.isEmpty { return }
    guard owner.prepareToSleep(canEnd: isIdle) else { return }
    var (socket, events, until) = link.interest
    if hasMoreToSend { events |= Int16(POLLOUT) }
    if let nextDeadline { until = until.map { min($0, nextDeadline) } ?? nextDeadline }
    let ready = awaitReadiness(
      socket: socket, events: events, wakeup: wakeup, until: until)
    owner.wokeUp()
    if ready.woken { wakeup.reset() }
    if ready.socket & ~Int16(POLLOUT) != 0 { link.session?.wire.receive() }
  }
}
