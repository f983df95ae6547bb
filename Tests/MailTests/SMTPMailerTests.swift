import Foundation
import Testing

@testable import Mail

struct SMTPMailerTests {
  @Test func `without the STARTTLS that it demands, nothing is sent in clear`() async throws {
    let sink = SMTPSink(extensions: ["AUTH PLAIN LOGIN"])
    defer { sink.close() }
    let mailer = try sink.mailer(options: "&tls=required", user: "user:hunter2@")
    let error = await failure { () async throws(MailError) in try await mailer.send(mail) }
    guard case .unavailable = error else {
      return #expect(Bool(false), "\(String(describing: error))")
    }
    #expect(sink.record.mails.isEmpty)
    #expect(sink.record.commands.allSatisfy { $0 == "EHLO example.com" || $0 == "QUIT" })
  }

  @Test func `a refused STARTTLS ends it as well`() async throws {
    let sink = SMTPSink(
      replies: ["STARTTLS": ["454 not now"]], extensions: ["STARTTLS", "AUTH PLAIN"])
    defer { sink.close() }
    let mailer = try sink.mailer(options: "&tls=required", user: "user:hunter2@")
    let error = await failure { () async throws(MailError) in try await mailer.send(mail) }
    guard case .unavailable = error else {
      return #expect(Bool(false), "\(String(describing: error))")
    }
    #expect(!sink.record.commands.contains { $0.hasPrefix("AUTH") || $0.hasPrefix("MAIL") })
  }

