import Domain
import JSON
import NIOCore

/// The body of `POST /v1/dataplane/ack`.
struct AcknowledgementPayload {
  let report: GatewayReport

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let positions: ClosedRange<Int64> = 1...QueryReader.largestInteger
    let reader = try PayloadReader(body)
    let name = reader.exactText("gateway", TextRules(1...100))
    let position = reader.integer("position", positions)
    var refusal: GatewayReport.Refusal?
    if let refused = reader.optionalObject("refused") {
      let position = refused.integer("position", positions)
      let reason = refused.string("reason", .reason)
      if let position, let reason { refusal = .init(position: position, reason: reason) }
    }
    try reader.finish()
    guard let name, let position else { throw Problem(.invalidRequest) }
    report = GatewayReport(name: name, position: position, refusal: refusal)
  }
}

/// How far a change has come.
struct Propagation {
  /// Who was not heard of for so long may be gone: it neither runs a change for certain, nor keeps one from being live.
  static let silence: Int64 = 60_000_000

  private enum State: String {
    case live, behind, refused, silent
  }

  let position: Int64
  /// The last change for gateways up to the position; what was appended behind it does not concern them.
  let effective: Int64
  let gateways: [GatewayRow]
  let now: Timestamp

  /// For a workspace: numbers only, because gateways are not theirs.
  var json: JSONObject {
    var counts: [State: Int64] = [:]
    for gateway in gateways { counts[state(of: gateway), default: 0] += 1 }
    var object = JSONObject()
    object.set("live", counts[.live] ?? 0)
    object.set("behind", counts[.behind] ?? 0)
    object.set("refused", counts[.refused] ?? 0)
    object.set("silent", counts[.silent] ?? 0)
    var body = JSONObject()
    body.set("position", position)
    body.set("is_live", (counts[.behind] ?? 0) == 0 && (counts[.refused] ?? 0) == 0)
    body.set("gateways", object)
    return body
  }

  /// For the platform.
  var gatewaysJSON: JSONObject {
    var data = JSONArray()
    for gateway in gateways {
      var object = JSONObject()
      object.set("gateway", gateway.report.name)
      object.set("token_id", gateway.tokenID.description)
      object.set("state", state(of: gateway).rawValue)
      object.set("position", gateway.report.position)
      let refusal = gateway.report.refusal.map { refusal in
        var object = JSONObject()
        object.set("position", refusal.position)
        object.set("reason", refusal.reason)
        return object
      }
      object.set("refused", refusal)
      object.set("seen_at", gateway.seenAt.rfc3339)
      data.append(object)
    }
    var body = JSONObject()
    body.set("position", position)
    body.set("data", data)
    return body
  }

  private func state(of gateway: GatewayRow) -> State {
    if gateway.report.position >= effective { return .live }
    if gateway.seenAt.advanced(by: Self.silence) < now { return .silent }
    return gateway.report.refusal == nil ? .behind : .refused
  }
}
