import FoundationEssentials
import HTTPTypes
import JSON
import Support
import Synchronization
import Testing

@testable import ControlPlane
@testable import Domain

/// What keeps replays from taking all there is.
@Suite struct ReplayLimitTests {
  private static func slots(_ metrics: Metrics = Metrics()) -> WorkSlots {
    WorkSlots("replays", perWorkspace: 1, perProcess: 2, retryAfter: 5, metrics: metrics)
  }

  private static func refusal(_ slots: WorkSlots, _ organization: OrganizationID) -> Problem? {
    do throws(Problem) {
      _ = try slots.take(for: organization)
      return nil
    } catch {
      return error
    }
  }

  private static let organizations = (1...3).map { OrganizationID(UUID(UInt128($0))) }

  // MARK: Slots

  @Test func `a workspace has one, a process two, and whoever waits is told for whom`() throws {
    let slots = Self.slots()
    let first = try slots.take(for: Self.organizations[0])
    let own = try #require(Self.refusal(slots, Self.organizations[0]))
    #expect(own.kind == .tooManyRunning)
    #expect(own.headers[.retryAfter] == "5")
    #expect(own.detail?.contains("the workspace") == true)
    let second = try slots.take(for: Self.organizations[1])
    let full = try #require(Self.refusal(slots, Self.organizations[2]))
    #expect(full.detail?.contains("other workspaces") == true)
    first.release()
    first.release()
    #expect(Self.refusal(slots, Self.organizations[2]) == nil)
    withExtendedLifetime(second) {}
  }

  @Test func `a slot that nobody holds any more is free`() throws {
    let metrics = Metrics()
    let slots = Self.slots(metrics)
    for _ in 0..<10 { _ = try slots.take(for: Self.organizations[0]) }
    #expect(
      String(decoding: metrics.text(), as: UTF8.self).contains("signalbox_replays_running 0\n"))
  }

  @Test func `of many at once exactly as many get a slot as there are`() async {
    let slots = Self.slots()
    let held = await withTaskGroup(of: WorkSlots.Slot?.self) { group in
      for number in 0..<64 {
        group.addTask { try? slots.take(for: OrganizationID(UUID(UInt128(number)))) }
      }
      return await group.reduce(into: []) { $0 += $1.map { [$0] } ?? [] }
    }
    #expect(held.count == 2)
  }

  @Test func `429 while the workspace has one running, and not a moment longer`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let other = try await EvidenceWorld(TestControlPlane.shared)
    let organization = try #require(
      OrganizationID(String(world.path.split(separator: "/").last ?? "")))
    let slot = try world.plane.controlPlane.services.longWork.replays.take(for: organization)
    let path = "\(world.path)/projects/\(world.project)/rules:replay"
    let body = #"{"rules":[],"from":"2026-01-01T00:00:00Z","to":"2999-01-01T00:00:00Z"}"#
    let refused = try await world.owner.post(path, body)
    #expect(refused.status == 429)
    #expect(try refused.problem == "too-many-running")
    #expect(refused["retry-after"] == "5")
    let others = try await other.owner.post(
      "\(other.path)/projects/\(other.project)/rules:replay", body)
    #expect(others.status == 200, "\(others.text)")
    slot.release()
    #expect(try await world.owner.post(path, body).status == 200)
    // It was given back when the last one ended, and when one was refused for what is wrong with it.
    #expect(try await world.owner.post(path, "{}").status == 422)
    #expect(try await world.owner.post(path, body).status == 200)
  }

  // MARK: Limits

  @Test func `it ends with its records or its time, and says up to where it came`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let now = Timestamp.now
    let records = (0..<2500).map {
      EvidenceRecord(project: world.project, at: now.advanced(by: -Int64(2500 - $0) * 1000))
    }
    #expect(try await world.report(records).outcome == [2500, 0])
    let some = try await Self.result(world, .init(time: .seconds(60), records: 1500))
    #expect(some["complete"] == .bool(false))
    #expect(some["total"] == .integer(1500))
    let until = try #require(RequestLogID(records[1499].id)).time
    #expect(some["until"] == .string(until.rfc3339))
    let none = try await Self.result(world, .init(time: .zero, records: 1_000_000))
    #expect(none["complete"] == .bool(false))
    #expect(none["total"] == .integer(0))
    #expect(none["until"] == none["from"])
    let all = try await Self.result(world, .standard)
    #expect(all["complete"] == .bool(true))
    #expect(all["total"] == .integer(2500))
    #expect(all["until"] == all["to"])
  }

  @Test func `one whose caller has left ends in the middle of a page`() async throws {
    let world = try await EvidenceWorld(TestControlPlane.shared)
    let now = Timestamp.now
    let records = (0..<1000).map {
      EvidenceRecord(project: world.project, at: now.advanced(by: -Int64($0) * 1000))
    }
    #expect(try await world.report(records).outcome == [1000, 0])
    let run = try await Self.run(world, .standard)
    let threads = world.plane.controlPlane.services.longWork.threads
    let task = Task {
      var run = run
      return try await run.next(on: threads)
    }
    task.cancel()
    await #expect(throws: (any Error).self) { _ = try await task.value }
  }

  private static func run(
    _ world: EvidenceWorld, _ limits: ReplayRun.Limits
  ) async throws -> ReplayRun {
    let services = world.plane.controlPlane.services
    let reads = try await services.reads.settle(deadline: .now + .seconds(30))
    return ReplayRun(
      of: try #require(ProjectID(world.project)),
      in: try #require(OrganizationID(String(world.path.split(separator: "/").last ?? ""))),
      from: .now.advanced(by: -3_600_000_000), to: .now.advanced(by: 1_000_000), reads,
      over: services.longWork.pages, Replay(Controls(), mostSamples: 0), limits: limits)
  }

  private static func result(
    _ world: EvidenceWorld, _ limits: ReplayRun.Limits
  ) async throws -> JSONValue {
    var run = try await run(world, limits)
    var last: [UInt8] = []
    while let line = try await run.next(on: world.plane.controlPlane.services.longWork.threads) {
      last = line
    }
    return try #require(try JSONValue.parse(last)["result"])
  }

  // MARK: Threads

  @Test func `work goes on on its own threads, so many at a time, and they come back after a rest`()
    async throws
  {
    let threads = BackgroundThreads(count: 2)
    for _ in 0..<3 {
      #expect(await Self.mostAtOnce(on: threads) == 2)
      // Longer than a thread waits for work.
      try await Task.sleep(for: .milliseconds(2500))
    }
  }

  private static func mostAtOnce(on threads: BackgroundThreads) async -> Int {
    let crowd = Crowd()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<16 {
        group.addTask(executorPreference: threads) {
          crowd.seen.withLock {
            $0.now += 1
            $0.most = max($0.most, $0.now)
          }
          pause(milliseconds: 10)
          crowd.seen.withLock { $0.now -= 1 }
        }
      }
    }
    return crowd.seen.withLock { $0.most }
  }

  private final class Crowd: Sendable {
    let seen = Mutex((now: 0, most: 0))
  }
}

/// Keeps the thread, as a computation does.
private func pause(milliseconds: Int64) {
  let end = ContinuousClock.now + .milliseconds(milliseconds)
  while ContinuousClock.now < end {}
}
