import Testing

@testable import ControlPlane

@Suite struct TrustedProxiesTests {
  private static func proxies(_ list: String = "10.0.0.0/8, fd00::/8,192.0.2.1") throws
    -> TrustedProxies
  {
    try TrustedProxies(list)
  }

  @Test func `a peer that is no proxy speaks for itself, whatever it claims`() throws {
    for peer in ["203.0.113.5", "2001:db8::1", "11.0.0.1", "192.0.2.2", "fe00::1", "local", ""] {
      let client = try Self.proxies().clientAddress(peer: peer, forwardedFor: ["10.0.0.1, 8.8.8.8"])
      #expect(client == peer)
    }
  }

  @Test func `without configuration nobody is believed`() throws {
    for list in ["", "  "] {
      let none = try TrustedProxies(list)
      #expect(none.clientAddress(peer: "127.0.0.1", forwardedFor: ["1.2.3.4"]) == "127.0.0.1")
      #expect(none.clientAddress(peer: "::1", forwardedFor: ["1.2.3.4"]) == "::1")
      #expect(none.clientAddress(peer: "::ffff:1.2.3.4", forwardedFor: []) == "1.2.3.4")
      #expect(none.clientAddress(peer: "local", forwardedFor: ["1.2.3.4"]) == "local")
    }
  }

  @Test func `what a client writes to the left of its address is not believed`() throws {
    let proxies = try Self.proxies()
    for lines in [
      ["1.1.1.1, 10.9.9.9, 203.0.113.5"], ["10.9.9.9,203.0.113.5, 10.0.0.2"],
      ["127.0.0.1", "10.9.9.9", "203.0.113.5", "fd00::7,192.0.2.1"],
      ["\"; DROP TABLE, 203.0.113.5\t,10.0.0.3 "], [",,,203.0.113.5"], ["", "203.0.113.5"],
    ] {
      #expect(proxies.clientAddress(peer: "10.0.0.1", forwardedFor: lines) == "203.0.113.5")
    }
  }

  @Test func `what is no address ends the walk at the proxy that said it`() throws {
    let proxies = try Self.proxies()
    for bad in [
      "", " ", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.4:",
      "1.2.3.4:x", "1.2.3.4:+8", "1.2.3.4:65536", ":80", "[1.2.3.4]", "[::1", "::1]", "[::1]80",
      "[::1]:", "[::1]x:80", "[]", "[", "fe80::1%eth0", "1.2.3.4\u{0}", "１.2.3.4", "1.2.3.4/32",
      "1.2.3.4 5.6.7.8", String(repeating: "1", count: 10_000), "::1::", "[\u{301}::1]",
      "1.2.3.4:\u{301}5", "\"1.2.3.4\"",
    ] {
      let client = proxies.clientAddress(
        peer: "10.0.0.1", forwardedFor: ["9.9.9.9, \(bad), 10.0.0.2"])
      #expect(client == "10.0.0.2", "\(bad)")
      #expect(proxies.clientAddress(peer: "10.0.0.1", forwardedFor: [bad]) == "10.0.0.1", "\(bad)")
    }
  }

  @Test func `only so many hops are looked at`() throws {
    let proxies = try Self.proxies()
    let hops = (0..<40).map { "10.0.1.\($0)" }
    for lines in [[hops.joined(separator: ",")], hops] {
      #expect(proxies.clientAddress(peer: "10.0.0.1", forwardedFor: lines) == "10.0.1.8")
    }
    let commas = String(repeating: ",", count: 1_000_000)
    #expect(proxies.clientAddress(peer: "10.0.0.1", forwardedFor: [commas]) == "10.0.0.1")
  }

