import Glibc
import Synchronization

/// Sends mails over SMTP, one after the other, each over a connection of its own.
///
/// libcurl blocks, so that the actor lives on a thread of its own (see ARCHITECTURE.md, "Threads").
package actor SMTPMailer: Mailer {
  private let configuration: SMTPConfiguration
  private let thread = MailThread()

  package init(_ configuration: SMTPConfiguration) {
    self.configuration = configuration
  }

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    thread.asUnownedSerialExecutor()
  }

  package func send(_ message: MailMessage) throws(MailError) {
    let data = InternetMessage(
      message, from: configuration.sender, time: time(nil),
      id: .random(in: UInt128.min...UInt128.max))
    try SMTPTransfer(configuration).send(data, to: message.to)
  }
}

/// A serial executor on a thread that ends when there is nothing to do, since mails are rare.
private final class MailThread: SerialExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
    var isRunning = false
  }

  private let state = Mutex(State())

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let mustStart = state.withLock { state in
      state.jobs.append(job)
      defer { state.isRunning = true }
      return !state.isRunning
    }
    if mustStart { start() }
  }

  private func run() {
    while let job = next() { job.runSynchronously(on: asUnownedSerialExecutor()) }
  }

  private func next() -> UnownedJob? {
    state.withLock { state in
      state.isRunning = !state.jobs.isEmpty
      return state.isRunning ? state.jobs.removeFirst() : nil
    }
  }

  private func start() {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, &attributes,
      { argument in
        // Signals belong to the threads that expect them; SIGPIPE, to nobody.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        Unmanaged<MailThread>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    precondition(code == 0, "pthread_create: errno \(code)")
  }
}
