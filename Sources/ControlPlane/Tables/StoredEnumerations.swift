import Domain
import Postgres

// Enumerations whose raw values are stored as text.

extension Project.Environment: StoredAsText {}
extension Thresholds.LoopSensitivity: StoredAsText {}
extension Actor.Kind: StoredAsText {}
extension Role: StoredAsText {}
extension StripeEventRow.Status: StoredAsText {}
extension PlanTier: StoredAsText {}
extension Invitation.Status: StoredAsText {}
extension WebhookEndpoint.DisabledReason: StoredAsText {}
extension WebhookDelivery.Status: StoredAsText {}
extension Rule.Effect: StoredAsText {}
extension Rule.Match.Kind: StoredAsText {}
extension RequestLog.Decision: StoredAsText {}
extension RequestLog.Reason: StoredAsText {}
extension Region: StoredAsText {}
extension CreditPurchase.Status: StoredAsText {}

/// A column with a text that this program does not know is an error, never a default.
protocol StoredAsText: PostgresDecodable, RawRepresentable<String> {}

extension StoredAsText {
  package static func decode(_ cell: Cell) throws(CellMismatch) -> Self {
    guard let value = Self(rawValue: try String.decode(cell)) else {
      throw CellMismatch(expected: "\(Self.self)", found: "another text")
    }
    return value
  }
}
