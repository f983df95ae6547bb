import Testing

@testable import Mail

struct EmailAddressTests {
  static let label = String(repeating: "a", count: 63)

  @Test(arguments: [
    "", "@", "ada", "ada@", "@example.com", "ada@@example.com", "ada@b@example.com",
    "ada@example", ".ada@example.com", "ada.@example.com", "a..da@example.com",
    "ada@.example.com", "ada@example..com", "ada@example.com.", "ada@-example.com",
    "ada@example-.com", "ada@exa_mple.com", "ada@[127.0.0.1]", "ada@127.0.0.1",
    "\"ada\"@example.com", "a da@example.com", " ada@example.com", "ada@example.com ",
    "<ada@example.com>", "Ada <ada@example.com>", "ada@example.com,eve@example.com",
    "ada@example.com\r\nBcc: eve@example.com", "ada@example.com\n", "ada\r@example.com",
    "ada\u{0}@example.com", "ada\u{7F}@example.com", "adä@example.com", "ada@exämple.com",
    "ada(comment)@example.com", "ada;eve@example.com", "ada:@example.com", "ada\\@example.com",
    // A KELVIN SIGN, which lowercases into ASCII.
    "ada@\u{212A}.com",
    "\(label)aa@example.com", "ada@\(label)a.com",
    "ada@\(label).\(label).\(label).\(label).com",
  ])
  func `what is no address that we send to is refused`(text: String) {
    #expect(EmailAddress(text) == nil)
  }

  @Test(arguments: [
    "ada@example.com", "a@b.c", "Ada.Lovelace+work@Mail.Example.com", "o'brien@example.ie",
    "!#$%&'*+-/=?^_`{|}~@example.com", "ada@localhost", "ada@xn--exmple-cua.com",
    "ada@1.example", "\(label)a@example.com", "ada@\(label).com",
  ])
  func `what people have is accepted as it is`(text: String) {
    #expect(EmailAddress(text)?.text == text)
  }

  @Test func `254 bytes are accepted, and one more is not`() throws {
    let longest =
      "ada@\(Self.label).\(Self.label).\(Self.label).\(String(repeating: "b", count: 58))"
    #expect(longest.utf8.count == 254)
    #expect(EmailAddress(longest) != nil)
    #expect(EmailAddress("a" + longest) == nil)
  }

  @Test func `two spellings of one mailbox are equal when normalized`() throws {
    let address = try #require(EmailAddress("Ada@Example.COM"))
    #expect(address.normalized == "ada@example.com")
    #expect(address.text == "Ada@Example.COM")
    #expect(address.domain == "Example.COM")
  }

  @Test func `neither an address nor a mail is described, wherever it is`() throws {
    let message = try mail("Hello", "A secret link", to: "ada@example.com")
    var dumped = ""
    dump([message], to: &dumped)
    dump(message.to, to: &dumped)
    let texts = [
      "\(message)", "\(message.to)", "\([message])", String(reflecting: message.to),
      "\([message.to])", String(describing: Optional(message)), dumped,
    ]
    for text in texts {
      #expect(!text.contains("ada") && !text.contains("Hello") && !text.contains("secret"))
    }
  }
}

func mail(_ subject: String, _ text: String = "Text", to: String = "ada@example.com") throws
  -> MailMessage
{
  MailMessage(to: try #require(EmailAddress(to)), subject: subject, text: text)
}
