import Domain
import Support
import Testing

@testable import ControlPlane

/// Where webhooks are never sent to, by every way of writing it.
@Suite struct TargetPolicyTests {
  static let policy = TargetPolicy()

  @Test(arguments: [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255",
    "127.0.0.1",
    "127.8.8.8", "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.8",
    "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    // The same, as IPv6 has them.
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "2002:c0a8:101::", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1", "3fff::1", "3fff:fff::1", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "febf::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1", "5f00::1",
  ])
  func `an address that is not of the internet is refused`(text: String) throws {
    #expect(!Self.policy.allows(try #require(IPAddress(text))), "\(text)")
    #expect(TargetPolicy(allowsPrivate: true).allows(try #require(IPAddress(text))))
  }

  @Test(arguments: [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.1.1.1",
    "128.0.0.1", "169.253.1.1", "169.255.1.1", "172.15.255.255", "172.32.0.1", "192.0.1.1",
    "192.167.1.1", "192.169.1.1", "198.17.1.1", "198.20.0.1", "223.255.255.255",
    "2606:4700:4700::1111", "2a00:1450:4001:831::200e", "2001:200::1", "2003::1", "2002:808:808::1",
    "64:ff9b::8.8.8.8", "::ffff:8.8.8.8", "3ffe::1",
  ])
  func `an address of the internet is allowed`(text: String) throws {
    #expect(Self.policy.allows(try #require(IPAddress(text))), "\(text)")
  }

  @Test(arguments: [
    "https://localhost/", "https://LOCALHOST/", "https://a.localhost/", "https://intranet/",
    "https://printer.local/", "https://db.internal/", "https://router.home.arpa/",
    "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/",
    "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/",
  ])
  func `a URL that tells by itself that it leads nowhere good is refused`(text: String) throws {
    let url = try WebhookURL(text)
    #expect(throws: WebhookURL.Refusal.target) { try Self.policy.check(url) }
    #expect(throws: Never.self) { try TargetPolicy(allowsPrivate: true).check(url) }
  }

  @Test func `plain http is for development`() throws {
    let url = try WebhookURL("http://example.com/")
    #expect(throws: WebhookURL.Refusal.scheme) { try Self.policy.check(url) }
    #expect(throws: Never.self) { try TargetPolicy(allowsPrivate: true).check(url) }
  }

  // MARK: URLs

  /// Whatever two readers could read in two ways.
  @Test(arguments: [
    "", "example.com", "https:/example.com", "https:///x", "https://", "https://user@example.com/",
    "https://user:pass@example.com/", "https://example.com@127.0.0.1/",
    "https://example.com#@evil/",
    "https://example.com/#f", "https://exa mple.com/", "https://example.com/a b",
    "https://example.com\\@127.0.0.1/", "https://example.com/\\", "https://example.com:0/",
    "https://example.com:65536/", "https://example.com:/", "https://example.com:1x/",
    "https://example.com:+1/", "https://example..com/", "https://.example.com/",
    "https://example.com./", "https://-a.com/", "https://a-.com/", "https://exämple.com/",
    "https://127.1/", "https://0x7f.0.0.1/", "https://2130706433/", "https://0177.0.0.1/",
    "https://127.0.0.01/", "https://1.2.3.4.5/", "https://a.0x7f000001/", "https://[::1/",
    "https://::1/", "https://[::1]x/", "https://[fe80::1%25eth0]/", "https://[127.0.0.1]/",
    "https://%31%32%37.0.0.1/", "https://a%2eb.com/", "https://a_%/", "https://example.com\u{7f}/",
    "https://example.com\r\nX: y/", "https://a.\(String(repeating: "b", count: 64)).com/",
    "https://example.com/\(String(repeating: "x", count: 2000))",
  ])
  func `what is not plainly one place is no URL`(text: String) {
    #expect(throws: WebhookURL.Refusal.malformed) { try WebhookURL(text) }
  }

  @Test(arguments: ["ftp://example.com/", "file:///etc/passwd", "gopher://a/", "javascript://a/"])
  func `only http has webhooks`(text: String) {
    #expect(throws: WebhookURL.Refusal.scheme) { try WebhookURL(text) }
  }

  @Test(arguments: [
    ("HTTPS://Example.COM", "https://example.com/"),
    ("https://example.com:443/a?b=c&d", "https://example.com/a?b=c&d"),
    ("https://example.com:8443?x", "https://example.com:8443/?x"),
    ("https://1.2.3.4:1/", "https://1.2.3.4:1/"),
    ("https://[2606:4700:4700:0::1111]/", "https://[2606:4700:4700::1111]/"),
    ("http://a_b.example.com:80/%2e%2e/", "http://a_b.example.com/%2e%2e/"),
    ("https://xn--exmple-cua.com/", "https://xn--exmple-cua.com/"),
  ])
  func `a URL is kept in one way of writing it`(text: String, kept: String) throws {
    #expect(try WebhookURL(text).text == kept)
    #expect(try WebhookURL(kept).text == kept)
  }

  @Test func `only the ports of https are called, unless others are allowed`() throws {
    for (text, isAllowed) in [
      ("https://example.com/", true), ("https://example.com:8443/", true),
      ("https://example.com:22/", false), ("https://example.com:6379/x", false),
      ("https://1.2.3.4:80/", false), ("https://example.com:9443/", false),
    ] {
      let url = try WebhookURL(text)
      let isTaken = (try? TargetPolicy().check(url)) != nil
      #expect(isTaken == isAllowed, "\(text)")
    }
    try TargetPolicy(ports: [9443]).check(WebhookURL("https://example.com:9443/"))
    #expect(throws: WebhookURL.Refusal.port) {
      try TargetPolicy(ports: [9443]).check(WebhookURL("https://example.com/"))
    }
    #expect(!TargetPolicy().allows(try #require(IPAddress("168.63.129.16"))))
    #expect(TargetPolicy().allows(try #require(IPAddress("168.63.129.17"))))
  }
}
