import Testing

@testable import Mail

struct SMTPConfigurationTests {
  @Test(arguments: [
    "", "hunter2", "http://mail.example.com?from=a@b.c", "mail.example.com?from=a@b.c",
    "smtp://?from=a@b.c", "smtp://mail.example.com", "smtp://mail.example.com?from=",
    "smtp://mail.example.com?from=hunter2", "smtp://mail.example.com:0?from=a@b.c",
    "smtp://mail.example.com:65536?from=a@b.c", "smtp://mail.example.com/inbox?from=a@b.c",
    "smtp://mail.example.com?from=a@b.c#hunter2", "smtp://mail.example.com?from=a@b.c&from=d@e.f",
    "smtp://mail.example.com?from=a@b.c&tls=of", "smtp://mail.example.com?from=a@b.c&tls=",
    "smtp://mail.example.com?from=a@b.c&hunter2=x", "smtps://mail.example.com?from=a@b.c&tls=off",
    "smtp://user@mail.example.com?from=a@b.c", "smtp://:hunter2@mail.example.com?from=a@b.c",
    "smtp://user:hunter2%0D%0A@mail.example.com?from=a@b.c",
    "smtp://user:hunter2%00@mail.example.com?from=a@b.c",
    "smtp://user:hunter2/x@mail.example.com?from=a@b.c",
    "smtp://user:hunter2#x@mail.example.com?from=a@b.c",
    "smtp://user:hunter2?x@mail.example.com?from=a@b.c",
    "smtp://user:hunter2@mail%0D%0Aexample.com?from=a@b.c",
    "smtp://user:hunter2@mail example.com?from=a@b.c",
    "smtp://user:hunter2@[::zz]?from=a@b.c",
    "smtp://mail.example.com?from=a@b.c%0D%0ARCPT%20TO:<eve@example.com>",
  ])
  func `a wrong URL is refused, and nothing of it repeated`(url: String) {
    let error = #expect(throws: MailConfigurationError.self) {
      try SMTPConfiguration(parsing: url)
    }
    #expect(error?.description.contains("hunter2") == false)
    #expect(error?.reason.contains("example") == false)
  }

  @Test(arguments: [
    ("smtp://mail.example.com?from=a@b.c", SMTPConfiguration.Security.startTLS, 587),
    ("SMTP://mail.example.com:25?from=a@b.c", .startTLS, 25),
    ("smtps://mail.example.com?from=a@b.c", .implicit, 465),
    ("smtps://127.0.0.1?from=a@b.c", .implicit, 465),
    ("smtp://mail.example.com?from=a@b.c&tls=off", .none, 587),
    ("smtp://localhost?from=a@b.c", .none, 587), ("smtp://127.1.2.3?from=a@b.c", .none, 587),
    ("smtp://[::1]?from=a@b.c", .none, 587),
    ("smtp://localhost?from=a@b.c&tls=required", .startTLS, 587),
    // They only look like this host.
    ("smtp://127.0.0.1.example.com?from=a@b.c", .startTLS, 587),
    ("smtp://localhost.example.com?from=a@b.c", .startTLS, 587),
    ("smtp://127.1?from=a@b.c", .startTLS, 587), ("smtp://128.0.0.1?from=a@b.c", .startTLS, 587),
    ("smtp://[::2]?from=a@b.c", .startTLS, 587),
  ])
  func `what is not this very host is spoken to over TLS`(
    url: String, security: SMTPConfiguration.Security, port: Int
  ) throws {
    let configuration = try SMTPConfiguration(parsing: url)
    #expect(configuration.security == security)
    #expect(configuration.port == port)
  }

  @Test func `credentials are decoded, and never described`() throws {
    let configuration = try SMTPConfiguration(
      parsing: "smtp://us%40er:hunter2%2F%3F%23%25+@mail.example.com?from=no+reply@example.com")
    #expect(configuration.credentials?.user == "us@er")
    #expect(configuration.credentials?.password == "hunter2/?#%+")
    #expect(configuration.sender.text == "no+reply@example.com")
    #expect(configuration.url == "smtp://mail.example.com:587/example.com")
    var text = "\(configuration) \([configuration]) \(String(reflecting: configuration))"
    dump(configuration, to: &text)
    #expect(!text.contains("hunter2") && !text.contains("example"))
  }

  @Test func `an address of IP version 6 has brackets in what libcurl is given`() throws {
    let configuration = try SMTPConfiguration(parsing: "smtps://[2001:db8::1]:25?from=a@b.c")
    #expect(configuration.url == "smtps://[2001:db8::1]:25/b.c")
  }
}
