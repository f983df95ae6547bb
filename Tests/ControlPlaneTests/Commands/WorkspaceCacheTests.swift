import Domain
import EventStore
import Support
import Testing

@testable import ControlPlane

@Suite struct WorkspaceCacheTests {
  static let ids = (0..<5).map { _ in OrganizationID(Identifiers.next()) }

  @Test func `who was not asked for longest goes first`() {
    var cache = WorkspaceCache(capacity: 3)
    for id in Self.ids { cache.insert(Self.entry(id)) }
    _ = cache.use(Self.ids[0])
    _ = cache.peek(Self.ids[1])
    cache.trim()
    #expect(Self.ids.map(cache.contains) == [true, false, false, true, true])
  }

  @Test func `the last one stays, however large`() {
    var cache = WorkspaceCache(capacity: 0)
    cache.insert(Self.entry(Self.ids[0]))
    cache.insert(Self.entry(Self.ids[1]))
    cache.trim()
    #expect(cache.count == 1)
    #expect(cache.contains(Self.ids[1]))
  }

  @Test func `a full cache is emptied without running out of stack`() {
    var cache = WorkspaceCache(capacity: 200_000)
    for _ in 0..<200_000 { cache.insert(Self.entry(OrganizationID(Identifiers.next()))) }
    cache.removeAll()
    #expect(cache.count == 0)
  }

  @Test func `links hold under any order of uses`() {
    var random = SeededGenerator(seed: 11)
    var cache = WorkspaceCache(capacity: 3)
    var order: [OrganizationID] = []
    for _ in 0..<2000 {
      let id = Self.ids[Int.random(in: 0..<5, using: &random)]
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        cache.insert(Self.entry(id))
        order = order.filter { $0 != id } + [id]
      case 1:
        cache.remove(id)
        order.removeAll { $0 == id }
      case 2:
        if cache.use(id) != nil { order = order.filter { $0 != id } + [id] }
      default:
        cache.trim()
        order = order.suffix(3)
      }
      #expect(cache.count == order.count)
      #expect(order.allSatisfy(cache.contains))
    }
  }

  private static func entry(_ id: OrganizationID) -> WorkspaceCache.Entry {
    WorkspaceCache.Entry(
      organizationID: id, workspace: Workspace(), head: .empty, snapshotVersion: 0)
  }
}