  @Test func `ports, brackets and mapped addresses are the address`() throws {
    let proxies = try Self.proxies()
    for (entry, address) in [
      "1.2.3.4:5": "1.2.3.4", "[2001:db8::1]:80": "2001:db8::1", "[2001:DB8::1]": "2001:db8::1",
      "2001:db8:0:0::1": "2001:db8::1", "::ffff:1.2.3.4": "1.2.3.4",
      "[::ffff:102:304]:443": "1.2.3.4", "::": "::",
    ] {
      let lines = ["\(entry), [fd12::1]:8080, ::ffff:10.1.1.1, 192.0.2.1:1234"]
      #expect(proxies.clientAddress(peer: "::ffff:10.0.0.1", forwardedFor: lines) == address)
    }
  }

  @Test func `if all are proxies, the first of them is the client`() throws {
    let proxies = try Self.proxies()
    #expect(proxies.clientAddress(peer: "10.0.0.1", forwardedFor: []) == "10.0.0.1")
    #expect(proxies.clientAddress(peer: "10.0.0.1", forwardedFor: ["fd00::1,10.2"]) == "10.0.0.1")
    #expect(
      proxies.clientAddress(peer: "10.0.0.1", forwardedFor: ["fd00::1,10.0.0.2"]) == "fd00::1")
  }

  @Test func `an IPv6 network, however wide, holds no IPv4 address`() throws {
    let proxies = try Self.proxies("::/1")
    #expect(proxies.clientAddress(peer: "10.0.0.1", forwardedFor: ["1.1.1.1"]) == "10.0.0.1")
    #expect(proxies.clientAddress(peer: "::1", forwardedFor: ["1.1.1.1"]) == "1.1.1.1")
    let all = try Self.proxies("::ffff:0:0/96")
    #expect(all.clientAddress(peer: "10.0.0.1", forwardedFor: ["1.1.1.1"]) == "1.1.1.1")
    #expect(all.clientAddress(peer: "::1", forwardedFor: ["1.1.1.1"]) == "::1")
  }

  @Test func `the ends of a block are in it, and their neighbours are not`() throws {
    let proxies = try Self.proxies("172.16.0.0/12,198.51.100.7/32,2001:db8:8000::/33")
    for (peer, isTrusted) in [
      "172.16.0.0": true, "172.31.255.255": true, "172.15.255.255": false, "172.32.0.0": false,
      "198.51.100.7": true, "198.51.100.6": false, "2001:db8:8000::": true,
      "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": true, "2001:db8:7fff:ffff::": false,
    ] {
      let client = proxies.clientAddress(peer: peer, forwardedFor: ["1.1.1.1"])
      #expect((client == "1.1.1.1") == isTrusted, "\(peer)")
    }
  }

  @Test func `a list that cannot be meant is refused, and says how to write it`() {
    for (list, message) in [
      "10.0.0.1/8": "'10.0.0.1/8' is inside a network; write 10.0.0.0/8",
      "fd00::1, fd00::1/64": "'fd00::1/64' is inside a network; write fd00::/64",
      "10.0.0.0/33": "'10.0.0.0/33' has no prefix length from 1 to 32 after the slash",
      "fd00::/129": "'fd00::/129' has no prefix length from 1 to 128 after the slash",
      "10.0.0.0/": "'10.0.0.0/' has no prefix length from 1 to 32 after the slash",
      "10.0.0.0/+8": "'10.0.0.0/+8' has no prefix length from 1 to 32 after the slash",
      "0.0.0.0/0": "'0.0.0.0/0' trusts everybody, so that clients could say any address is theirs",
      "lb.internal":
        "'lb.internal' is no address or network; write 10.0.0.0/8, fd00::/8 or 192.0.2.1",
      "10.0.0.1,": "'' is no address or network; write 10.0.0.0/8, fd00::/8 or 192.0.2.1",
      "10.0.0.0/8/8":
        "'10.0.0.0/8/8' is no address or network; write 10.0.0.0/8, fd00::/8 or 192.0.2.1",
    ] {
      #expect(throws: TrustedProxies.Invalid(description: message)) { try TrustedProxies(list) }
    }
  }
}
