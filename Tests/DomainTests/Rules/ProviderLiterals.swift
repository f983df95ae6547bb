import Domain

extension ProviderPattern: ExpressibleByStringLiteral {
  public init(stringLiteral value: String) {
    guard let pattern = Self(value) else { preconditionFailure("\(value) is no provider") }
    self = pattern
  }
}
