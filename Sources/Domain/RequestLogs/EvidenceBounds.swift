/// How large the numbers of a record of evidence may be. Sums of as many records as there will ever be have a place in an
/// `Int64` with these bounds, and no request comes near them.
package enum EvidenceBounds {
  package static let tokens: ClosedRange<Int64> = 0...1_000_000_000
  /// A thousand dollars.
  package static let costMicroUSD: ClosedRange<Int64> = 0...1_000_000_000
  package static let status: ClosedRange<Int64> = 100...599
  /// A day.
  package static let latencyMilliseconds: ClosedRange<Int64> = 0...86_400_000
}
