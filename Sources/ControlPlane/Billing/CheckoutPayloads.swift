import Domain
import FoundationEssentials
import JSON
import NIOCore
import Stripe

/// The body of `POST …/credits/checkout`.
struct CreditsCheckoutPayload {
  let package: CreditPackage
  let pages: ReturnPages

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let names = CreditPackage.all.map(\.name).joined(separator: ", ")
    let package = reader.string(
      "package", TextRules(1...64), where: { CreditPackage.named($0) != nil },
      otherwise: "must be one of: \(names)"
    ).flatMap { CreditPackage.named($0) }
    let pages = ReturnPages(reader)
    try reader.finish()
    guard let package, let pages else { throw Problem(.invalidRequest) }
    self.package = package
    self.pages = pages
  }
}

/// The body of `POST …/plan/checkout`.
struct PlanCheckoutPayload {
  /// What a plan can be subscribed to at.
  enum Tier: String, CaseIterable {
    case plus, business

    var tier: PlanTier {
      switch self {
      case .plus: .plus
      case .business: .business
      }
    }
  }

  let tier: PlanTier
  let pages: ReturnPages

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let tier = reader.choice("plan_tier", of: Tier.self)
    let pages = ReturnPages(reader)
    try reader.finish()
    guard let tier, let pages else { throw Problem(.invalidRequest) }
    self.tier = tier.tier
    self.pages = pages
  }
}

/// The body of `POST …/billing/portal`.
struct BillingPortalPayload {
  let returnURL: String

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let returnURL = reader.page("return_url")
    try reader.finish()
    guard let returnURL else { throw Problem(.invalidRequest) }
    self.returnURL = returnURL
  }
}

/// Where the browser goes from the checkout.
struct ReturnPages {
  let success: String
  let cancel: String

  /// Nil when one of them is wrong.
  init?(_ reader: PayloadReader) {
    let (success, cancel) = (reader.page("success_url"), reader.page("cancel_url"))
    guard let success, let cancel else { return nil }
    self.success = success
    self.cancel = cancel
  }
}

extension PayloadReader {
  /// The URL of a page of the caller's.
  fileprivate func page(_ name: String) -> String? {
    string(
      name, TextRules(1...2048), where: Self.isPage,
      otherwise: "must be an https URL (or http of localhost) without user or password")
  }

  private static func isPage(_ text: String) -> Bool {
    guard text.utf8.allSatisfy({ 0x21...0x7E ~= $0 && !#"<>"\^`|"#.utf8.contains($0) }) else {
      return false
    }
    // Stripe puts the session's id where a URL may have no braces.
    let plain = text.replacing("{CHECKOUT_SESSION_ID}", with: "cs")
    guard let url = URL(string: plain, encodingInvalidCharacters: false), let host = url.host(),
      !host.isEmpty, url.user() == nil, url.password() == nil
    else { return false }
    let isLocal = ["localhost", "127.0.0.1", "::1", "[::1]"].contains(host)
    return url.scheme == "https" || url.scheme == "http" && isLocal
  }
}

extension StripeSession {
  /// Where to send the browser.
  var json: JSONObject {
    var object = JSONObject()
    object.set("session_id", id)
    object.set("url", url)
    return object
  }
}
