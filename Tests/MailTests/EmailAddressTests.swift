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
    "ada\u{0}@example.com", "ada\u{7F}@example.com", "ad\u{202E}a@example.com",
    "ad\u{200B}a@example.com",
    // Letters that are others by compatibility, or turn into ones of ASCII.
    "\u{FF41}da@example.com", "\u{1D41A}da@example.com", "\u{212A}im@example.com",
    "\u{130}ada@example.com", "ada@\u{FF45}xample.com", "ada@example\u{3002}com",
    "ad\u{1F600}a@example.com", "ada@\u{1F600}.com", "ada@\u{301}x.com", "ad\u{A0}a@example.com",
    "ada@ex\u{AD}ample.com", "ada@xx--\u{FC}.com",
    "ada(comment)@example.com", "ada;eve@example.com", "ada:@example.com", "ada\\@example.com",
    // A KELVIN SIGN, which lowercases into ASCII.
    "ada@\u{212A}.com",
    "\(String(repeating: "\u{FC}", count: 33))@example.com",
    "ada@\(String(repeating: "\u{FC}", count: 60)).com",
    "\(label)aa@example.com", "ada@\(label)a.com",
    "ada@\(label).\(label).\(label).\(label).com",
  ])
  func `what is no address that we send to is refused`(text: String) {
    #expect(EmailAddress(text) == nil)
  }

  @Test(arguments: [
    "ada@example.com", "a@b.c", "Ada.Lovelace+work@Mail.Example.com", "o'brien@example.ie",
    "!#$%&'*+-/=?^_`{|}~@example.com", "ada@localhost", "ada@xn--exmple-cua.com",
    "adä@example.com", "ada@exämple.com", "用户@例子.中国", "δοκιμή@παράδειγμα.ελ", "अजय@डाटा.भारत",
    "ada@straße.de", "ad\u{E9}@example.com", "ade\u{301}@example.com",
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
    #expect(address.domain == "example.com")
  }

  @Test(arguments: [
    ("exämple.com", "xn--exmple-cua.com"), ("EXÄMPLE.com", "xn--exmple-cua.com"),
    ("bücher.example", "xn--bcher-kva.example"), ("例子.中国", "xn--fsqu00a.xn--fiqs8s"),
    ("παράδειγμα.ελ", "xn--hxajbheg2az3al.xn--qxam"), ("faß.de", "xn--fa-hia.de"),
    ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
  ])
  func `a domain is known by its name in ASCII`(domain: String, ascii: String) throws {
    #expect(EmailAddress("ada@\(domain)")?.domain == ascii)
    #expect(
      EmailAddress("ada@\(domain)")?.normalized == EmailAddress("Ada@\(ascii)")?.normalized)
  }

  @Test func `small letters of any script make no difference, and other letters do`() throws {
    func normalized(_ text: String) throws -> String {
      try #require(EmailAddress(text), "\(text)").normalized
    }
    #expect(try normalized("JÜRGEN@example.com") == normalized("jürgen@example.com"))
    #expect(try normalized("ΔΟΚΙΜΉ@example.com") == normalized("δοκιμή@example.com"))
    #expect(try normalized("jurgen@example.com") != normalized("jürgen@example.com"))
    #expect(try normalized("straße@example.com") != normalized("strasse@example.com"))
    // Canonically equivalent, and other bytes: mail servers tell them apart, and so does the rule.
    let (one, other) = (try normalized("ad\u{E9}@x.org"), try normalized("ade\u{301}@x.org"))
    #expect(!one.utf8.elementsEqual(other.utf8))
    #expect(EmailAddress("ad\u{E9}@x.org") != EmailAddress("ade\u{301}@x.org"))
  }

  /// RFC 3492, section 7.1: samples that lower case and our letters leave as they are.
  @Test(arguments: [
    ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
    ("почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"),
    ("なぜみんな日本語を話してくれないのか", "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa"),
    ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"), ("ひとつ屋根の下2", "2-u9tlzr9756bt3uc0v"),
    ("パフィーdeルンバ", "de-jg4avhby1noc0d"), ("", ""), ("abc", "abc-"),
  ])
  func `Punycode is that of the RFC`(text: String, encoded: String) {
    #expect(Punycode.encode(text) == encoded)
  }

  @Test func `what is longer than any label is not encoded`() {
    #expect(Punycode.encode(String(repeating: "\u{10FFFF}", count: 64)) == nil)
    #expect(Punycode.encode(String(repeating: "\u{10FFFF}", count: 63)) != nil)
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
