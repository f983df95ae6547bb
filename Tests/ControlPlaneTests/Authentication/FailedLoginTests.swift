import Cryptography
import Domain
import Glibc
import Identity
import Support
import Testing

@testable import ControlPlane

/// FAULTS.md row 25: logins that fail, from an address that others are behind, too.
@Suite struct FailedLoginTests {
  @Test func `a good token is served whatever fails at its address, and only failures are refused`()
    async throws
  {
    try await TestControlPlane.with({
      $0.rateLimits = RateLimiter(
        address: RateLimitPolicy(.address, quota: 60, window: 3600, burst: 2))
    }) { planes in
      let client = planes[0].client
      let known = try await planes[0].makeUser().client
      #expect(try await known.get("/v1/me").status == 200)
      var failures: [Int] = []
      for number in 0..<6 {
        failures.append(try await client.with(token: "sbp_wrong\(number)").get("/v1/me").status)
      }
      #expect(failures == [401, 401, 429, 429, 429, 429])
      // One token that this process knows, and new ones that it has to look up, while others go on failing.
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<8 {
          group.addTask {
            for attempt in 0..<10 {
              let reply = try await client.with(token: "sbp_\(number)_\(attempt)").get("/v1/me")
              #expect(reply.status == 429)
            }
          }
        }
        for _ in 0..<20 {
          #expect(try await known.get("/v1/me").status == 200)
          let new = try await planes[0].makeUser().client
          #expect(try await new.get("/v1/me").status == 200)
        }
        try await group.waitForAll()
      }
    }
  }

  @Test func `whoever waits for the keys of a silent issuer holds up no other token`() async throws
  {
    let issuer = try SilentServer()
    let provider = try IdentityProvider(
      issuer: "https://id.example.com", audiences: ["signalbox"],
      jwksURL: "http://127.0.0.1:\(issuer.port)/keys")
    try await TestControlPlane.with({
      $0.identityProviders = [provider]
      $0.rateLimits = RateLimiter(
        address: RateLimitPolicy(.address, quota: 60, window: 3600, burst: 1))
    }) { planes in
      let client = planes[0].client
      for number in 0..<2 {
        _ = try await client.with(token: "sbp_wrong\(number)").get("/v1/me")
      }
      let end = Timestamp.now.seconds + 300
      try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<8 {
          let token = Self.token(
            header: #"{"alg":"RS256","typ":"at+jwt","kid":"\#(number)"}"#,
            payload:
              #"{"iss":"https://id.example.com","aud":"signalbox","sub":"x","exp":\#(end)}"#)
          group.addTask { try await client.with(token: token).get("/v1/me").status }
        }
        try await Task.sleep(for: .milliseconds(500))
        let start = ContinuousClock.now
        for _ in 0..<3 {
          let new = try await planes[0].makeUser().client
          #expect(try await new.get("/v1/me").status == 200)
        }
        #expect(ContinuousClock.now - start < .seconds(3))
        // The issuer never answers, so nobody can say whether these tokens are good.
        for try await status in group { #expect(status == 503) }
      }
    }
  }

  private static func token(header: String, payload: String) -> String {
    [Array(header.utf8), Array(payload.utf8), [UInt8](repeating: 1, count: 256)]
      .map(Base64URL.encode).joined(separator: ".")
  }

  // MARK: Turnstile

  @Test func `a few pass at a time, and all of them in the end`() async throws {
    let turnstile = Turnstile(places: 2)
    let inside = Counter()
    let most = Counter()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<50 {
        group.addTask {
          try await turnstile.pass {
            inside.add(1)
            if inside.value - most.value > 2 { Issue.record("more than two are inside") }
            try await Task.sleep(for: .milliseconds(1))
            most.add(1)
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(inside.value == 50)
    #expect(turnstile.waitingCount == 0)
  }

  @Test func `a cancelled caller leaves the queue, and keeps no place`() async throws {
    let turnstile = Turnstile(places: 1)
    let holder = Task { try await turnstile.pass { try await Task.sleep(for: .milliseconds(200)) } }
    while !Task.isCancelled {
      let waiter = Task { try await turnstile.pass {} }
      try await Task.sleep(for: .milliseconds(20))
      if turnstile.waitingCount == 1 {
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await waiter.value }
        #expect(turnstile.waitingCount == 0)
        break
      }
    }
    try await holder.value
    try await turnstile.pass {}
  }

  // MARK: Streams

  @Test func `a caller holds sixteen streams open, and others are not concerned`() {
    let limits = StreamLimits()
    let (ada, ben) = (UserID(Identifiers.next()).uuid, UserID(Identifiers.next()).uuid)
    var places = (0..<16).map { _ in limits.open(for: ada) }
    #expect(places.allSatisfy { $0 != nil })
    #expect(limits.open(for: ada) == nil)
    #expect(limits.open(for: ben) != nil)
    places[0]?.close()
    places[0]?.close()
    #expect(limits.open(for: ada) != nil, "closed once, although twice asked to")
    places.removeAll()
    #expect(limits.open(for: ada) != nil)
  }
}

/// Takes connections, as far as the kernel does by itself, and never says anything.
private final class SilentServer: Sendable {
  let port: UInt16
  private let descriptor: Int32

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let isListening = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    guard isListening else { throw POSIXFailure(code: errno) }
  }

  deinit { close(descriptor) }

  private struct POSIXFailure: Error { let code: Int32 }
}
