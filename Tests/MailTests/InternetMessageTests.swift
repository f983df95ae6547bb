import Testing

@testable import Mail

/// What Python reads in what we write.
struct InternetMessageTests {
  private func render(_ subject: String, _ text: String = "Text") throws -> [UInt8] {
    let sender = try #require(EmailAddress("noreply@example.com"))
    // RFC 5322, appendix A.1.1: a Friday.
    let message = try mail(subject, text)
    return InternetMessage(message, from: sender, time: 880_127_706, id: 35).bytes
  }

  @Test(arguments: [
    "Hello\r\nBcc: eve@example.com", "Hello\nBcc: eve@example.com", "Hello\rBcc: eve@example.com",
    "Hello\r\n\r\nAnother text", "Hello\u{2028}Bcc: eve@example.com", "Hello\u{85}Bcc: x",
    "Hello\u{0}Bcc: x", "\r\nBcc: eve@example.com", "Grüße\r\nBcc: eve@example.com",
  ])
  func `a subject cannot become another header, nor text`(subject: String) async throws {
    let parsed = try await ParsedMail.read(render(subject))
    #expect(parsed.headers.map { $0[0] } == Self.headers)
    #expect(parsed.text == "Text")
    #expect(parsed["Subject"].count == 1)
    #expect(parsed["Subject"].first?.contains(where: \.isNewline) == false)
  }

  @Test(arguments: [
    "", "Hello", "Grüße aus Köln", "👩‍👩‍👧‍👦 family", "=?utf-8?B?SGVsbG8=?=", " spaces around ",
    String(repeating: "long and plain ", count: 30) + ".", String(repeating: "ä", count: 200),
    String(repeating: "x", count: 66), String(repeating: "x", count: 67),
    String(repeating: "a👍", count: 60),
  ])
  func `a subject arrives as it is`(subject: String) async throws {
    let parsed = try await ParsedMail.read(render(subject))
    #expect(parsed["Subject"] == [subject])
    #expect(parsed.defects == 0)
  }

  @Test(arguments: [
    ("", ""), ("One line", "One line"), ("a\nb\r\nc\rd", "a\r\nb\r\nc\r\nd"),
    ("\n\n", "\r\n\r\n"), (".\n..\n.hidden", ".\r\n..\r\n.hidden"), ("Grüße 👋", "Grüße 👋"),
  ])
  func `a text arrives with its lines ended by CRLF`(text: String, expected: String) async throws {
    #expect(try await ParsedMail.read(render("Hello", text)).text == expected)
  }

  @Test func `every line is short, is ASCII, and ends in CRLF`() throws {
    let subject = String(repeating: "ä👍", count: 50)
    let bytes = try render(subject, String(repeating: "Zeile für Zeile\n", count: 500))
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(bytes.allSatisfy { $0 < 0x7F })
    #expect(text.hasSuffix("\r\n"))
    let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    for line in lines.dropLast() {
      #expect(line.last == "\r")
      #expect(line.dropLast().count <= 76 && !line.dropLast().contains("\r"))
    }
  }

  @Test func `the headers say what RFC 5322 wants them to`() async throws {
    let parsed = try await ParsedMail.read(render("Hello"))
    #expect(parsed.headers.map { $0[0] } == Self.headers)
    #expect(parsed["Date"] == ["Fri, 21 Nov 1997 15:55:06 +0000"])
    #expect(parsed["From"] == ["noreply@example.com"])
    #expect(parsed["To"] == ["ada@example.com"])
    #expect(parsed["Message-ID"] == ["<z@example.com>"])
    #expect(parsed["Content-Type"] == ["text/plain; charset=\"utf-8\""])
    #expect(parsed.defects == 0)
  }

  static let headers = [
    "Date", "From", "To", "Message-ID", "Subject", "Auto-Submitted", "MIME-Version",
    "Content-Type", "Content-Transfer-Encoding",
  ]
}
