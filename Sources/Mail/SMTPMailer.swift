import Glibc
import Threads

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
      do throws(BlockingThread.Refused) {
        try BlockingThread.start {
          continuation.resume(
            returning: Result { () throws(MailError) in
              let data = InternetMessage(
                message, from: configuration.sender, time: time(nil),
                id: .random(in: UInt128.min...UInt128.max))
              try SMTPTransfer(configuration).send(data, to: message.to)
            })
        }
      } catch {
        continuation.resume(returning: .failure(.unavailable(reason: error.description)))
      }
    }
    try result.get()
  }
}
