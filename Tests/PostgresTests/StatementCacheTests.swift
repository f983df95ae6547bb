import Testing

@testable import Postgres

struct StatementCacheTests {
  @Test func `the least recently used statement makes room`() {
    var cache = StatementCache(limit: 2)
    let a = cache.statement(for: "a").statement
    let b = cache.statement(for: "b").statement
    #expect(!cache.statement(for: "a").isNew)
    #expect(cache.statement(for: "c").isNew)
    #expect(cache.retired == [b.name])
    #expect(!cache.statement(for: "a").isNew)
    #expect(cache.statement(for: "b").isNew)
    #expect(cache.statement(for: "b").statement.name != b.name)
    #expect(a.name != b.name)
  }

  @Test func `forgetting an old statement leaves its successor alone`() {
    var cache = StatementCache(limit: 2)
    let old = cache.statement(for: "a").statement
    cache.forget(old)
    let new = cache.statement(for: "a")
    #expect(new.isNew)
    cache.forget(old)
    #expect(!cache.statement(for: "a").isNew)
  }
}
