import FoundationEssentials
import Testing

@testable import Mail

/// What goes over the wire before the connection is safe: nothing of the mail, and no password.
struct SMTPSecurityTests {
  static let user = "ada:s3cret@"
  /// The same, as AUTH PLAIN says it (RFC 4616).
  static let token = Data("\0ada\0s3cret".utf8).base64EncodedString()

  func error(_ mailer: SMTPMailer) async throws -> String {
    let error = await #expect(throws: MailError.self) { try await mailer.send(mail()) }
    return try "\(#require(error)) \(String(reflecting: error))"
  }

  @Test func `a server without STARTTLS hears nothing but EHLO`() async throws {
    let sink = SMTPSink(offers: ["AUTH PLAIN LOGIN"])
    defer { sink.stop() }
    let mailer = try mailer(of: sink, user: Self.user, options: "&tls=required")
    let error = try await error(mailer)
    #expect(!error.contains("s3cret"))
    try await eventually { sink.closed == 1 }
    #expect(sink.commands.filter { $0 != "QUIT" } == ["EHLO example.org"])
  }

  @Test func `a server that will not begin TLS hears nothing more`() async throws {
    let sink = SMTPSink(["STARTTLS": ["454 not now"]], offers: ["STARTTLS", "AUTH PLAIN"])
    defer { sink.stop() }
    _ = try await error(mailer(of: sink, user: Self.user, options: "&tls=required"))
    try await eventually { sink.closed == 1 }
    #expect(sink.commands.filter { $0 != "QUIT" } == ["EHLO example.org", "STARTTLS"])
  }

  @Test(arguments: ["smtp", "smtps"])
  func `what follows STARTTLS, and all of smtps, is TLS`(scheme: String) async throws {
    let sink = SMTPSink(
      scheme == "smtps" ? ["CONNECT": [""]] : [:], offers: ["STARTTLS", "AUTH PLAIN"])
    defer { sink.stop() }
    let mailer = try mailer(
      of: sink, user: Self.user, options: "&tls=required", scheme: scheme,
      timeout: .milliseconds(300))
    _ = try await error(mailer)
    try await eventually { sink.closed == 1 }
    #expect(sink.commands == (scheme == "smtps" ? [] : ["EHLO example.org", "STARTTLS"]))
    // A handshake record (RFC 8446, section 5.1), whose first message is a ClientHello.
    #expect(sink.unread.first == 22 && sink.unread.dropFirst(5).first == 1)
  }

  @Test func `credentials are shown to the server`() async throws {
    let sink = SMTPSink(offers: ["AUTH PLAIN"])
    defer { sink.stop() }
    try await mailer(of: sink, user: Self.user).send(mail())
    #expect(sink.commands.prefix(3) == ["EHLO example.org", "AUTH PLAIN", Self.token])
    #expect(sink.mails.count == 1)
  }

  @Test(arguments: [535, 454])
  func `a server that does not take the password does not get the mail`(code: Int) async throws {
    let sink = SMTPSink([Self.token: ["\(code) s3cret is wrong"]], offers: ["AUTH PLAIN"])
    defer { sink.stop() }
    let error = try await error(mailer(of: sink, user: Self.user))
    #expect(error.contains("\(code)") && !error.contains("s3cret"), "\(error)")
    #expect(error.contains("refused") == (code == 535))
    #expect(sink.count("MAIL") == 0)
  }
}
