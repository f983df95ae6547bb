import Domain

@testable import ControlPlane
@testable import Stripe

extension FuzzTarget {
  private enum Choice: String, CaseIterable {
    case one, other
  }

  private static let stripe = StripeSignature(secrets: ["whsec_one", "whsec_other"])

  static let headers = [
    FuzzTarget("idempotency-key") { bytes in
      guard let text = bytes.text, let key = IdempotencyKey(text) else { return }
      promise(1...255 ~= key.value.utf8.count, "a key has from 1 to 255 bytes")
      promise(key.value.utf8.allSatisfy { 0x20...0x7E ~= $0 }, "all of them visible")
    },
    FuzzTarget("etags") { bytes in
      guard let text = bytes.text else { return }
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      guard case .tags(let tags)? = ETagCondition(lines) else { return }
      for tag in tags {
        promise(ETagCondition([tag.description]) == .tags([tag]), "a tag is read as it was written")
      }
    },
    FuzzTarget("query") { bytes in
      guard let text = bytes.text else { return }
      let reader = QueryReader(query: text)
      _ = reader.string("name")
      _ = reader.integer("n", 0...Int64.max)
      _ = reader.choice("choice", of: Choice.self)
      _ = reader.time("since")
      promise(1...1000 ~= reader.limit(), "a page has a size")
      _ = reader.cursor()
      _ = reader.dryRun()
      _ = reader.asOf()
      try? reader.finish()
    },
    FuzzTarget("trace-context") { bytes in
      guard let text = bytes.text else { return }
      _ = TraceContext(text)
    },
    FuzzTarget("trusted-proxies") { bytes in
      guard let text = bytes.text else { return }
      _ = try? TrustedProxies(text)
    },
    // Nothing is believed that was not signed, and no header ends a process.
    FuzzTarget("stripe-signature") { bytes in
      let (first, second) = bytes.halves
      guard let header = first.text else { return }
      do throws(StripeSignature.Refusal) {
        try stripe.verify([header], body: second, now: 1_764_136_800)
        promise(false, "somebody guessed a signature")
      } catch {}
    },
  ]
}
