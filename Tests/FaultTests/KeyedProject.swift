import Gateway
import JSON
import Support
import Testing

/// A project over HTTP, with an API key.
struct KeyedProject: Sendable {
  let organization: String
  let path: String
  let key: String
  /// Of the key as a resource.
  let keyPath: String

  var id: String { String(path.split(separator: "/").last ?? "") }

  init(_ client: TestClient) async throws {
    organization = try await client.makeOrganization()
    path = try await client.makeProject(in: organization)
    let made = try await client.post("\(path)/api-keys", #"{"name":"Shop"}"#)
    key = try #require(try made.json["token"]?.string, "\(made.text)")
    keyPath = try #require(made["location"])
  }

  /// The ids of all evidence there is.
  func evidence(_ client: TestClient) async throws -> [String] {
    try await client.all("\(organization)/request-logs").compactMap { $0["id"]?.string }
  }
}

extension KeyedProject {
  /// Switches panic mode on, as soon as that can be done.
  ///
  /// - Returns: where in the log that is.
  func stopTraffic(_ admin: TestClient) async throws -> Int64 {
    var reply: HTTPReply?
    try await eventually("changes are taken again") {
      reply = try await admin.put("\(path)/panic-mode", #"{"enabled":true}"#)
      return reply?.status == 200
    }
    if let position = reply?["signalbox-position"].flatMap({ Int64($0) }) { return position }
    // Done by an attempt that was not answered; it is the last event then.
    let events = try await admin.get("\(organization)/events?limit=200")
    return try #require(try events.json["data"]?.array?.last?["position"]?.integer)
  }

  /// Asserts that all of them are up to date, and block.
  func expectStopped(_ gateways: [RunningGateway], _ position: Int64) async throws {
    for gateway in gateways {
      try await gateway.catchUp(to: position)
      #expect(try gateway.decide(key).reason == .panicMode)
    }
  }

  /// Asserts that each of these is there once, and nothing else is.
  func expectEvidence(_ expected: [String], _ admin: TestClient) async throws {
    var found: [String] = []
    try await eventually("evidence arrives") {
      found = try await evidence(admin)
      return found.count >= expected.count
    }
    #expect(found.sorted() == expected.sorted())
  }
}
