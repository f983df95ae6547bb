import JSON

/// Why Stripe did not do what it was asked. Holds nothing secret or personal: Stripe's own message may quote parameters,
/// and is left out.
///
/// Source: https://docs.stripe.com/api/errors
package enum StripeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// It does not know the key, or the key may not do this.
  case keyRefused
  /// A parameter names something that is not there, or cannot be so: `param` says which, `code` what is wrong.
  case invalid(code: String?, param: String?)
  /// The idempotency key was used for another request.
  case keyReused
  /// It asks to be left alone for a while, or a request with the same key is under way.
  case busy(status: UInt)
  /// It failed, or there is something else in its place.
  case failed(status: UInt)
  /// It did not answer in time, or not at all.
  case unreachable(reason: String)
  /// The reply is not what the reference says.
  case unexpected(reason: String)

  init(status: UInt, body: JSONValue) {
    let error = body["error"]
    self =
      switch (status, error?["type"]?.string) {
      case (401, _), (403, _): .keyRefused
      case (400, "idempotency_error"): .keyReused
      case (400, _), (402, _), (404, _):
        .invalid(
          code: error?["code"]?.string.map(Identifier.orPlaceholder),
          param: error?["param"]?.string.map(Self.parameter))
      case (409, _), (429, _): .busy(status: status)
      default: .failed(status: status)
      }
  }

  package var description: String {
    switch self {
    case .keyRefused: "Stripe refuses the secret key"
    case .invalid(let code, let param):
      "Stripe refuses a parameter: \(param ?? "unknown") (\(code ?? "no code"))"
    case .keyReused: "Stripe knows the idempotency key from another request"
    case .busy(let status), .failed(let status): "Stripe answers \(status)"
    case .unreachable(let reason): "Stripe does not answer: \(reason)"
    case .unexpected(let reason): "Stripe's reply is not as documented: \(reason)"
    }
  }

  /// The name of a parameter, e.g. `line_items[0][price]`.
  private static func parameter(_ text: String) -> String {
    text.utf8.count <= 100
      && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_[]".contains($0)) }
      ? text : Identifier.placeholder
  }
}

/// What was configured cannot be used. Repeats nothing of it.
package enum StripeSettingsError: Error, Equatable, CustomStringConvertible {
  case secretKey, baseURL

  package var description: String {
    switch self {
    case .secretKey: "Stripe's secret key is empty, or has characters that no key has."
    case .baseURL:
      "Stripe's base URL must be an https URL (or http of this machine) without path, query or user."
    }
  }
}
