import Testing

@testable import Domain

@Suite struct NetworkTests {
  @Test(arguments: [
    ("0.0.0.0", "0.0.0.0"), ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"),
    ("::FFFF:c000:201", "192.0.2.1"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:DB8::0:1", "2001:db8::1"),
    ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("0:0:0:1::", "0:0:0:1::"),
  ])
  func `an address is written in one way`(text: String, canonical: String) {
    #expect(IPAddress(text)?.description == canonical)
    #expect(IPAddress(canonical) == IPAddress(text))
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.4 ", "0x1.2.3.4", "1..2.3", ":",
    ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "fe80::1%eth0",
    "[::1]", "1.2.3.4::", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6:7:8::", "::\0",
    "00000000000000000000000000000000000000000000000001::",
  ])
  func `what is no address is none`(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test(arguments: [
    ("10.0.0.0/8", "10.0.0.0/8"), ("10.1.2.3/8", "10.0.0.0/8"), ("192.0.2.1", "192.0.2.1/32"),
    ("0.0.0.0/0", "0.0.0.0/0"), ("255.255.255.255/0", "0.0.0.0/0"), ("::/0", "::/0"),
    ("2001:db8:ffff::/32", "2001:db8::/32"), ("::1", "::1/128"),
    ("::ffff:10.1.1.1/104", "10.0.0.0/8"), ("::ffff:0:0/96", "0.0.0.0/0"),
  ])
  func `a network is written in one way`(text: String, canonical: String) {
    #expect(Network(text)?.description == canonical)
    #expect(Network(canonical) == Network(text))
  }

  @Test(arguments: [
    "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8",
    "10.0.0.0/ 8", "::/129", "::ffff:10.0.0.0/95", "10.0.0.0/255.0.0.0", "10/8",
  ])
  func `what is no network is none`(text: String) {
    #expect(Network(text) == nil)
  }

  @Test(arguments: [
    ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false),
    ("0.0.0.0/0", "192.0.2.1", true), ("0.0.0.0/0", "::1", false), ("::/0", "192.0.2.1", false),
    ("::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true), ("192.0.2.1", "192.0.2.1", true),
    ("192.0.2.1", "192.0.2.2", false), ("2001:db8::/33", "2001:db8:8000::", false),
  ])
  func `a network holds what begins as it does`(network: String, address: String, holds: Bool)
    throws
  {
    let (network, address) = (try #require(Network(network)), try #require(IPAddress(address)))
    #expect(network.contains(address) == holds)
  }
}
