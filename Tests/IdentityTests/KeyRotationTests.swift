import JSON
import Testing

@testable import Identity

struct KeyRotationTests {
  private let old = TestKey.es256("old")
  private let new = TestKey.es256("new")

  @Test func `while no keys can be had, nothing is accepted, and the issuer is not hammered`()
    async throws
  {
    let issuer = TestIssuer([old])
    issuer.setDown(true)
    let verifier = try issuer.verifier()
    for _ in 0..<5 {
      await #expect(throws: IdentityError.unavailable) {
        try await verifier.verify(old.token(), at: TestIssuer.now)
      }
    }
    #expect(issuer.fetchCount == 1)
    issuer.advance(by: .seconds(1))
    await #expect(throws: IdentityError.unavailable) {
      try await verifier.verify(old.token(), at: TestIssuer.now)
    }
    #expect(issuer.fetchCount == 2)

    issuer.setDown(false)
    issuer.advance(by: .seconds(2))
    _ = try await verifier.verify(old.token(), at: TestIssuer.now)
    #expect(issuer.fetchCount == 3)
  }

  @Test func `a new key is fetched at once, but made-up names only after the cool-down`()
    async throws
  {
    let issuer = TestIssuer([old])
    let verifier = try issuer.verifier()
    _ = try await verifier.verify(old.token(), at: TestIssuer.now)
    issuer.publish([old, new])
    _ = try await verifier.verify(new.token(), at: TestIssuer.now)
    _ = try await verifier.verify(new.token(), at: TestIssuer.now)
    #expect(issuer.fetchCount == 2)

    let unknown = try TestKey.es256("unknown").token()
    issuer.advance(by: .seconds(29))
    _ = await refusal(of: unknown, by: verifier)
    #expect(issuer.fetchCount == 2)
    issuer.advance(by: .seconds(1))
    for _ in 0..<3 { _ = await refusal(of: unknown, by: verifier) }
    #expect(issuer.fetchCount == 3)
  }

  @Test func `a token that is refused anyway causes no fetch`() async throws {
    let issuer = TestIssuer([old])
    let verifier = try issuer.verifier()
    for claims: [String: JSONValue?] in [["aud": "x"], ["iss": "x"], ["exp": .integer(1)]] {
      _ = await refusal(of: try old.token(claims: claims), by: verifier)
    }
    #expect(issuer.fetchCount == 0)
  }

  @Test func `many at once share one fetch`() async throws {
    let issuer = TestIssuer([old])
    issuer.setDelay(.milliseconds(50))
    let verifier = try issuer.verifier()
    let key = old
    try await withThrowingTaskGroup { group in
      for _ in 0..<50 {
        group.addTask { _ = try await verifier.verify(key.token(), at: TestIssuer.now) }
      }
      try await group.waitForAll()
    }
    #expect(issuer.fetchCount == 1)

    await withTaskGroup { group in
      for index in 0..<50 {
        group.addTask {
          guard let token = try? TestKey.es256("unknown-\(index)").token() else { return }
          _ = await refusal(of: token, by: verifier)
        }
      }
    }
    #expect(issuer.fetchCount == 2)
  }

  @Test func `an identity is current for as long as its key is published`() async throws {
    let issuer = TestIssuer([old])
    let verifier = try issuer.verifier()
    let identity = try await verifier.verify(old.token(), at: TestIssuer.now)
    issuer.publish([old, new])
    let second = try await verifier.verify(new.token(), at: TestIssuer.now)
    #expect(second.keySetGeneration == identity.keySetGeneration + 1)
    #expect(verifier.isCurrent(identity))

    // Another key under the old one's name.
    issuer.publish([new, TestKey.es256("old")])
    issuer.advance(by: .seconds(30))
    _ = await refusal(of: try TestKey.es256("unknown").token(), by: verifier)
    #expect(!verifier.isCurrent(identity))
    #expect(verifier.isCurrent(second))
    #expect(await refusal(of: try old.token(), by: verifier).contains("signature"))

    // A set without keys is the issuer's word too.
    issuer.publish([])
    issuer.advance(by: .seconds(30))
    #expect(await refusal(of: try old.with("kid", "gone").token(), by: verifier).contains("kid"))
    #expect(!verifier.isCurrent(second))
    #expect(try !TestIssuer().verifier([]).isCurrent(second))
  }

  @Test func `a failed fetch keeps the keys that are known`() async throws {
    let issuer = TestIssuer([old])
    let verifier = try issuer.verifier()
    let identity = try await verifier.verify(old.token(), at: TestIssuer.now)
    issuer.setDown(true)
    #expect(await refusal(of: try new.token(), by: verifier).contains("exactly one key"))
    #expect(issuer.fetchCount == 2)
    _ = try await verifier.verify(old.token(), at: TestIssuer.now)
    #expect(verifier.isCurrent(identity))
  }

  @Test(.timeLimit(.minutes(1)))
  func `a withdrawn key is noticed in the background, until the task is cancelled`() async throws {
    let issuer = TestIssuer([old])
    let verifier = try issuer.verifier()
    let identity = try await verifier.verify(old.token(), at: TestIssuer.now)
    let run = Task { await verifier.run(every: .milliseconds(5)) }
    issuer.setDown(true)
    while issuer.fetchCount < 4 { try await Task.sleep(for: .milliseconds(1)) }
    #expect(verifier.isCurrent(identity))

    issuer.setDown(false)
    issuer.publish([new])
    while verifier.isCurrent(identity) { try await Task.sleep(for: .milliseconds(1)) }

    issuer.setDelay(.seconds(1000))
    let count = issuer.fetchCount
    while issuer.fetchCount == count { try await Task.sleep(for: .milliseconds(1)) }
    run.cancel()
    await run.value
  }

  @Test(.timeLimit(.minutes(1)))
  func `without anything to refresh the task runs on until it is cancelled`() async throws {
    let local = try await LocalIssuer()
    let verifier = try TestIssuer().verifier([local.provider])
    let run = Task { await verifier.run() }
    let isFirst = await withTaskGroup { group in
      group.addTask {
        await run.value
        return false
      }
      group.addTask {
        try? await Task.sleep(for: .milliseconds(50))
        run.cancel()
        return true
      }
      defer { group.cancelAll() }
      return await group.next()
    }
    #expect(isFirst == true)
  }
}
