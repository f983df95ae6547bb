import Testing

@testable import Postgres

struct PoolStateTests {
  private let now = ContinuousClock.now

  /// A pool of two connections that are up and idle.
  private func twoIdle() -> PoolState {
    var pool = PoolState(minimum: 2, maximum: 3)
    #expect(pool.start() == [.open(0), .open(1)])
    #expect(pool.connected(0, now: now) == [])
    #expect(pool.connected(1, now: now) == [])
    return pool
  }

  @Test func `leases are granted at once while connections are idle`() {
    var pool = twoIdle()
    #expect(pool.leaseRequested(by: 1) == [.grant(1, to: 1)])
    #expect(pool.leaseRequested(by: 2) == [.grant(0, to: 2)])
    #expect(pool.leaseRequested(by: 3) == [.open(2)])
    #expect(pool.leaseRequested(by: 4) == [], "the maximum is reached")
  }

  @Test func `the first to wait is the first to be served`() {
    var pool = PoolState(minimum: 1, maximum: 1)
    _ = pool.start()
    #expect(pool.leaseRequested(by: 1) == [])
    #expect(pool.leaseRequested(by: 2) == [])
    #expect(pool.connected(0, now: now) == [.grant(0, to: 1)])
    #expect(pool.released(0, now: now) == [.grant(0, to: 2)])
    #expect(pool.released(0, now: now) == [])
    #expect(pool.idleCount == 1)
  }

  @Test func `whoever gave up waiting is passed over`() {
    var pool = PoolState(minimum: 1, maximum: 1)
    _ = pool.start()
    _ = pool.leaseRequested(by: 1)
    _ = pool.leaseRequested(by: 2)
    pool.waiterLeft(1)
    #expect(pool.connected(0, now: now) == [.grant(0, to: 2)])
    #expect(pool.waiterCount == 0)
  }

  @Test func `a connection without a session is never leased`() {
    var pool = twoIdle()
    pool.lost(1)
    #expect(pool.leaseRequested(by: 1) == [.grant(0, to: 1)])
    #expect(pool.leaseRequested(by: 2) == [], "the lost one is on its way back")
    #expect(pool.connected(1, now: now) == [.grant(1, to: 2)])
  }

  @Test func `a connection lost while leased waits for its session after the release`() {
    var pool = PoolState(minimum: 1, maximum: 1)
    _ = pool.start()
    _ = pool.connected(0, now: now)
    _ = pool.leaseRequested(by: 1)
    pool.lost(0)
    #expect(pool.leaseRequested(by: 2) == [])
    #expect(pool.released(0, now: now) == [])
    #expect(pool.connected(0, now: now) == [.grant(0, to: 2)])
  }

  @Test func `a connection lost and found while leased is leased on`() {
    var pool = PoolState(minimum: 1, maximum: 1)
    _ = pool.start()
    _ = pool.connected(0, now: now)
    _ = pool.leaseRequested(by: 1)
    pool.lost(0)
    #expect(pool.connected(0, now: now) == [])
    #expect(pool.leaseRequested(by: 2) == [])
    #expect(pool.released(0, now: now) == [.grant(0, to: 2)])
  }

  @Test func `a refusal for good is passed on, unless another connection is up`() {
    var pool = PoolState(minimum: 2, maximum: 2)
    _ = pool.start()
    _ = pool.leaseRequested(by: 1)
    #expect(pool.connectFailed(forGood: false) == [])
    #expect(pool.connectFailed(forGood: true) == [.refuse(1)])
    _ = pool.leaseRequested(by: 2)
    #expect(pool.connected(0, now: now) == [.grant(0, to: 2)])
    _ = pool.leaseRequested(by: 3)
    #expect(pool.connectFailed(forGood: true) == [])
    #expect(pool.released(0, now: now) == [.grant(0, to: 3)])
  }

  @Test func `what is too many and long idle is shut, but never below the minimum`() {
    var pool = twoIdle()
    for waiter: PoolState.WaiterID in 1...3 { _ = pool.leaseRequested(by: waiter) }
    _ = pool.connected(2, now: now)
    for connection in 0...2 { _ = pool.released(connection, now: now) }
    #expect(pool.idleCount == 3)
    let later = now + .seconds(61)
    #expect(pool.leaseRequested(by: 4) == [.grant(2, to: 4)])
    #expect(pool.released(2, now: later) == [.shut(0)])
    #expect(pool.leaseRequested(by: 5) == [.grant(2, to: 5)])
    #expect(pool.released(2, now: later + .seconds(61)) == [])
    #expect(pool.connectionCount == 2)
  }

  @Test func `closing refuses those who wait and shuts leased connections when they come back`() {
    var pool = PoolState(minimum: 1, maximum: 1)
    _ = pool.start()
    _ = pool.connected(0, now: now)
    _ = pool.leaseRequested(by: 1)
    _ = pool.leaseRequested(by: 2)
    #expect(pool.close() == [.refuse(2)])
    #expect(pool.leaseRequested(by: 3) == [.refuse(3)])
    #expect(pool.released(0, now: now) == [.shut(0)])
    #expect(pool.connectionCount == 0)
    #expect(pool.close() == [])
  }

  /// Under any sequence of events: nobody is granted twice, no connection is leased twice, the maximum
  /// holds, and nobody waits while a connection is idle.
  @Test(arguments: 0..<50 as Range<UInt64>)
  func `no sequence of events breaks the pool`(seed: UInt64) {
    var random = SplitMix(state: seed)
    var pool = PoolState(minimum: 1, maximum: 4)
    var leased: [PoolState.ConnectionID: PoolState.WaiterID] = [:]
    var known: Set<PoolState.ConnectionID> = []
    var waiting: Set<PoolState.WaiterID> = []
    var nextWaiter: PoolState.WaiterID = 0
    func obey(_ actions: [PoolState.Action]) {
      for action in actions {
        switch action {
        case .open(let id): #expect(known.insert(id).inserted)
        case .shut(let id):
          #expect(leased[id] == nil)
          #expect(known.remove(id) != nil)
        case .grant(let id, let waiter):
          #expect(known.contains(id) && leased[id] == nil)
          #expect(waiting.remove(waiter) != nil)
          leased[id] = waiter
        case .refuse(let waiter): #expect(waiting.remove(waiter) != nil)
        }
      }
    }
    obey(pool.start())
    for step in 0..<500 {
      let time = now + .seconds(step)
      let someone = known.randomElement(using: &random) ?? 0
      switch UInt8.random(in: 0..<7, using: &random) {
      case 0, 1:
        waiting.insert(nextWaiter)
        obey(pool.leaseRequested(by: nextWaiter))
        nextWaiter += 1
      case 2: obey(pool.connected(someone, now: time))
      case 3: pool.lost(someone)
      case 5: obey(pool.connectFailed(forGood: .random(using: &random)))
      case 4:
        guard let id = leased.keys.randomElement(using: &random) else { continue }
        leased[id] = nil
        obey(pool.released(id, now: time))
      default:
        guard let waiter = waiting.randomElement(using: &random) else { continue }
        waiting.remove(waiter)
        pool.waiterLeft(waiter)
      }
      #expect(known.count <= 4)
      #expect(pool.waiterCount == waiting.count)
      #expect(pool.waiterCount == 0 || pool.idleCount == 0)
    }
  }
}

private struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
