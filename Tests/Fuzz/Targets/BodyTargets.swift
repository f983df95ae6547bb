import Compression
import ControlPlane
import Domain
import JSON

@testable import Stripe

extension FuzzTarget {
  static let bodies = [
    // What is kept of an event is read like the event.
    FuzzTarget("stripe-event") { bytes in
      guard let value = try? JSONValue.parse(bytes), let event = try? StripeEvent(value) else {
        return
      }
      guard let kept = try? JSONValue.parse(event.payload.canonicalBytes()),
        let again = try? StripeEvent(kept)
      else { return promise(false, "what is kept is an event") }
      promise(again.content == event.content, "what is kept is read alike")
      promise(again.payload == event.payload, "and kept alike")
    },
    FuzzTarget("gzip") { bytes in
      let inflated = bytes.withUnsafeBytes { try? Gzip.inflate($0, limit: 1 << 16) }
      promise(inflated?.count ?? 0 <= 1 << 16, "no more is made than was allowed")
    },
    FuzzTarget("zstd") { bytes in
      let inflated = bytes.withUnsafeBytes { try? Zstd.inflate($0, limit: 1 << 16) }
      promise(inflated?.count ?? 0 <= 1 << 16, "no more is made than was allowed")
    },
    FuzzTarget("known-heads") { bytes in
      guard let heads = try? KnownHead.list(parsing: bytes) else { return }
      let text = heads.flatMap { $0.json.bytes() + [UInt8(ascii: "\n")] }
      promise((try? KnownHead.list(parsing: text)) == heads, "heads are read as they were written")
    },
  ]
}
