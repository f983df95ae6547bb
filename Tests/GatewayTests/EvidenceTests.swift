import ConfigurationFeed
import Domain
import FoundationEssentials
import JSON
import Synchronization
import Testing

@testable import Gateway

struct EvidenceTests {
  @Test func `evidence is sent again until it is confirmed, and neither lost nor doubled`()
    async throws
  {
    try await withStandIn { standIn in
      standIn.script {
        $0.evidence = { number, _ in
          switch number {
          case 0: .drop
          case 1: .status(503)
          case 2: .torn(Array("{}".utf8))  // taken, but nobody hears of it
          case 3: .status(429)
          case 4: .status(401)
          default: number % 3 == 0 ? .status(500) : .status(200, Array("{}".utf8))
          }
        }
      }
      try await withGateway(standIn.url, { $0.evidenceBatch = 50 }) { gateway in
        var ids: [String] = []
        for number in 0..<400 {
          let record = try self.record(number)
          ids.append(record.id)
          gateway.record(record)
          if number % 40 == 0 { try await Task.sleep(for: .milliseconds(5)) }
        }
        try await eventually("all is delivered") { gateway.metrics.evidenceDelivered == 400 }
        let state = standIn.state.withLock { ($0.accepted, $0.evidence) }
        #expect(Set(state.0) == Set(ids))
        // The batch that was taken unheard came again as it was: the control plane knows it by its ids.
        #expect(state.1[2] == state.1[3])
        #expect(state.0.count - ids.count == state.1[2].count)
        #expect(gateway.metrics.evidenceFailures >= 5)
        #expect(gateway.metrics.evidenceDropped == 0)
      }
    }
  }

  @Test func `when too many wait the oldest are dropped, and counted`() async throws {
    try await withStandIn { standIn in
      standIn.script { $0.evidence = { _, _ in .status(503) } }
      try await withGateway(standIn.url, capacity: 10, { $0.evidenceBatch = 3 }) { gateway in
        let records = try (0..<25).map { try record($0) }
        for record in records { gateway.record(record) }
        standIn.script { $0.evidence = { _, _ in .status(200, Array("{}".utf8)) } }
        try await eventually("the rest is delivered") {
          gateway.metrics.evidenceDelivered + gateway.metrics.evidenceDropped == 25
        }
        #expect(gateway.metrics.evidenceDropped >= 12)
        #expect(gateway.metrics.evidenceRecorded == 25)
        let accepted = standIn.state.withLock { Set($0.accepted) }
        #expect(accepted.isSuperset(of: records.suffix(7).map(\.id)))
      }
    }
  }

