import Domain
import JSON

extension Credits {
  /// The balance as the audit shows it.
  var json: JSONObject {
    var object = JSONObject()
    object.set("credit_logs_balance", balance)
    object.set("credit_debt", debt)
    return object
  }
}

/// `GET …/credits`.
enum CreditPayloads {
  /// - Parameter isSpendable: whether requests behind the included ones pass for it now.
  static func credits(balance: Int64, isSpendable: Bool) -> JSONObject {
    var packages = JSONArray()
    for package in CreditPackage.all { packages.append(package.json) }
    var object = JSONObject()
    object.set("credit_logs_balance", balance)
    object.set("credit_debt", max(0, -balance))
    object.set("spendable", isSpendable)
    object.set("packages", packages)
    return object
  }
}

extension CreditPackage {
  var json: JSONObject {
    var object = JSONObject()
    object.set("name", name)
    object.set("credits", credits)
    object.set("log_units", logUnits)
    object.set("price_micro_usd", price)
    return object
  }
}

extension CreditPurchaseRow {
  /// The purchase as callers see it.
  var json: JSONObject {
    var object = JSONObject()
    object.set("id", id.description)
    object.set("organization_id", organizationID.description)
    object.set("provider", Self.provider)
    object.set("payment_id", paymentID)
    object.set("package", package)
    object.set("log_units", logUnits)
    object.set("standing_units", standingUnits)
    object.set("amount", amount)
    object.set("currency", currency)
    object.set("refunded_amount", refundedAmount)
    object.set("status", status.rawValue)
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    object.set("completed_at", completedAt?.rfc3339)
    return object
  }
}

extension LedgerEntry {
  /// The entry as callers see it.
  var json: JSONObject {
    var object = JSONObject()
    object.set("version", version)
    object.set("position", position)
    object.set("type", type)
    object.set("units", units)
    object.set("balance", balance)
    object.set("purchase_id", purchaseID)
    object.set("period", period)
    object.set("occurred_at", occurredAt.rfc3339)
    return object
  }
}
