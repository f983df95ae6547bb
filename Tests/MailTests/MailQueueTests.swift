import Synchronization
import Testing

@testable import Mail

struct MailQueueTests {
  /// Answers from a script, and then takes everything.
  private final class Script: Mailer {
    private let state: Mutex<(errors: [MailError?], subjects: [String])>

    init(_ errors: [MailError?] = []) { state = Mutex((errors, [])) }

    /// Of all attempts.
    var subjects: [String] { state.withLock { $0.subjects } }

    func send(_ message: MailMessage) async throws(MailError) {
      let error = state.withLock { state -> MailError? in
        state.subjects.append(message.subject)
        return state.errors.isEmpty ? nil : state.errors.removeFirst()
      }
      if let error { throw error }
    }
  }

  private final class Failures: Sendable {
    private let errors = Mutex<[MailError]>([])
    var all: [MailError] { errors.withLock { $0 } }
    func add(_ error: MailError) { errors.withLock { $0.append(error) } }
  }

  private static let later = MailError.unavailable(reason: "later")

  /// Runs the queue until nothing waits.
  private func drain(_ queue: MailQueue) async throws {
    let run = Task { await queue.run() }
    try await until { queue.pending == 0 }
    run.cancel()
    await run.value
  }

  private func until(_ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while !condition() {
      try #require(ContinuousClock.now < deadline)
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  @Test func `a full queue refuses, and does not forget what it took`() async throws {
    let script = Script()
    let queue = MailQueue(mailer: script, capacity: 2) { _ in }
    #expect(queue.enqueue(try mail("1")))
    #expect(queue.enqueue(try mail("2")))
    #expect(!queue.enqueue(try mail("3")))
    try await drain(queue)
    #expect(script.subjects == ["1", "2"])
    #expect(queue.delivered == 2 && queue.failed == 0)
  }

  @Test func `a permanent refusal is not retried`() async throws {
    let sink = SMTPSink(replies: ["RCPT": ["550 unknown"]])
    defer { sink.close() }
    let failures = Failures()
    let queue = MailQueue(
      mailer: try sink.mailer(), delays: [.milliseconds(1)], onFailure: failures.add)
    #expect(queue.enqueue(try mail("Hello")))
    try await drain(queue)
    try await Task.sleep(for: .milliseconds(50))
    #expect(queue.failed == 1 && queue.delivered == 0)
    #expect(failures.all == [.refused(code: 550)])
    #expect(sink.record.connections == 1 && sink.record.mails.isEmpty)
  }

  @Test func `a transient refusal is retried, and the mail delivered once`() async throws {
    let sink = SMTPSink(replies: ["RCPT": ["451 later"]])
    defer { sink.close() }
    let failures = Failures()
    let queue = MailQueue(
      mailer: try sink.mailer(), delays: [.milliseconds(10)], onFailure: failures.add)
    #expect(queue.enqueue(try mail("Hello")))
    try await drain(queue)
    #expect(queue.delivered == 1 && queue.failed == 0)
    #expect(failures.all.isEmpty)
    #expect(sink.record.connections == 2 && sink.record.mails.count == 1)
  }

  @Test func `after the last delay a mail is given up, and told once`() async throws {
    let script = Script([Self.later, Self.later, Self.later])
    let failures = Failures()
    let queue = MailQueue(
      mailer: script, delays: [.milliseconds(5), .milliseconds(5)], onFailure: failures.add)
    #expect(queue.enqueue(try mail("1")))
    try await drain(queue)
    #expect(script.subjects == ["1", "1", "1"])
    #expect(failures.all == [Self.later])
    #expect(queue.failed == 1 && queue.delivered == 0)
  }

  @Test func `the delays pass between the attempts`() async throws {
    let queue = MailQueue(
      mailer: Script([Self.later, Self.later]), delays: [.milliseconds(50), .milliseconds(150)]
    ) { _ in }
    let start = ContinuousClock.now
    #expect(queue.enqueue(try mail("1")))
    try await drain(queue)
    #expect(ContinuousClock.now - start >= .milliseconds(200))
    #expect(queue.delivered == 1)
  }

  @Test func `mails leave in order, and one that waits holds up no other`() async throws {
    let script = Script([Self.later])
    let queue = MailQueue(mailer: script, delays: [.milliseconds(100)]) { _ in }
    for subject in ["1", "2", "3"] { #expect(queue.enqueue(try mail(subject))) }
    try await drain(queue)
    #expect(script.subjects == ["1", "2", "3", "1"])
    #expect(queue.delivered == 3)
  }

  @Test func `what is enqueued while it runs is delivered, from whatever task`() async throws {
    let queue = MailQueue(mailer: Script()) { _ in }
    let run = Task { await queue.run() }
    await withTaskGroup(of: Void.self) { group in
      for index in 0..<200 {
        group.addTask {
          guard let message = try? mail("\(index)") else { return }
          #expect(queue.enqueue(message))
        }
      }
    }
    try await until { queue.delivered == 200 }
    run.cancel()
    await run.value
  }

  @Test func `a cancelled run ends at once, gives up what waits, and takes nothing more`()
    async throws
  {
    let failures = Failures()
    let queue = MailQueue(
      mailer: Script([Self.later]), delays: [.seconds(600)], onFailure: failures.add)
    let run = Task { await queue.run() }
    #expect(queue.enqueue(try mail("1")))
    #expect(queue.enqueue(try mail("2")))
    try await until { queue.delivered == 1 }
    let start = ContinuousClock.now
    run.cancel()
    await run.value
    #expect(ContinuousClock.now - start < .seconds(5))
    #expect(queue.failed == 1 && queue.pending == 0)
    #expect(failures.all.count == 1)
    #expect(!queue.enqueue(try mail("3")))
  }

  @Test func `the attempt that has begun is finished when the run is cancelled`() async throws {
    let sink = SMTPSink(replies: ["EHLO": [nil]])
    defer { sink.close() }
    let failures = Failures()
    let queue = MailQueue(
      mailer: try sink.mailer(timeout: .milliseconds(500)), onFailure: failures.add)
    #expect(queue.enqueue(try mail("1")))
    let run = Task { await queue.run() }
    try await until { sink.record.connections == 1 }
    run.cancel()
    await run.value
    #expect(queue.failed == 1 && failures.all.count == 1)
  }
}

struct MailboxTests {
  @Test func `a mailbox keeps the newest mails, newest first`() async throws {
    let mailbox = Mailbox(capacity: 3)
    for index in 1...5 { await mailbox.send(try mail("\(index)")) }
    #expect(mailbox.messages.map(\.message.subject) == ["5", "4", "3"])
    #expect(mailbox.messages.map(\.id) == [5, 4, 3])
  }

  @Test func `a mailbox says when a mail came, in microseconds`() async throws {
    let mailbox: any Mailer & AnyObject = Mailbox()
    try await mailbox.send(mail("Hello"))
    let received = try #require((mailbox as? Mailbox)?.messages.first?.receivedAt)
    // 2025 to 2100: neither milliseconds nor nanoseconds.
    #expect((1_735_689_600_000_000...4_102_444_800_000_000).contains(received))
  }

  @Test func `a mailbox keeps a hundred`() async throws {
    let mailbox = Mailbox()
    for index in 1...101 { await mailbox.send(try mail("\(index)")) }
    #expect(mailbox.messages.count == 100)
    #expect(mailbox.messages.last?.id == 2)
  }
}