  @Test func `a mail arrives as it was meant`() async throws {
    let sink = SMTPSink(extensions: ["8BITMIME", "SIZE 1000000"])
    defer { sink.close() }
    let message = MailMessage(
      to: mail.to, subject: "Grüße aus Köln", text: ".\n.hidden\nGrüße 👋\n")
    try await sink.mailer().send(message)
    let record = sink.record
    #expect(record.commands.first == "EHLO example.com")
    #expect(record.commands.contains { $0.hasPrefix("MAIL FROM:<noreply@example.com>") })
    #expect(record.commands.contains("RCPT TO:<ada@example.com>"))
    #expect(record.mails.count == 1)
    let parsed = try await ParsedMail.read(#require(record.mails.first))
    #expect(parsed["Subject"] == ["Grüße aus Köln"])
    #expect(parsed.text == ".\r\n.hidden\r\nGrüße 👋\r\n")
    #expect(parsed["To"] == ["ada@example.com"])
    #expect(parsed.defects == 0)
  }

  @Test func `an address beyond ASCII goes to a server that offers SMTPUTF8`() async throws {
    let sink = SMTPSink(extensions: ["8BITMIME", "SMTPUTF8"])
    defer { sink.close() }
    let to = try #require(EmailAddress("Jürgen@exämple.com"))
    try await sink.mailer().send(MailMessage(to: to, subject: "Hallo", text: "Text"))
    let record = sink.record
    #expect(
      record.commands.contains {
        $0.hasPrefix("MAIL FROM:<noreply@example.com>") && $0.contains("SMTPUTF8")
      })
    #expect(record.commands.contains("RCPT TO:<Jürgen@xn--exmple-cua.com>"))
    #expect(record.mails.count == 1)
    let mail = String(decoding: try #require(record.mails.first), as: UTF8.self)
    #expect(mail.contains("To: Jürgen@xn--exmple-cua.com\r\n"))
  }

  @Test(arguments: [[], ["8BITMIME"], ["SMTPUTF88"], ["XSMTPUTF8"], ["AUTH SMTPUTF8"]])
  func `a server that does not offer SMTPUTF8 is not told of the address`(
    extensions: [String]
  ) async throws {
    let sink = SMTPSink(extensions: extensions)
    defer { sink.close() }
    let to = try #require(EmailAddress("jürgen@example.com"))
    let mailer = try sink.mailer()
    let error = await failure { () async throws(MailError) in
      try await mailer.send(MailMessage(to: to, subject: "Hallo", text: "Text"))
    }
    #expect(error == .addressUnsupported)
    #expect(!sink.record.commands.contains { $0.hasPrefix("RCPT") || $0.hasPrefix("DATA") })
    #expect(sink.record.mails.isEmpty)
  }

  @Test func `a domain beyond ASCII needs nothing of the server`() async throws {
    let sink = SMTPSink()
    defer { sink.close() }
    let to = try #require(EmailAddress("ada@exämple.com"))
    try await sink.mailer().send(MailMessage(to: to, subject: "Hallo", text: "Text"))
    #expect(sink.record.commands.contains("RCPT TO:<ada@xn--exmple-cua.com>"))
    #expect(sink.record.mails.first?.allSatisfy { $0 < 0x80 } == true)
  }

  @Test func `a subject tells the server nothing`() async throws {
    let sink = SMTPSink()
    defer { sink.close() }
    let subject = "Hello\r\nBcc: eve@example.com\r\n.\r\nRCPT TO:<eve@example.com>"
    try await sink.mailer().send(MailMessage(to: mail.to, subject: subject, text: "\r\n.\r\nQUIT"))
    let record = sink.record
    #expect(record.mails.count == 1)
    #expect(record.commands.filter { $0.hasPrefix("RCPT") } == ["RCPT TO:<ada@example.com>"])
    let parsed = try await ParsedMail.read(#require(record.mails.first))
    #expect(parsed["Bcc"].isEmpty)
    #expect(parsed.text == "\r\n.\r\nQUIT")
  }

  @Test func `every mail has another Message-ID`() async throws {
    let sink = SMTPSink()
    defer { sink.close() }
    let mailer = try sink.mailer()
    for _ in 0..<3 { try await mailer.send(mail) }
    var ids: [String] = []
    for mail in sink.record.mails { ids += try await ParsedMail.read(mail)["Message-ID"] }
    #expect(Set(ids).count == 3)
  }

  @Test func `the credentials are presented as they were given`() async throws {
    let plain = Data("\u{0}user\u{0}hunter2/".utf8).base64EncodedString()
    let sink = SMTPSink(
      replies: ["AUTH": ["334 "], plain.uppercased(): ["235 welcome"]], extensions: ["AUTH PLAIN"])
    defer { sink.close() }
    try await sink.mailer(user: "user:hunter2%2F@").send(mail)
    #expect(sink.record.commands.dropFirst().prefix(2) == ["AUTH PLAIN", plain])
    #expect(sink.record.mails.count == 1)
  }

  @Test(arguments: ["MAIL", "RCPT", "DATA", "."], [550, 552])
  func `a permanent reply refuses the mail, wherever it comes`(
    command: String, code: Int
  ) async throws {
    let sink = SMTPSink(replies: [command: ["\(code) ada@example.com: no"]])
    defer { sink.close() }
    let mailer = try sink.mailer()
    let error = await failure { () async throws(MailError) in try await mailer.send(mail) }
    #expect(error == .refused(code: code))
  }

  @Test(arguments: ["CONNECT", "MAIL", "RCPT", "DATA", "."])
  func `a transient reply asks for another attempt, wherever it comes`(
    command: String
  ) async throws {
    let sink = SMTPSink(replies: [command: ["451 ada@example.com: later"]])
    defer { sink.close() }
    let mailer = try sink.mailer()
    let error = await failure { () async throws(MailError) in try await mailer.send(mail) }
    #expect(error == .unavailable(reason: "the server answered 451"))
  }

  @Test func `wrong credentials are refused for good, and not repeated`() async throws {
    let sink = SMTPSink(replies: ["AUTH": ["535 hunter2 is wrong"]], extensions: ["AUTH PLAIN"])
    defer { sink.close() }
    let mailer = try sink.mailer(user: "user:hunter2@")
    let error = await failure { () async throws(MailError) in try await mailer.send(mail) }
    #expect(error == .refused(code: 535))
    #expect(error?.description.contains("hunter2") == false)
    #expect(sink.record.mails.isEmpty)
  }

  @Test(arguments: ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."])
  func `a server that hangs is given up, wherever it does`(command: String) async throws {
    let sink = SMTPSink(replies: [command: [nil]])
    defer { sink.close() }
    let mailer = try sink.mailer(timeout: .milliseconds(300))
    let start = ContinuousClock.now
    let error = await failure { () async throws(MailError) in try await mailer.send(mail) }
    guard case .unavailable(let reason) = error else {
      return #expect(Bool(false), "\(String(describing: error))")
    }
    #expect(reason.lowercased().contains("timeout"))
    #expect(ContinuousClock.now - start < .seconds(5))
  }

  @Test func `a server that is slow all the time is given up in the end`() async throws {
    // Each reply comes in time for itself: only the limit of the whole ends this.
    let sink = SMTPSink(delay: .milliseconds(300))
    defer { sink.close() }
    let mailer = try sink.mailer(timeout: .milliseconds(800))
    let error = await failure { () async throws(MailError) in try await mailer.send(mail) }
    #expect(error == .unavailable(reason: "Timeout was reached"))
    #expect(sink.record.mails.isEmpty)
  }

  @Test func `a mail that was taken is sent, though the farewell hangs`() async throws {
    let sink = SMTPSink(replies: ["QUIT": [nil]])
    defer { sink.close() }
    let start = ContinuousClock.now
    try await sink.mailer(timeout: .seconds(1)).send(mail)
    #expect(ContinuousClock.now - start < .seconds(5))
  }

  @Test func `where nobody listens the server is unavailable`() async throws {
    let sink = SMTPSink()
    let port = sink.port
    sink.close()
    // Until the thread has closed the socket, the kernel accepts.
    try await Task.sleep(for: .milliseconds(200))
    let mailer = try SMTPMailer(
      url: "smtp://user:hunter2@127.0.0.1:\(port)?from=noreply@example.com")
    let error = await failure { () async throws(MailError) in try await mailer.send(mail) }
    guard case .unavailable = error else {
      return #expect(Bool(false), "\(String(describing: error))")
    }
    #expect(error?.description.contains("hunter2") == false)
    #expect(error?.description.contains("127.0.0.1") == false)
  }

  @Test func `a server that blocks holds up neither other mails nor other tasks`() async throws {
    let sink = SMTPSink(replies: ["CONNECT": [nil]])
    defer { sink.close() }
    let mailer = try sink.mailer(timeout: .seconds(2))
    let start = ContinuousClock.now
    let blocked = (0..<16).map { _ in Task { try? await mailer.send(mail) } }
    // More than there are threads in the cooperative pool are blocked by now.
    try await Task.sleep(for: .milliseconds(100))
    await Task.detached {}.value
    #expect(ContinuousClock.now - start < .seconds(1))
    for task in blocked { await task.value }
  }
}

private let mail = MailMessage(
  to: EmailAddress("ada@example.com")!, subject: "Hello", text: "Text")

private func failure(_ body: () async throws(MailError) -> Void) async -> MailError? {
  do throws(MailError) {
    try await body()
    return nil
  } catch {
    return error
  }
}
