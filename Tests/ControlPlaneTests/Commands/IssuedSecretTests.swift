import Domain
import FoundationEssentials
import JSON
import Postgres
import Support
import Testing

@testable import ControlPlane

/// A secret that was ever issued is never issued again: an Idempotency-Key repeats a reply for as long as that is stored,
/// and afterwards it means a new request.
@Suite struct IssuedSecretTests {
  /// A request whose reply shows a secret.
  enum Kind: CaseIterable {
    case apiKey, rotatedAPIKey, serviceToken, rotatedServiceToken, personalToken, gatewayToken
    case webhookEndpoint, rotatedWebhookSecret
  }

  private struct Issuing {
    let path: String
    let body: String?
    var member = "token"
    /// Where the token that was made is revoked; nil where there is none of its own.
    var list: String?
  }

  private static func issuing(_ kind: Kind, by client: TestClient) async throws -> Issuing {
    let path = try await client.makeOrganization()
    let soon = Timestamp.now.advanced(by: 86_400_000_000).rfc3339
    let token = #"{"name":"A","role":"viewer","expires_at":"\#(soon)"}"#
    let endpoint = #"{"url":"https://hooks.example/"}"#
    func made(_ list: String, _ body: String) async throws -> String {
      let reply = try await client.post(list, body)
      return "\(list)/\(try #require(reply.json["id"]?.string, "\(reply.text)"))"
    }
    switch kind {
    case .apiKey:
      let keys = "\(try await client.makeProject(in: path))/api-keys"
      return Issuing(path: keys, body: #"{"name":"A"}"#, list: keys)
    case .rotatedAPIKey:
      let keys = "\(try await client.makeProject(in: path))/api-keys"
      return Issuing(path: "\(try await made(keys, #"{"name":"A"}"#)):rotate", body: nil)
    case .serviceToken:
      return Issuing(
        path: "\(path)/service-tokens", body: token, list: "\(path)/service-tokens")
    case .rotatedServiceToken:
      return Issuing(
        path: "\(try await made("\(path)/service-tokens", token))/rotate",
        body: #"{"grace_seconds":0}"#)
    case .personalToken:
      return Issuing(path: "/v1/me/tokens", body: #"{"name":"A"}"#, list: "/v1/me/tokens")
    case .gatewayToken:
      return Issuing(
        path: "/v1/platform/gateway-tokens", body: #"{"name":"A"}"#,
        list: "/v1/platform/gateway-tokens")
    case .webhookEndpoint:
      return Issuing(
        path: "\(path)/webhook-endpoints", body: endpoint, member: "secret",
        list: "\(path)/webhook-endpoints")
    case .rotatedWebhookSecret:
      return Issuing(
        path: "\(try await made("\(path)/webhook-endpoints", endpoint)):rotate-secret",
        body: nil, member: "secret")
    }
  }

  @Test(arguments: Kind.allCases)
  func `a key that is repeated after a day makes a new secret`(kind: Kind) async throws {
    let plane = try await TestControlPlane.shared
    let client = plane.client
    let issuing = try await Self.issuing(kind, by: client)
    let key = UUID().uuidString
    func send() async throws -> (secret: String, isReplay: Bool, id: String?) {
      let reply = try await client.post(
        issuing.path, issuing.body, headers: ["Idempotency-Key": key])
      #expect(reply.status < 300, "\(kind): \(reply.text)")
      let secret = try #require(reply.json[issuing.member]?.string, "\(reply.text)")
      return (secret, reply["idempotency-replayed"] == "true", try reply.json["id"]?.string)
    }
    /// Makes the stored reply as old as it may not get any more.
    func expire() async throws {
      try await plane.database.withSession { session throws in
        let rows = try session.execute(
          """
          UPDATE idempotency_records SET created_at = now() - interval '24 hours' \
          WHERE key = \(key) RETURNING body, sealed_secret
          """, deadline: .soon)
        let (body, sealed) = try #require(try rows.first?.decode(([UInt8], [UInt8]?).self))
        #expect(sealed != nil)
        #expect(!String(decoding: body, as: UTF8.self).contains("\"\(issuing.member)\""))
      }
    }

    let first = try await send()
    #expect(!first.isReplay)
    let second = try await send()
    #expect(second.isReplay)
    #expect(second.secret == first.secret)
    if let list = issuing.list, let id = first.id {
      #expect(try await client.send("DELETE", "\(list)/\(id)").status == 204)
    }
    try await expire()
    if kind == .rotatedAPIKey {
      // The key that took the first one's place stands in the way of another.
      let again = try await client.post(
        issuing.path, issuing.body, headers: ["Idempotency-Key": key])
      #expect(again.status == 409)
      #expect(!again.text.contains(first.secret))
      return
    }
    let third = try await send()
    #expect(!third.isReplay)
    #expect(third.secret != first.secret)
    let fourth = try await send()
    #expect(fourth.isReplay)
    #expect(fourth.secret == third.secret)
  }

  @Test func `a token that was revoked stays revoked, whatever is repeated`() async throws {
    let plane = try await TestControlPlane.shared
    let issuing = try await Self.issuing(.serviceToken, by: plane.client)
    let key = ["Idempotency-Key": UUID().uuidString]
    let made = try await plane.client.post(issuing.path, issuing.body, headers: key)
    let token = plane.client.with(token: try #require(made.json["token"]?.string))
    #expect(try await token.get("/v1/me").status == 200)
    let id = try #require(made.json["id"]?.string)
    #expect(try await plane.client.send("DELETE", "\(issuing.path)/\(id)").status == 204)
    try await plane.database.withSession { session throws in
      _ = try session.execute(
        "DELETE FROM idempotency_records WHERE key = \(key["Idempotency-Key"])", deadline: .soon)
    }
    let again = try await plane.client.post(issuing.path, issuing.body, headers: key)
    #expect(again.status == 201)
    #expect(try await token.get("/v1/me").status == 401)
  }

  @Test func `a rotation with a constant key rotates again after a day`() async throws {
    let plane = try await TestControlPlane.shared
    let issuing = try await Self.issuing(.rotatedServiceToken, by: plane.client)
    let key = ["Idempotency-Key": UUID().uuidString]
    var tokens: [TestClient] = []
    for _ in 0..<3 {
      let reply = try await plane.client.post(issuing.path, issuing.body, headers: key)
      #expect(reply.status == 200)
      #expect(reply["signalbox-position"] != nil, "it was a silent no-op")
      tokens.append(plane.client.with(token: try #require(reply.json["token"]?.string)))
      try await plane.database.withSession { session throws in
        _ = try session.execute(
          """
          UPDATE idempotency_records SET created_at = now() - interval '24 hours' \
          WHERE key = \(key["Idempotency-Key"])
          """, deadline: .soon)
      }
    }
    for token in tokens.dropLast() { #expect(try await token.get("/v1/me").status == 401) }
    #expect(try await tokens.last?.get("/v1/me").status == 200)
  }

  @Test func `of many who repeat a request at once, all see the one secret`() async throws {
    try await TestControlPlane.with(replicas: 2) { replicas in
      let issuing = try await Self.issuing(.serviceToken, by: replicas[0].client)
      let clients = replicas.map {
        TestClient(http: $0.client.http, token: replicas[0].client.token)
      }
      let replies = try await withThrowingTaskGroup { group in
        for number in 0..<20 {
          group.addTask {
            try await clients[number % 2].post(
              issuing.path, issuing.body, headers: ["Idempotency-Key": "at-once"])
          }
        }
        return try await group.reduce(into: [HTTPReply]()) { $0.append($1) }
      }
      let made = replies.filter { $0.status == 201 }
      #expect(!made.isEmpty)
      #expect(made.count { $0["idempotency-replayed"] == nil } == 1)
      #expect(replies.allSatisfy { [201, 409].contains($0.status) })
      let secrets = Set(try made.map { try $0.json["token"]?.string })
      #expect(secrets.count == 1)
      let token = clients[0].with(token: try #require(secrets.first ?? nil))
      #expect(try await token.get("/v1/me").status == 200)
    }
  }

  @Test func `a sealed secret opens for the request that it belongs to, and no other`() throws {
    let vault = ReplySecretVault(hasher: TokenHasher(pepper: [UInt8](repeating: 1, count: 32)))
    let (one, other) = (UUID(), UUID())
    let hash = [UInt8](repeating: 2, count: 32)
    let claim = IdempotencyClaim(principalID: one, key: "k", requestHash: hash)
    let sealed = try vault.seal("secret", into: claim).sealedSecret
    #expect(try vault.open(sealed, of: claim) == "secret")
    for wrong in [
      IdempotencyClaim(principalID: other, key: "k", requestHash: hash),
      IdempotencyClaim(principalID: one, key: "l", requestHash: hash),
      IdempotencyClaim(principalID: one, key: "k", requestHash: hash.reversed() + [0]), nil,
    ] {
      #expect(throws: (any Error).self) { try vault.open(sealed, of: wrong) }
    }
    #expect(throws: (any Error).self) { try vault.open(nil, of: claim) }
  }
}
