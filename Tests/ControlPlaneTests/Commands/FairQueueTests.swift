import Domain
import Support
import Testing

@testable import ControlPlane

/// Whose turn it is, by itself: what waits, and in which order it is taken.
@Suite struct FairQueueTests {
  private static let (a, b, c) = (
    OrganizationID(Identifiers.next()), OrganizationID(Identifiers.next()),
    OrganizationID(Identifiers.next())
  )
  private static let limits = FairQueue<String>.Limits(count: 4, weight: 20, alone: 10)

  /// Every batch until nothing waits, its elements joined by spaces.
  private static func drain(_ queue: inout FairQueue<String>) -> [String] {
    var batches: [String] = []
    while let batch = queue.next() {
      batches.append(batch.elements.joined(separator: " ") + (batch.isAlone ? "!" : ""))
    }
    return batches
  }

  @Test func `what fits into one batch is one, in the order of arrival`() {
    var queue = FairQueue<String>(Self.limits)
    for (name, tenant) in [("a1", Self.a), ("b1", Self.b), ("a2", Self.a), ("c1", Self.c)] {
      queue.append(name, of: tenant, weight: 1)
    }
    #expect(Self.drain(&queue) == ["a1 b1 a2 c1"])
    #expect(queue.isEmpty)
  }

  @Test func `a tenant with many in the queue stands in nobody's way`() {
    var queue = FairQueue<String>(Self.limits)
    for number in 1...8 { queue.append("a\(number)", of: Self.a, weight: 1) }
    queue.append("b1", of: Self.b, weight: 1)
    queue.append("c1", of: Self.c, weight: 1)
    queue.append("b2", of: Self.b, weight: 1)
    #expect(Self.drain(&queue) == ["a1 b1 c1 a2", "b2 a3 a4 a5", "a6 a7 a8"])
  }

  @Test func `what weighs much is alone`() {
    var queue = FairQueue<String>(Self.limits)
    queue.append("b1", of: Self.b, weight: 1)
    queue.append("a1", of: Self.a, weight: 11)
    queue.append("c1", of: Self.c, weight: 1)
    #expect(Self.drain(&queue) == ["b1", "a1!", "c1"])
  }

  @Test func `after something that weighs much, everybody else is served before the next of it`() {
    var queue = FairQueue<String>(Self.limits)
    for number in 1...3 { queue.append("a\(number)", of: Self.a, weight: 1000) }
    for number in 1...2 { queue.append("b\(number)", of: Self.b, weight: 1) }
    #expect(queue.next()?.elements == ["a1"])
    // They come while it is carried out.
    queue.append("c1", of: Self.c, weight: 1)
    queue.append("a4", of: Self.a, weight: 1)
    #expect(Self.drain(&queue) == ["b1 c1 b2", "a2!", "a3!", "a4"])
  }

  @Test func `weights that do not fit together are two batches`() {
    var queue = FairQueue<String>(Self.limits)
    for (name, tenant) in [("a1", Self.a), ("b1", Self.b), ("c1", Self.c)] {
      queue.append(name, of: tenant, weight: 9)
    }
    #expect(Self.drain(&queue) == ["a1 b1", "c1"])
  }

  @Test func `a tenant's debts are forgotten when nobody waits`() {
    var queue = FairQueue<String>(Self.limits)
    queue.append("a1", of: Self.a, weight: 1000)
    #expect(Self.drain(&queue) == ["a1!"])
    for number in 2...5 { queue.append("a\(number)", of: Self.a, weight: 1) }
    queue.append("b1", of: Self.b, weight: 1)
    #expect(Self.drain(&queue) == ["a2 b1 a3 a4", "a5"])
  }

  @Test func `what turned out to weigh much is next, alone, and is paid for`() {
    var queue = FairQueue<String>(Self.limits)
    queue.append("a1", of: Self.a, weight: 1)
    queue.append("b1", of: Self.b, weight: 1)
    #expect(queue.next()?.elements == ["a1", "b1"])
    queue.append("b2", of: Self.b, weight: 1)
    queue.putBack("a1", of: Self.a, weight: 500, insteadOf: 1)
    queue.append("a2", of: Self.a, weight: 1)
    queue.append("b3", of: Self.b, weight: 1)
    #expect(Self.drain(&queue) == ["a1!", "b2 a2 b3"])
  }

  @Test func `what joins a batch keeps the others' order, and is never what has to be alone`() {
    var queue = FairQueue<String>(Self.limits)
    queue.append("a1", of: Self.a, weight: 50)
    for (name, tenant) in [("b1", Self.b), ("c1", Self.c), ("b2", Self.b)] {
      queue.append(name, of: tenant, weight: 1)
    }
    let joinable = queue.joinable
    #expect(joinable.map(\.element) == ["b1", "c1", "b2"])
    #expect(queue.take(at: [joinable[0].place, joinable[2].place]) == ["b1", "b2"])
    #expect(queue.take(at: []) == [])
    #expect(Self.drain(&queue) == ["a1!", "c1"])
  }

  @Test
  func
    `while something is served beside the batches, its tenant waits, and so does all that has to be alone`()
  {
    var queue = FairQueue<String>(Self.limits)
    queue.append("a1", of: Self.a, weight: 50)
    #expect(queue.next()?.elements == ["a1"])
    queue.beginAlone(of: Self.a)
    for (name, tenant, weight) in [
      ("a2", Self.a, 1), ("b1", Self.b, 50), ("b2", Self.b, 1), ("c1", Self.c, 1),
    ] {
      queue.append(name, of: tenant, weight: weight)
    }
    #expect(queue.joinable.map(\.element) == ["b2", "c1"])
    #expect(queue.next()?.elements == ["c1", "b2"])
    #expect(queue.next() == nil && queue.count == 2)
    queue.endAlone()
    #expect(Self.drain(&queue) == ["b1!", "a2"])
  }

  @Test func `whatever comes, all is served once, each tenant's in order, and nobody waits long`() {
    var random = SeededGenerator(seed: 12)
    let tenants = (0..<6).map { _ in OrganizationID(Identifiers.next()) }
    var queue = FairQueue<(tenant: Int, number: Int)>(.init(count: 8, weight: 40, alone: 20))
    var sent = [Int](repeating: 0, count: 6)
    var served = [Int](repeating: 0, count: 6)
    func serve() {
      for (tenant, number) in queue.next()?.elements ?? [] {
        #expect(number == served[tenant])
        served[tenant] += 1
      }
    }
    for _ in 0..<3000 {
      // The first tenant asks for much, and often.
      let tenant = Bool.random(using: &random) ? 0 : Int.random(in: 1..<6, using: &random)
      let weight = tenant == 0 ? Int.random(in: 1...200, using: &random) : 1
      queue.append((tenant, sent[tenant]), of: tenants[tenant], weight: weight)
      sent[tenant] += 1
      if Int.random(in: 0..<3, using: &random) == 0 { serve() }
      for other in 1..<6 { #expect(sent[other] - served[other] < 120) }
    }
    while !queue.isEmpty { serve() }
    #expect(served == sent)
  }
}
