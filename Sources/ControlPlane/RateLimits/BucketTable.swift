import Synchronization

/// The buckets of one policy, in bounded memory, and never with a scan.
///
/// Each shard holds two generations. Whoever is seen moves to the young one; when a generation has
/// lasted for as long as an empty bucket needs to fill, the old one is dropped as a whole: all that
/// is in it is full by then, and a full bucket is what a stranger gets anyway. So nothing is lost by
/// forgetting, and nobody can have their own bucket pushed out.
///
/// A shard that is full meanwhile, under an attack from ever new keys, gives all strangers one bucket
/// together. Who is already known is not affected.
final class BucketTable<Key: Hashable & Sendable>: Sendable {
  private struct Generations: Sendable {
    var young: [Key: TokenBucket] = [:]
    var old: [Key: TokenBucket] = [:]
    var end: Int64
    var strangers: TokenBucket

    mutating func turn(at now: Int64, _ lifetime: Int64) {
      // Nobody came during a whole generation: the young one is full, too.
      old = now - end >= lifetime ? [:] : young
      young = [:]
      end = now + lifetime
    }
  }

  private final class Shard: Sendable {
    let generations: Mutex<Generations>

    init(_ generations: Generations) { self.generations = Mutex(generations) }
  }

  let policy: RateLimitPolicy
  private let lifetime: Int64
  private let shards: [Shard]
  private let shardCapacity: Int

  private static var shardCount: Int { 16 }

  /// - Precondition: `capacity`, the most buckets there may be, allows one in each of the 16 shards.
  init(_ policy: RateLimitPolicy, capacity: Int, at now: Int64) {
    precondition(capacity >= Self.shardCount, "too few buckets")
    self.policy = policy
    lifetime = policy.fillTime
    shardCapacity = capacity / Self.shardCount
    let end = now + lifetime
    shards = (0..<Self.shardCount).map { _ in
      Shard(Generations(end: end, strangers: TokenBucket(policy, at: now)))
    }
  }

  /// How many buckets are held.
  var count: Int {
    shards.reduce(0) { sum, shard in
      sum + shard.generations.withLock { $0.young.count + $0.old.count }
    }
  }

  /// Runs `body` on the key's bucket, which nobody else touches meanwhile.
  func withBucket<Result: Sendable>(
    of key: Key, at now: Int64, _ body: (inout TokenBucket) -> Result
  ) -> Result {
    // Hashes are seeded anew in every process: nobody outside can aim at a shard.
    let shard = shards[key.hashValue & (Self.shardCount - 1)]
    return shard.generations.withLock { generations in
      if now >= generations.end { generations.turn(at: now, lifetime) }
      if let index = generations.young.index(forKey: key) {
        return body(&generations.young.values[index])
      }
      var bucket: TokenBucket
      if let known = generations.old.removeValue(forKey: key) {
        bucket = known
      } else if generations.young.count + generations.old.count < shardCapacity {
        bucket = TokenBucket(policy, at: now)
      } else {
        return body(&generations.strangers)
      }
      let result = body(&bucket)
      // Looking leaves no trace.
      if !bucket.isFull(at: now, under: policy) { generations.young[key] = bucket }
      return result
    }
  }

  func take(_ key: Key, at now: Int64) -> RateLimitDecision {
    withBucket(of: key, at: now) { $0.take(at: now, under: policy) }
  }

  func look(_ key: Key, at now: Int64) -> RateLimitDecision {
    withBucket(of: key, at: now) { $0.look(at: now, under: policy) }
  }
}
