/// How much somebody may ask for: the size of a token bucket and how fast it fills.
package struct RateLimitPolicy: Hashable, Sendable {
  /// Whose requests are counted. The raw value names the policy on the wire.
  package enum Kind: String, CaseIterable, Sendable {
    /// Every request of one user or service token.
    case principal
    /// Every request in one workspace, whoever sends it.
    case workspace
    /// Attempts to authenticate that failed, from one IPv4 address or IPv6 /64.
    case address
    /// Invitation mails for one workspace.
    case invitation
    /// Invitation mails that one user sends, of all their workspaces.
    case inviter
    /// Invitation mails to one address, from all workspaces.
    case recipient
    /// Invitation mails of the whole process.
    case mail
    /// Bytes of changes to one workspace, beyond the first few thousand of each.
    case append

    /// What is counted: the quota unit of the draft, which leaves it out when it is requests.
    var unit: String? { self == .append ? "content-bytes" : nil }
  }

  package let kind: Kind
  /// The tokens that come back in one window.
  package let quota: Int64
  /// Seconds.
  package let window: Int64
  /// The tokens of a full bucket: what may be asked for at once.
  package let burst: Int64

  /// One token, and a full bucket, in the units that a bucket counts. A nanosecond brings `quota`
  /// units, so that a token is a whole number of them and nothing is ever rounded.
  let token: Int64
  let capacity: Int64
  /// How many tokens below zero a bucket may be: what is taken beyond that is forgiven.
  var maxDebt: Int64 { kind == .append ? 16 << 20 : 0 }

  /// - Precondition: all are positive, and a full bucket is less than 2^63 units.
  package init(_ kind: Kind, quota: Int64, window: Int64 = 60, burst: Int64) {
    precondition(quota > 0 && window > 0 && burst > 0, "a rate limit is positive")
    self.kind = kind
    self.quota = quota
    self.window = window
    self.burst = burst
    token = window * 1_000_000_000
    capacity = burst * token
  }

  /// Nanoseconds after which a bucket that nobody touches is full, however deep it was in debt.
  var fillTime: Int64 { nanoseconds(for: capacity + maxDebt * token) }

  /// Nanoseconds that bring so many units, rounded up.
  func nanoseconds(for units: Int64) -> Int64 {
    let (whole, rest) = units.quotientAndRemainder(dividingBy: quota)
    return rest == 0 ? whole : whole + 1
  }
}

extension RateLimitPolicy {
  /// 100 requests a second for as long as one likes, 1,000 at once: a CI job that provisions a
  /// hundred projects in parallel is not slowed down, nor is a dashboard that asks for fifty things
  /// when it is opened. A script that runs wild is.
  package static let principal = RateLimitPolicy(.principal, quota: 6000, burst: 1000)
  /// 500 requests a second, 5,000 at once: five principals at their limits, so that a workspace with
  /// many tokens cannot take the process from the others.
  package static let workspace = RateLimitPolicy(.workspace, quota: 30_000, burst: 5000)
  /// One failure a second, 30 at once: an office whose tokens have just expired is let in again
  /// within half a minute; whoever tries tokens does not get far.
  package static let address = RateLimitPolicy(.address, quota: 60, burst: 30)
  /// A hundred mails an hour, 300 at once: a company may move in within an afternoon, and nobody is a spammer through us.
  package static let invitation = RateLimitPolicy(
    .invitation, quota: 100, window: 3600, burst: 300)
  /// A person who moves a company in invites a hundred colleagues at once; after that it goes by the hour.
  package static let inviter = RateLimitPolicy(.inviter, quota: 50, window: 3600, burst: 100)
  /// An address gets three mails at once and two a day: nobody is mailed without end by people they do not know.
  package static let recipient = RateLimitPolicy(
    .recipient, quota: 2, window: 86_400, burst: 3)
  /// What a mail provider takes from a new sender without complaint.
  package static let mail = RateLimitPolicy(.mail, quota: 600, window: 3600, burst: 300)

  /// 1.5 MiB a minute, 2 MiB at once: the largest set of rules that a plan allows, of which there are 5,000 in a project,
  /// is some 1 MB, so two of them are replaced right away, and then one every 40 seconds. A larger change than a full bucket
  /// holds passes when the bucket is full, and is paid off afterwards.
  package static let append = RateLimitPolicy(.append, quota: 3 << 19, burst: 2 << 20)
}
