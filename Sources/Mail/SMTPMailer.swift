import Glibc

/// Sends mails over SMTP, each over a connection of its own.
///
/// libcurl blocks, so each attempt has a thread of its own as well.
package struct SMTPMailer: Mailer {
  private let configuration: SMTPConfiguration

  /// Reads `smtp://user:password@mail.example.com:587?from=noreply@example.com`, or `smtps://`.
  ///
  /// The ports 587 and 465, and the credentials, may be left out. `smtp://` demands STARTTLS, except
  /// of this very host; `tls=off` and `tls=required` say otherwise.
  ///
  /// - Throws: `MailConfigurationError`, which says what is wrong, and repeats nothing of the URL.
  package init(url: String) throws(MailConfigurationError) {
    self.init(try SMTPConfiguration(parsing: url))
  }

  init(_ configuration: SMTPConfiguration) {
    self.configuration = configuration
  }

  package func send(_ message: MailMessage) async throws(MailError) {
    let configuration = configuration
    let result: Result<Void, MailError> = await withCheckedContinuation { continuation in
      let code = startThread {
        continuation.resume(
          returning: Result { () throws(MailError) in
            let data = InternetMessage(
              message, from: configuration.sender, time: time(nil),
              id: .random(in: UInt128.min...UInt128.max))
            try SMTPTransfer(configuration).send(data, to: message.to)
          })
      }
      if code != 0 {
        continuation.resume(returning: .failure(.unavailable(reason: "no thread: errno \(code)")))
      }
    }
    try result.get()
  }
}

/// Starts a detached thread for a blocking call, which must never run on the cooperative pool.
///
/// - Returns: 0, or the errno because of which there is none.
private func startThread(_ body: @escaping @Sendable () -> Void) -> Int32 {
  final class Start {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  let start = Unmanaged.passRetained(Start(body))
  var thread = pthread_t()
  let code = pthread_create(
    &thread, &attributes,
    { argument in
      let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
      // Signals belong to the threads that expect them; SIGPIPE, to nobody.
      var all = sigset_t()
      sigfillset(&all)
      pthread_sigmask(SIG_BLOCK, &all, nil)
      start.body()
      return nil
    }, start.toOpaque())
  if code != 0 { start.release() }
  return code
}
