/// Sums of `bigint` columns as SQL, which stop at the largest `bigint`.
///
/// PostgreSQL adds `bigint`s up as `numeric`, and a cast of a sum that is too large is an error. The error would come
/// again with every attempt, so such a sum is written down as the largest number instead.
enum SaturatingSQL {
  private static let largest = Int64.max

  /// The sum of a column over the rows of a group; zero when there are none.
  static func sum(_ column: String) -> String {
    "least(coalesce(sum(\(column)), 0), \(largest))::bigint"
  }

  /// The sum of two columns of a row.
  static func sum(of left: String, _ right: String) -> String {
    "least(\(left)::numeric + \(right), \(largest))::bigint"
  }
}