  @Test func `one record that is not taken keeps back none of the others`() async throws {
    try await withStandIn { standIn in
      let records = try (0..<40).map { try record($0) }
      let poison = records[17].id
      standIn.script {
        $0.evidence = { _, ids in
          ids.contains(poison) ? .status(422) : .status(200, Array("{}".utf8))
        }
      }
      try await withGateway(standIn.url) { gateway in
        for record in records { gateway.record(record) }
        try await eventually("the others are delivered") { gateway.metrics.evidenceDelivered == 39 }
        try await eventually("it is given up") { gateway.metrics.evidenceRefused == 1 }
        #expect(
          standIn.state.withLock { Set($0.accepted) }
            == Set(records.map(\.id)).subtracting([poison]))
      }
    }
  }

  @Test func `a record at which the control plane fails keeps back none of the others`()
    async throws
  {
    try await withStandIn { standIn in
      let records = try (0..<40).map { try record($0) }
      let poison = records[17].id
      standIn.script {
        $0.evidence = { _, ids in
          ids.contains(poison) ? .status(500) : .status(200, Array("{}".utf8))
        }
      }
      try await withGateway(standIn.url) { gateway in
        for record in records { gateway.record(record) }
        try await eventually("the others are delivered") { gateway.metrics.evidenceDelivered >= 39 }
        // It may be the control plane that is wrong, so the record stays until others were taken after it.
        gateway.record(try record(40))
        try await eventually("the next is delivered") { gateway.metrics.evidenceDelivered == 40 }
        try await eventually("it is given up") { gateway.metrics.evidenceRefused == 1 }
      }
    }
  }

  @Test func `a control plane that fails at everything loses nothing`() async throws {
    try await withStandIn { standIn in
      let records = try (0..<5).map { try record($0) }
      standIn.script {
        $0.evidence = { number, _ in
          number < 60 ? .status(500) : .status(200, Array("{}".utf8))
        }
      }
      try await withGateway(standIn.url) { gateway in
        for record in records { gateway.record(record) }
        try await eventually("all is delivered") { gateway.metrics.evidenceDelivered == 5 }
        #expect(gateway.metrics.evidenceRefused == 0)
        #expect(standIn.state.withLock { Set($0.accepted) } == Set(records.map(\.id)))
      }
    }
  }

  @Test func `what the control plane refuses of a batch is counted`() async throws {
    try await withStandIn { standIn in
      standIn.script {
        $0.evidence = { _, ids in
          .status(
            200,
            Array(
              #"{"accepted":\#(ids.count - 1),"duplicates":0,"refused":[{"index":0,"errors":[]}]}"#
                .utf8))
        }
      }
      try await withGateway(standIn.url) { gateway in
        let records = try (0..<5).map { try record($0) }
        for record in records { gateway.record(record) }
        try await eventually("all is answered") {
          gateway.metrics.evidenceDelivered + gateway.metrics.evidenceRefused == 5
        }
        #expect(gateway.metrics.evidenceRefused >= 1)
      }
    }
  }

  @Test func `what waits at the end is delivered before it ends`() async throws {
    try await withStandIn { standIn in
      let records = try (0..<2500).map { try record($0) }
      try await withGateway(standIn.url, { $0.evidence = .seconds(60) }) { gateway in
        for record in records { gateway.record(record) }
      }
      #expect(standIn.state.withLock { $0.accepted } == records.map(\.id))
    }
  }

  @Test func `the members of a record`() throws {
    var asked = request(
      .valid(VerifiedKey(id: "key_1", organization: organization1, project: project1)),
      address: "2001:DB8::1", tokens: 10, time: Date(timeIntervalSince1970: 1_700_000_000.123))
    asked.model = "gpt-4o"
    var record = try #require(
      RequestRecord(
        asked,
        GatewayDecision(isAllowed: false, reason: .network, ruleID: "rul_1", position: 9)))
    record.route = "/v1/chat/completions"
    record.tokensIn = 1
    record.tokensOut = 2
    record.costMicroUSD = 3
    record.status = 403
    record.latencyMilliseconds = 4
    let id = record.id
    #expect(id.hasPrefix("log_"))
    #expect(
      String(decoding: record.json.bytes(), as: UTF8.self)
        == #"{"id":"\#(id)","occurred_at":"2023-11-14T22:13:20.123000Z","project_id":"\#(project1)","key_id":"key_1","decision":"block","#
        + #""reason":"network","rule_id":"rul_1","route":"/v1/chat/completions","provider":"openai","#
        + #""model":"gpt-4o","country":"DE","address":"2001:db8::1","tokens_requested":10,"#
        + #""tokens_in":1,"tokens_out":2,"cost_micro_usd":3,"status":403,"latency_ms":4,"#
        + #""configuration_position":9}"#)
  }

  @Test func `whatever a client asks for, the record is within the contract`() throws {
    var asked = request(
      .valid(VerifiedKey(id: "key_1", organization: organization1, project: project1)),
      tokens: .max)
    // Seven code points that are one character, so many times.
    asked.model = String(repeating: "👨‍👩‍👧‍👦", count: 200)
    asked.provider = "open\u{0}ai\n" + String(repeating: "x", count: 60)
    var record = try #require(
      RequestRecord(asked, GatewayDecision(isAllowed: true, reason: nil, position: 9)))
    record.route = "/v1/\u{7F}" + String(repeating: "e\u{301}", count: 200)
    record.tokensIn = .min
    record.tokensOut = .max
    record.costMicroUSD = .max
    record.status = .max
    record.latencyMilliseconds = -1
    let json = try JSONValue.parse(record.json.bytes())
    for (name, longest) in [("model", 200), ("provider", 50), ("route", 200)] {
      let text = try #require(json[name]?.string)
      #expect(text.unicodeScalars.count == longest)
      #expect(text.unicodeScalars.last == "\u{2026}")
      #expect(text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
    }
    #expect(json["provider"]?.string?.hasPrefix("open\u{FFFD}ai\u{FFFD}x") == true)
    #expect(json["tokens_requested"] == .integer(1_000_000_000))
    #expect(json["tokens_in"] == .integer(0))
    #expect(json["tokens_out"] == .integer(1_000_000_000))
    #expect(json["cost_micro_usd"] == .integer(1_000_000_000))
    #expect(json["status"] == .integer(599))
    #expect(json["latency_ms"] == .integer(0))
  }

  @Test func `a request with no key that there is, is evidence of no project`() {
    let decision = GatewayDecision(isAllowed: false, reason: .key, position: 1)
    #expect(RequestRecord(request(.unknown), decision) == nil)
    #expect(RequestRecord(request(.malformed), decision) == nil)
  }

  func record(_ number: Int) throws -> RequestRecord {
    let key = VerifiedKey(id: "key_\(number)", organization: organization1, project: project1)
    return try #require(
      RequestRecord(
        request(.valid(key)), GatewayDecision(isAllowed: true, reason: nil, position: 1)))
  }
}
