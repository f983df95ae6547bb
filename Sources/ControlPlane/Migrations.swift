package import EventStore

extension Migrator {
  /// The schema of this program. To change it, add a file to `Migrations` and a line here.
  package static let signalbox = Migrator([
    migration(1, "event_log", PackageResources._001_event_log_sql),
    migration(2, "workspaces", PackageResources._002_workspaces_sql),
    migration(3, "people", PackageResources._003_people_sql),
    migration(4, "erased_identities", PackageResources._004_erased_identities_sql),
    migration(5, "sole_reader", PackageResources._005_sole_reader_sql),
    migration(6, "rules", PackageResources._006_rules_sql),
    migration(7, "budgets", PackageResources._007_budgets_sql),
    migration(8, "gateway_tokens", PackageResources._008_gateway_tokens_sql),
    migration(9, "configuration_feed", PackageResources._009_configuration_feed_sql),
    migration(10, "api_keys", PackageResources._010_api_keys_sql),
    migration(11, "provider_keys", PackageResources._011_provider_keys_sql),
    migration(12, "request_logs", PackageResources._012_request_logs_sql),
    migration(13, "credits_and_usage", PackageResources._013_credits_and_usage_sql),
    migration(14, "stripe", PackageResources._014_stripe_sql),
    migration(15, "webhooks", PackageResources._015_webhooks_sql),
    migration(16, "blocked_requests", PackageResources._016_blocked_requests_sql),
    migration(17, "job_attempts", PackageResources._017_job_attempts_sql),
  ])

  private static func migration(_ number: Int32, _ name: String, _ sql: [UInt8]) -> Migration {
    Migration(number: number, name: name, sql: String(decoding: sql, as: UTF8.self))
  }
}
