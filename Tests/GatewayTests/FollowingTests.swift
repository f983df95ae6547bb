import ConfigurationFeed
import Domain
import FoundationEssentials
import JSON
import NIOPosix
import Synchronization
import Testing

@testable import Gateway

struct FollowingTests {
  @Test func `a new gateway fetches the whole, follows, and tells what it runs`() async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(5)
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("is up to date") { !gateway.status.isStale }
        #expect(gateway.status.position == 5)
        #expect(gateway.decide().isAllowed)
        #expect(gateway.decide().position == 5)
        standIn.sendChange(panicOn, at: 6)
        try await eventually("panics") { gateway.decide().reason == .panicMode }
        #expect(gateway.decide().position == 6)
        standIn.sendChange(panicOff, at: 9)
        try await eventually("has calmed down") { gateway.decide().isAllowed }
        try await eventually("tells so") {
          standIn.state.withLock { $0.acknowledgements.last?["position"] } == .integer(9)
        }
        let told = standIn.state.withLock { $0.acknowledgements.last }
        #expect(told?["gateway"] == .string("test-1"))
        #expect(told?["refused"] == nil)
        #expect(standIn.state.withLock { $0.cursors } == ["5"])
        #expect(gateway.metrics.changesApplied == 2)
      }
    }
  }

  @Test func `a replica that is lost is left for the next, and nothing is fetched twice`()
    async throws
  {
    try await withStandIn { first in
      try await withStandIn { second in
        let document = try sample(at: 5)
        first.script {
          $0.snapshot = .status(200, document.bytes())
          $0.greeting = StandIn.status(5)
        }
        second.script {
          $0.greeting =
            StandIn.status(6) + ServerSentEvent(id: "6", event: "change", data: panicOn).bytes
        }
        try await withGateway(first.url, or: second.url) { gateway in
          try await eventually("is up to date") { !gateway.status.isStale }
          #expect(second.state.withLock { $0.cursors } == [])
          try await first.stop()
          try await eventually("has what the other says") { gateway.decide().reason == .panicMode }
          #expect(second.state.withLock { $0.cursors } == ["5"])
          #expect(second.state.withLock { $0.snapshots } == 0)
          try await eventually("is up to date again") { !gateway.status.isStale }
        }
      }
    }
  }

  @Test func `before there is a configuration nothing passes`() async throws {
    try await withStandIn { standIn in
      standIn.script { $0.snapshot = .status(503) }
      try await withGateway(standIn.url) { gateway in
        try await eventually("has tried") { standIn.state.withLock { $0.snapshots } > 1 }
        #expect(gateway.status.position == nil)
        #expect(gateway.status.isStale)
        #expect(gateway.verify(key: apiKey(1)) == .unknown)
        #expect(gateway.decide() == GatewayDecision(isAllowed: false, reason: .key, position: 0))
      }
    }
  }

  @Test
  func `started from its file while the control plane is away, it serves at once, and catches up`()
    async throws
  {
    try await withTemporaryPath { path in
      try SnapshotFile(path: path).save(sample(at: 7))
      let standIn = StandIn()
      try await standIn.start()
      try await standIn.stop()
      try await withGateway(standIn.url, path: path) { gateway in
        try await eventually("serves") { gateway.decide().isAllowed }
        #expect(gateway.status.position == 7)
        #expect(gateway.status.isStale)
        try await eventually("says why") { gateway.status.lastError != nil }
        standIn.script {
          $0.greeting =
            StandIn.status(8)
            + ServerSentEvent(id: "8", event: "change", data: panicOn).bytes
        }
        try await standIn.start()
        try await eventually("has caught up") { !gateway.status.isStale }
        #expect(gateway.decide().reason == .panicMode)
        #expect(gateway.status.lastError == nil)
        #expect(standIn.state.withLock { $0.cursors.first } == "7")
        #expect(standIn.state.withLock { $0.snapshots } == 0)
      }
      #expect(try SnapshotFile(path: path).load()?.position == 8)
      try await standIn.stop()
    }
  }

  @Test
  func
    `is stale until it has what the control plane says there is, and while that is stale itself`()
    async throws
  {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(7)
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("is connected") { gateway.status.isConnected }
        #expect(gateway.status.isStale)
        standIn.sendChange(panicOn, at: 6)
        try await eventually("has the change") { gateway.status.position == 6 }
        #expect(gateway.status.isStale)
        standIn.sendChange(panicOff, at: 7)
        try await eventually("has caught up") { !gateway.status.isStale }
        let since = gateway.status.since
        standIn.send(StandIn.status(7, isStale: true))
        try await eventually("says that the control plane is stale") { gateway.status.isStale }
        #expect(gateway.status.since >= since)
        standIn.send(StandIn.status(7))
        try await eventually("is up to date again") { !gateway.status.isStale }
      }
    }
  }

  @Test func `a connection that is lost in the middle of a change loses nothing`() async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(5)
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("is up to date") { !gateway.status.isStale }
        let change = ServerSentEvent(id: "6", event: "change", data: panicOn).bytes
        // given half a change; also its data is complete JSON, but nobody said that it ends there
        standIn.send(Array(change.dropLast(1)))
        standIn.script { $0.greeting = StandIn.status(6) + change }
        try await Task.sleep(for: .milliseconds(50))
        #expect(gateway.decide().isAllowed)
        standIn.dropConnections()
        try await eventually("has the change") { gateway.decide().reason == .panicMode }
        #expect(standIn.state.withLock { $0.cursors } == ["5", "5"])
        #expect(standIn.state.withLock { $0.snapshots } == 1)
        #expect(gateway.metrics.changesApplied == 1)
      }
    }
  }

  @Test func `a connection on which nothing arrives is given up`() async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(5)
      }
      try await withGateway(standIn.url, { $0.silence = .seconds(1) }) { gateway in
        try await eventually("has connected again") { gateway.metrics.connections >= 3 }
        // but heartbeats keep it
        let heartbeats = Task {
          while !Task.isCancelled {
            standIn.send(ServerSentEvent.comment("heartbeat"))
            try await Task.sleep(for: .milliseconds(100))
          }
        }
        try await Task.sleep(for: .milliseconds(1200))
        let connections = gateway.metrics.connections
        try await Task.sleep(for: .seconds(3))
        #expect(gateway.metrics.connections == connections)
        heartbeats.cancel()
      }
    }
  }

  @Test(arguments: [
    projectPatch(#"{"rules":{"\#(RuleID.number(1))":{"hours":"9-17","effect":"deny"}}}"#),
    projectPatch(#"{"environment":null}"#), projectPatch("7"), "{", #"{"format":2}"#,
    projectPatch(#"{"api_keys":{"key_2":{"hash":"short"}}}"#),
    #"{"organizations":{"\#(organization1)":{"plan":"gold"}}}"#,
  ])
  func `a change that cannot be applied is refused, and what was before goes on to decide`(
    patch: String
  ) async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(5)
      }
      try await withGateway(
        standIn.url, { $0.backoff = Backoff(base: .seconds(30), most: .seconds(30)) }
      ) {
        gateway in
        try await eventually("is up to date") { !gateway.status.isStale }
        standIn.sendChange(patch, at: 6)
        try await eventually("says so") {
          standIn.state.withLock { $0.acknowledgements.contains { $0["refused"] != nil } }
        }
        let told = standIn.state.withLock { $0.acknowledgements.last { $0["refused"] != nil } }
        #expect(told?["position"] == .integer(5))
        #expect(told?["refused"]?["position"] == .integer(6))
        #expect(told?["refused"]?["reason"]?.string?.isEmpty == false)
        #expect(gateway.status.position == 5)
        #expect(gateway.status.isStale)
        #expect(gateway.status.lastError?.hasPrefix("position 6 cannot be applied") == true)
        #expect(gateway.decide().isAllowed)
        #expect(gateway.metrics.changesRefused == 1)
      }
    }
  }

  @Test func `after a change that it refused it fetches the whole, and recovers`() async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(5)
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("is up to date") { !gateway.status.isStale }
        let repaired = try sample(at: 7) { project, _ in
          project.panicMode = .init(since: Timestamp(clamping: 0))
        }
        standIn.script {
          $0.snapshot = .status(200, repaired.bytes())
          $0.greeting = StandIn.status(7)
        }
        standIn.sendChange("{", at: 6)
        try await eventually("is up to date again") {
          !gateway.status.isStale && gateway.status.position == 7
        }
        #expect(gateway.decide().reason == .panicMode)
      }
    }
  }

  @Test(arguments: [
    #"{"format":2,"position":9}"#, "{", #"{"format":1,"position":9,"organizations":{"x":{}}}"#,
    #"{"format":1,"position":9,"organizations":{"\#(organization1)":{}}}"#,
    #"{"format":1,"position":9,"organizations":{"\#(organization1)":{"plan":"plus","projects":{"\#(project1)":{}}}}}"#,
  ])
  func `a whole configuration that cannot be read replaces nothing`(snapshot: String) async throws {
    try await withTemporaryPath { path in
      try SnapshotFile(path: path).save(sample(at: 7))
      try await withStandIn { standIn in
        standIn.script {
          $0.snapshot = .status(200, Array(snapshot.utf8))
          $0.greeting = ServerSentEvent(event: "reset", data: #"{"reason":"too old"}"#).bytes
        }
        try await withGateway(standIn.url, path: path) { gateway in
          try await eventually("has tried") { standIn.state.withLock { $0.snapshots } > 1 }
          #expect(gateway.decide().isAllowed)
          #expect(gateway.status.position == 7)
          #expect(gateway.status.isStale)
        }
      }
      #expect(try SnapshotFile(path: path).load()?.position == 7)
    }
  }

  @Test func `changes that are not newer are ignored`() async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(5)
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("is up to date") { !gateway.status.isStale }
        standIn.sendChange(panicOn, at: 8)
        standIn.sendChange(panicOff, at: 8)
        standIn.sendChange(panicOff, at: 7)
        standIn.sendChange("not even JSON", at: 5)
        standIn.sendChange(projectPatch(#"{"budgets":{"requests_per_month":9}}"#), at: 9)
        try await eventually("has the last one") { gateway.status.position == 9 }
        #expect(gateway.decide().reason == .panicMode)
        #expect(gateway.metrics.changesApplied == 2)
        #expect(gateway.metrics.changesIgnored == 3)
        #expect(gateway.metrics.connections == 1)
      }
    }
  }

  @Test func `at a reset it fetches the whole, also one of an earlier position`() async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 50)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(50)
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("is up to date") { !gateway.status.isStale }
        let restored = try sample(at: 40) { project, _ in
          project.apiKeys = ["key_2": configuredKey(2)]
        }
        standIn.script {
          $0.snapshot = .status(200, restored.bytes())
          $0.greeting = StandIn.status(40)
        }
        standIn.send(ServerSentEvent(event: "reset", data: #"{"reason":"ahead"}"#))
        try await eventually("runs what there is") { gateway.status.position == 40 }
        try await eventually("is up to date") { !gateway.status.isStale }
        #expect(!gateway.decide(1).isAllowed)
        #expect(gateway.decide(2).isAllowed)
        #expect(standIn.state.withLock { $0.cursors } == ["50", "40"])
      }
    }
  }

  @Test func `a control plane that resets again and again is not pressed`() async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = ServerSentEvent(event: "reset", data: "{}").bytes
      }
      try await withGateway(
        standIn.url, { $0.backoff = Backoff(base: .seconds(60), most: .seconds(60)) }
      ) { gateway in
        try await eventually("has tried twice") { standIn.state.withLock { $0.snapshots } == 2 }
        try await Task.sleep(for: .milliseconds(200))
        #expect(standIn.state.withLock { $0.snapshots } <= 3)
        #expect(gateway.decide().isAllowed)
      }
    }
  }

  @Test func `a token that is not accepted is told, and changes nothing`() async throws {
    try await withTemporaryPath { path in
      try SnapshotFile(path: path).save(sample(at: 7))
      try await withStandIn { standIn in
        try await withGateway(standIn.url, path: path, token: "sbg_revoked") { gateway in
          try await eventually("has tried again") { standIn.state.withLock { $0.unauthorized } > 2 }
          #expect(gateway.decide().isAllowed)
          #expect(gateway.status.lastError == "stream: 401, the gateway token is not accepted")
          #expect(gateway.status.isStale)
        }
      }
    }
  }

  @Test func `it waits as long as the control plane asks for`() async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = ServerSentEvent.retry(milliseconds: 400) + StandIn.status(5)
      }
      try await withGateway(
        standIn.url, { $0.backoff = Backoff(base: .milliseconds(5), most: .seconds(2)) }
      ) { gateway in
        try await eventually("is up to date") { !gateway.status.isStale }
        let start = ContinuousClock.now
        standIn.endStreams()
        try await eventually("is connected again") { gateway.metrics.connections == 2 }
        #expect(ContinuousClock.now - start >= .milliseconds(400))
      }
    }
  }

  @Test func `acknowledgements are few, and the last word wins`() async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(5)
        $0.acknowledgement = .status(503)
      }
      try await withGateway(standIn.url, { $0.acknowledgement = .milliseconds(100) }) { gateway in
        for position in Int64(6)...500 {
          standIn.sendChange(position % 2 == 0 ? panicOn : panicOff, at: position)
          if position == 6 { try await eventually("is connected") { gateway.status.isConnected } }
        }
        standIn.sendChange(panicOn, at: 501)
        try await eventually("has all") { gateway.status.position == 501 }
        standIn.script { $0.acknowledgement = .status(204) }
        try await eventually("says the last") {
          standIn.state.withLock { $0.acknowledgements.last?["position"] } == .integer(501)
        }
        #expect(standIn.state.withLock { $0.acknowledgements.count } < 100)
      }
    }
  }

  @Test func `nobody who decides sees half of a change`() async throws {
    try await withStandIn { standIn in
      // given two keys of which exactly one is good at any time
      let document = try sample(at: 1)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.greeting = StandIn.status(1)
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("is up to date") { !gateway.status.isStale }
        // On threads of their own: they never wait, so nobody else would get on.
        @Sendable func wrongDecisions() async throws -> Int {
          try await NIOThreadPool.singleton.runIfActive {
            var wrong = 0
            while gateway.status.position ?? 0 < 400 {
              let decision = gateway.evaluate(request(gateway.verify(key: apiKey(1))))
              // An even position has panic mode on, an odd one off.
              let isOn = decision.position % 2 == 0
              if isOn != (decision.reason == .panicMode) { wrong += 1 }
            }
            return wrong
          }
        }
        async let one = wrongDecisions()
        async let other = wrongDecisions()
        for position in Int64(2)...400 {
          standIn.sendChange(position % 2 == 0 ? panicOn : panicOff, at: position)
        }
        let wrong = try await (one, other)
        #expect(wrong == (0, 0))
      }
    }
  }
}
