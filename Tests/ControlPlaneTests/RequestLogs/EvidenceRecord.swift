import Domain
import FoundationEssentials
import JSON
import Support
import Testing

@testable import ControlPlane

/// A record as a gateway sends it.
struct EvidenceRecord {
  var id: String
  var members: [(name: String, value: String)]

  /// - Parameter time: whose milliseconds are in the id, too.
  init(project: String, at time: Timestamp = .now, model: String = "gpt-4o") {
    id = "\(RequestLogID(Identifiers.next(at: time)))"
    members = [
      ("id", #""\#(id)""#), ("occurred_at", #""\#(time.rfc3339)""#),
      ("project_id", #""\#(project)""#), ("decision", #""allow""#), ("provider", #""openai""#),
      ("model", #""\#(model)""#), ("configuration_position", "7"),
    ]
  }

  /// The same with one more member, or another value of one.
  func with(_ name: String, _ value: String) -> EvidenceRecord {
    var copy = self
    copy.members.removeAll { $0.name == name }
    copy.members.append((name, value))
    return copy
  }

  /// The same of another request.
  var renewed: EvidenceRecord {
    let time = Timestamp.now
    var copy = self
    copy.id = "\(RequestLogID(Identifiers.next(at: time)))"
    return copy.with("id", #""\#(copy.id)""#).with("occurred_at", #""\#(time.rfc3339)""#)
  }

  func without(_ name: String) -> EvidenceRecord {
    var copy = self
    copy.members.removeAll { $0.name == name }
    return copy
  }

  /// With everything that there is.
  var full: EvidenceRecord {
    with("key_id", #""key_01jdexamp1e0000000000000ky""#).with("decision", #""block""#)
      .with("reason", #""network""#).with("rule_id", #""rul_01jdexamp1e0000000000000rv""#)
      .with("route", #""/v1/chat/\u00e4\n?""#.replacing("\\n", with: "")).with("country", #""DE""#)
      .with("region", #""europe""#).with("address", #""2001:db8::1""#)
      .with("tokens_requested", "4096").with("tokens_in", "10").with("tokens_out", "2.0e1")
      .with("cost_micro_usd", "1250").with("status", "403").with("latency_ms", "17")
      .with("configuration_position", "123456789012")
  }

  var text: String {
    "{\(members.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ","))}"
  }
}

/// A workspace on the plan with the longest retention, a project in it, and a gateway.
struct EvidenceWorld {
  let plane: TestControlPlane
  let owner: TestClient
  /// The organization's path.
  let path: String
  let project: String
  let gateway: TestClient

  init(_ plane: TestControlPlane) async throws {
    self.plane = plane
    owner = try await plane.makeUser().client
    path = try await owner.makeOrganization()
    project = String(try await owner.makeProject(in: path).split(separator: "/")[4])
    gateway = plane.client.with(token: try await plane.client.makeGatewayToken().secret)
  }

  func report(_ records: [EvidenceRecord]) async throws -> HTTPReply {
    try await gateway.post(
      "/v1/dataplane/request-logs", "[\(records.map(\.text).joined(separator: ","))]")
  }

  func list(_ query: String = "") async throws -> [String] {
    try await owner.all("\(path)/request-logs\(query.isEmpty ? "" : "?")\(query)").compactMap {
      $0["id"]?.string
    }
  }
}

extension HTTPReply {
  /// How many records were accepted, duplicates, and which were refused.
  var outcome: [Int64] {
    get throws {
      let json = try json
      let refused = json["refused"]?.array?.compactMap { $0["index"]?.integer } ?? [-1]
      return [json["accepted"]?.integer ?? -1, json["duplicates"]?.integer ?? -1] + refused
    }
  }

  /// What is wrong with refused records: pointers and codes.
  var recordErrors: [String] {
    get throws {
      (try json["refused"]?.array ?? []).flatMap { $0["errors"]?.array ?? [] }.map {
        "\($0["pointer"]?.string ?? "nil") \($0["code"]?.string ?? "nil")"
      }
    }
  }
}
