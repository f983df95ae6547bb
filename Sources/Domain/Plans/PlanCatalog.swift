/// The plans that a workspace can be on. The raw values are stored; `plus` is sold as "Pro".
package enum PlanTier: String, Sendable, Codable, CaseIterable {
  case free, plus, business
}

/// Something of which a plan allows so many. The raw values are the contract's names.
package enum Limit: String, Sendable, CaseIterable {
  case projects
  /// Pending invitations count.
  case members
  case apiKeysPerProject = "api_keys_per_project"
  /// Rules about addresses, countries and models together.
  case rulesPerProject = "rules_per_project"
}

/// Something that a plan has or does not have. The raw values are the contract's names.
package enum PlanFeature: String, Sendable, CaseIterable {
  /// Rules about addresses.
  case networkControls = "network_controls"
  /// Rules about countries and regions.
  case regionRules = "region_rules"
}

/// What a plan allows.
package struct Entitlements: Equatable, Sendable, Codable {
  package var projects: Int64
  package var members: Int64
  package var apiKeysPerProject: Int64
  package var rulesPerProject: Int64
  /// Requests a month before credits are used.
  package var includedRequests: Int64
  /// Whether credits may be used for more requests than the included ones.
  package var creditBackedRequests: Bool
  /// Upstream providers by name; nil means all.
  package var providers: [String]?
  package var networkControls: Bool
  package var regionRules: Bool
  /// How long audit and evidence are kept.
  package var retentionDays: Int64

  package init(
    projects: Int64, members: Int64, apiKeysPerProject: Int64, rulesPerProject: Int64,
    includedRequests: Int64, creditBackedRequests: Bool, providers: [String]?,
    networkControls: Bool, regionRules: Bool, retentionDays: Int64
  ) {
    self.projects = projects
    self.members = members
    self.apiKeysPerProject = apiKeysPerProject
    self.rulesPerProject = rulesPerProject
    self.includedRequests = includedRequests
    self.creditBackedRequests = creditBackedRequests
    self.providers = providers
    self.networkControls = networkControls
    self.regionRules = regionRules
    self.retentionDays = retentionDays
  }

  package subscript(limit: Limit) -> Int64 {
    switch limit {
    case .projects: projects
    case .members: members
    case .apiKeysPerProject: apiKeysPerProject
    case .rulesPerProject: rulesPerProject
    }
  }

  package subscript(feature: PlanFeature) -> Bool {
    switch feature {
    case .networkControls: networkControls
    case .regionRules: regionRules
    }
  }

  private enum CodingKeys: String, CodingKey {
    case projects, members, providers
    case apiKeysPerProject = "api_keys_per_project"
    case rulesPerProject = "rules_per_project"
    case includedRequests = "included_requests"
    case creditBackedRequests = "credit_backed_requests"
    case networkControls = "network_controls"
    case regionRules = "region_rules"
    case retentionDays = "retention_days"
  }
}

/// One plan as it is sold.
package struct Plan: Equatable, Sendable, Codable {
  package let tier: PlanTier
  package let name: String
  /// Micro-USD a month.
  package let pricePerMonth: Int64
  package let entitlements: Entitlements

  package init(tier: PlanTier, name: String, pricePerMonth: Int64, entitlements: Entitlements) {
    self.tier = tier
    self.name = name
    self.pricePerMonth = pricePerMonth
    self.entitlements = entitlements
  }

  private enum CodingKeys: String, CodingKey {
    case tier, name, entitlements
    case pricePerMonth = "price_per_month"
  }
}

/// All plans, from the smallest to the largest: the one place where limits and prices stand.
package struct PlanCatalog: Equatable, Sendable, Codable {
  /// Raised with every change, so that it is known by which edition a workspace's entitlements were given.
  package let version: Int64
  package let plans: [Plan]

  /// A catalog of one's own.
  ///
  /// - Returns: nil unless every tier occurs exactly once, in their order.
  package init?(version: Int64, plans: [Plan]) {
    guard version > 0, plans.map(\.tier) == PlanTier.allCases else { return nil }
    self.version = version
    self.plans = plans
  }

  package subscript(tier: PlanTier) -> Plan {
    // The initializer has seen to it that every tier is there, in order.
    plans[PlanTier.allCases.firstIndex(of: tier)!]
  }

  /// The smallest plan that allows more than `usage` of something.
  package func smallest(allowing usage: Int64, of limit: Limit) -> PlanTier? {
    plans.first { $0.entitlements[limit] > usage }?.tier
  }

  /// What is sold unless an installation says otherwise.
  package static let standard = PlanCatalog(
    version: 1,
    standardPlans: [
      Plan(
        tier: .free, name: "Free", pricePerMonth: 0,
        entitlements: Entitlements(
          projects: 1, members: 3, apiKeysPerProject: 2, rulesPerProject: 10,
          includedRequests: 150, creditBackedRequests: false, providers: ["openrouter"],
          networkControls: false, regionRules: false, retentionDays: 7)),
      Plan(
        tier: .plus, name: "Pro", pricePerMonth: 20_000_000,
        entitlements: Entitlements(
          projects: 5, members: 15, apiKeysPerProject: 10, rulesPerProject: 200,
          includedRequests: 50_000, creditBackedRequests: true,
          providers: ["openrouter", "openai", "anthropic", "google", "mistral"],
          networkControls: true, regionRules: true, retentionDays: 30)),
      Plan(
        tier: .business, name: "Business", pricePerMonth: 325_000_000,
        entitlements: Entitlements(
          projects: 100, members: 250, apiKeysPerProject: 100, rulesPerProject: 5000,
          includedRequests: 500_000, creditBackedRequests: true, providers: nil,
          networkControls: true, regionRules: true, retentionDays: 90)),
    ])

  private init(version: Int64, standardPlans: [Plan]) {
    self.version = version
    plans = standardPlans
  }
}
