import Domain

extension ProviderPattern: ExpressibleByStringLiteral {
  /// Only tests write providers down.
  public init(stringLiteral value: String) {
    guard let pattern = Self(value) else { preconditionFailure("\(value) is no provider") }
    self = pattern
  }
}
