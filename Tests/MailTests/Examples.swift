import FoundationEssentials
import Synchronization
import Testing

@testable import Mail

let ada = EmailAddress("ada@example.com")!

func mail(_ subject: String = "Hello", text: String = "Hello, Ada.") -> MailMessage {
  MailMessage(to: ada, subject: subject, text: text)
}

/// A mailer of this sink, which gives up after `timeout`.
func mailer(
  of sink: SMTPSink, user: String = "", options: String = "", scheme: String = "smtp",
  timeout: Duration = .seconds(10)
) throws -> SMTPMailer {
  let url = "\(scheme)://\(user)127.0.0.1:\(sink.port)?from=noreply@example.org\(options)"
  var configuration = try SMTPConfiguration(parsing: url)
  configuration.timeout = timeout
  return SMTPMailer(configuration)
}

/// What a mail program makes of a mail.
struct ReadMail {
  /// Names in the order in which they came, and the unfolded values.
  var headers: [(name: String, value: String)] = []
  var text: String

  init(_ raw: String) throws {
    let end = try #require(raw.firstRange(of: "\r\n\r\n"))
    let unfolded = raw[..<end.lowerBound].replacing("\r\n ", with: " ")
    for line in unfolded.split(separator: "\r\n") {
      let colon = try #require(line.firstIndex(of: ":"))
      headers.append((String(line[..<colon]), String(line[colon...].dropFirst(2))))
    }
    let encoded = String(raw[end.upperBound...]).replacing("\r\n", with: "")
    let body = try #require(Data(base64Encoded: encoded))
    text = try #require(String(bytes: body, encoding: .utf8))
  }

  func values(_ name: String) -> [String] { headers.filter { $0.name == name }.map(\.value) }

  /// Of encoded words, each decoded by itself.
  func subject() throws -> String {
    let value = try #require(values("Subject").first)
    guard value.hasPrefix("=?") else { return value }
    return try value.split(separator: " ").map { word in
      let encoded = String(word.dropFirst("=?utf-8?B?".count).dropLast(2))
      let bytes = try #require(Data(base64Encoded: encoded))
      return try #require(String(bytes: bytes, encoding: .utf8))
    }.joined()
  }
}

/// Fails as often as it is told to, and remembers what it was given.
final class ScriptedMailer: Mailer {
  private struct State {
    var failures: [String: [MailError]]
    var subjects: [String] = []
  }

  private let state: Mutex<State>
  private let delay: Duration

  /// - Parameter failures: by subject, those of the first attempts.
  init(_ failures: [String: [MailError]] = [:], delay: Duration = .zero) {
    state = Mutex(State(failures: failures))
    self.delay = delay
  }

  /// Of all attempts.
  var subjects: [String] { state.withLock { $0.subjects } }

  func send(_ message: MailMessage) async throws(MailError) {
    let failure = state.withLock { state -> MailError? in
      state.subjects.append(message.subject)
      let failures = state.failures[message.subject, default: []]
      state.failures[message.subject] = Array(failures.dropFirst())
      return failures.first
    }
    try? await Task.sleep(for: delay)
    if let failure { throw failure }
  }
}

/// Waits until it is so; records an issue if that takes longer than ten seconds.
func eventually(
  _ condition: () -> Bool, sourceLocation: SourceLocation = #_sourceLocation
) async throws {
  let deadline = ContinuousClock.now + .seconds(10)
  while !condition() {
    guard ContinuousClock.now < deadline else {
      Issue.record("it does not come about", sourceLocation: sourceLocation)
      return
    }
    try await Task.sleep(for: .milliseconds(5))
  }
}
