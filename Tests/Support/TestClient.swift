package import JSON
package import Testing

/// A caller of the API, as one user or as nobody. Every reply is held against the contract.
package struct TestClient: Sendable {
  package let http: HTTPClient
  package var token: String?

  package init(http: HTTPClient, token: String?) {
    self.http = http
    self.token = token
  }

  /// The same server, seen with another token.
  package func with(token: String?) -> TestClient {
    TestClient(http: http, token: token)
  }

  /// Sends a request; what of the reply the contract does not know is recorded as an issue.
  package func send(
    _ method: String, _ target: String, _ body: String? = nil, headers: [String: String] = [:],
    at location: SourceLocation = #_sourceLocation
  ) async throws -> HTTPReply {
    var fields = headers.map { ($0.key, $0.value) }
    if let token, headers["Authorization"] == nil {
      fields.append(("Authorization", "Bearer \(token)"))
    }
    if body != nil, headers["Content-Type"] == nil {
      fields.append(("Content-Type", "application/json"))
    }
    let reply = try await http.send(
      method, target, headers: fields, body: body.map { Array($0.utf8) })
    for violation in try Contract.current.get().violations(method, target, reply) {
      Issue.record("\(violation)\n\(reply.text)", sourceLocation: location)
    }
    return reply
  }

  package func get(
    _ target: String, headers: [String: String] = [:],
    at location: SourceLocation = #_sourceLocation
  ) async throws -> HTTPReply {
    try await send("GET", target, headers: headers, at: location)
  }

  package func post(
    _ target: String, _ body: String? = nil, headers: [String: String] = [:],
    at location: SourceLocation = #_sourceLocation
  ) async throws -> HTTPReply {
    try await send("POST", target, body, headers: headers, at: location)
  }

  /// A PATCH for the version that `ifMatch` names, by default for any.
  package func patch(
    _ target: String, _ body: String, ifMatch: String? = "*", headers: [String: String] = [:],
    at location: SourceLocation = #_sourceLocation
  ) async throws -> HTTPReply {
    var headers = headers
    headers["If-Match"] = ifMatch
    return try await send("PATCH", target, body, headers: headers, at: location)
  }

  package func put(
    _ target: String, _ body: String, headers: [String: String] = [:],
    at location: SourceLocation = #_sourceLocation
  ) async throws -> HTTPReply {
    try await send("PUT", target, body, headers: headers, at: location)
  }

  /// Makes an organization and returns its path.
  package func makeOrganization(
    _ name: String = "Acme", at location: SourceLocation = #_sourceLocation
  ) async throws -> String {
    let reply = try await post("/v1/organizations", #"{"name":"\#(name)"}"#, at: location)
    return try #require(reply["location"], "\(reply.text)", sourceLocation: location)
  }

  /// Makes a project and returns its path.
  package func makeProject(
    in organization: String, _ name: String = "Assistant", environment: String = "live",
    at location: SourceLocation = #_sourceLocation
  ) async throws -> String {
    let reply = try await post(
      "\(organization)/projects", #"{"name":"\#(name)","environment":"\#(environment)"}"#,
      at: location)
    return try #require(reply["location"], "\(reply.text)", sourceLocation: location)
  }

  /// All items of a list, page by page.
  package func all(
    _ target: String, limit: Int = 200, at location: SourceLocation = #_sourceLocation
  ) async throws -> [JSONValue] {
    var items: [JSONValue] = []
    var cursor: String?
    repeat {
      let separator = target.contains("?") ? "&" : "?"
      let more = cursor.map { "&cursor=\($0)" } ?? ""
      let reply = try await get("\(target)\(separator)limit=\(limit)\(more)", at: location)
      let page = try #require(
        try reply.json["data"]?.array, "\(reply.text)", sourceLocation: location)
      items += page
      cursor = try reply.json["next_cursor"]?.string
    } while cursor != nil
    return items
  }
}

extension HTTPReply {
  /// The body, read strictly.
  package var json: JSONValue {
    get throws { try JSONValue.parse(body) }
  }

  package var text: String { String(decoding: body, as: UTF8.self) }

  /// The code of a problem.
  package var problem: String? {
    get throws { try json["code"]?.string }
  }

  /// Where a problem sees something wrong: pointers, parameters and headers.
  package var places: [String] {
    get throws {
      (try json["errors"]?.array ?? []).compactMap {
        $0["pointer"]?.string ?? $0["parameter"]?.string ?? $0["header"]?.string
      }
    }
  }
}
