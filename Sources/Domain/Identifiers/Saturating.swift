/// Arithmetic on numbers that came from outside: a result that has no place in the type becomes the nearest one that has.
///
/// The operators are written like Zig's. `+`, `-` and `*` end the process when a result is too large, so `make check`
/// refuses them where numbers of a request, a token or a table are added or multiplied.
infix operator +| : AdditionPrecedence
infix operator -| : AdditionPrecedence
infix operator *| : MultiplicationPrecedence
infix operator +|= : AssignmentPrecedence

extension FixedWidthInteger {
  @inlinable
  package static func +| (left: Self, right: Self) -> Self {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? (right < 0 ? .min : .max) : sum
  }

  @inlinable
  package static func -| (left: Self, right: Self) -> Self {
    let (difference, overflow) = left.subtractingReportingOverflow(right)
    return overflow ? (right > 0 ? .min : .max) : difference
  }

  @inlinable
  package static func *| (left: Self, right: Self) -> Self {
    let (product, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? ((left < 0) != (right < 0) ? .min : .max) : product
  }

  @inlinable
  package static func +|= (left: inout Self, right: Self) { left = left +| right }

  /// The nearest whole number; zero for what is no number.
  package init(saturating number: Double) {
    if let exact = Self(exactly: number.rounded()) {
      self = exact
    } else {
      self = number.isNaN ? 0 : number < 0 ? .min : .max
    }
  }
}
