// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let serviceLifecycle: Target.Dependency = .product(
  name: "ServiceLifecycle", package: "swift-service-lifecycle")

let package = Package(
  name: "signalbox",
  products: [
    .executable(name: "signalbox", targets: ["signalbox"]),
    .library(name: "Gateway", targets: ["Gateway"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
  ],
  targets: [
    // The C libraries, each behind exactly one Swift target.
    .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
    .systemLibrary(
      name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(name: "Compression", dependencies: ["CZlib", "CZstd"], swiftSettings: strict),
    .target(name: "Threads", swiftSettings: strict),
    .target(name: "Postgres", dependencies: ["CLibPQ", "Threads"], swiftSettings: strict),
    .target(name: "Cryptography", dependencies: ["COpenSSL"], swiftSettings: strict),
    .target(name: "JSON", dependencies: ["CJansson"], swiftSettings: strict),

    .target(
      name: "EventStore", dependencies: ["Postgres", "Cryptography", "JSON"],
      swiftSettings: strict),
    .target(name: "Domain", swiftSettings: strict),
    .target(name: "ConfigurationFeed", dependencies: ["Domain", "JSON"], swiftSettings: strict),
    .target(
      name: "Gateway",
      dependencies: [
        "Compression", "ConfigurationFeed", "Cryptography", "Domain", "JSON",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOHTTPCompression", package: "swift-nio-extras"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .target(name: "Mail", dependencies: ["CCurl", "Threads"], swiftSettings: strict),
    .target(
      name: "Identity",
      dependencies: [
        "Cryptography", "JSON",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "JWTKit", package: "jwt-kit"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .target(
      name: "Stripe",
      dependencies: [
        "Cryptography", "JSON",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .target(name: "COpenAPI", exclude: ["openapi.yaml"]),
    .target(
      name: "ControlPlane",
      dependencies: [
        "COpenAPI", "ConfigurationFeed", "Domain", "EventStore", "Identity", "Mail", "Postgres",
        "Cryptography",
        "Compression", "JSON", "Stripe", "Threads", hummingbird, serviceLifecycle,
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "NIOTLS", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
      ],
      resources: [
        .embedInCode("Migrations/0001_event_log.sql"),
        .embedInCode("Migrations/0002_workspaces.sql"),
        .embedInCode("Migrations/0003_people.sql"),
        .embedInCode("Migrations/0004_erased_identities.sql"),
        .embedInCode("Migrations/0005_sole_reader.sql"),
        .embedInCode("Migrations/0006_rules.sql"),
        .embedInCode("Migrations/0007_budgets.sql"),
        .embedInCode("Migrations/0008_gateway_tokens.sql"),
        .embedInCode("Migrations/0009_configuration_feed.sql"),
        .embedInCode("Migrations/0010_api_keys.sql"),
        .embedInCode("Migrations/0011_provider_keys.sql"),
        .embedInCode("Migrations/0012_request_logs.sql"),
        .embedInCode("Migrations/0013_credits_and_usage.sql"),
        .embedInCode("Migrations/0014_stripe.sql"),
        .embedInCode("Migrations/0015_webhooks.sql"),
        .embedInCode("Migrations/0016_blocked_requests.sql"),
        .embedInCode("Migrations/0017_job_attempts.sql"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "signalbox",
      dependencies: [
        "ControlPlane", "Domain", "EventStore", "Identity", "Mail", "Postgres", "Cryptography",
        "JSON", "Stripe", serviceLifecycle,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),

    // A whole gateway, for reading and for trying out (ops/gateways.md).
    .executableTarget(
      name: "example-gateway",
      dependencies: [
        "Gateway", hummingbird, serviceLifecycle,
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOFoundationCompat", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ],
      path: "Examples/gateway", swiftSettings: strict),

    // What `make bench` holds our reads against.
    .executableTarget(
      name: "bare-hummingbird",
      dependencies: [hummingbird, .product(name: "Logging", package: "swift-log")],
      path: "ops/bench/floor", swiftSettings: strict),
    // How many requests a second are decided about.
    .executableTarget(
      name: "evaluator-bench", dependencies: ["Domain"], path: "ops/bench/evaluator",
      swiftSettings: strict),

    // Tests. Databases that they need are started by Support.
    .target(
      name: "Support",
      dependencies: [
        "ControlPlane", "Domain", "EventStore", "Identity", "Mail", "Postgres", "Cryptography",
        "JSON", "Stripe",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "Yams", package: "Yams"),
      ],
      path: "Tests/Support", swiftSettings: strict),
    .testTarget(
      name: "PostgresTests", dependencies: ["Postgres", "CLibPQ", "Threads"],
      swiftSettings: strict),
    .testTarget(
      name: "CryptographyTests", dependencies: ["Cryptography", "COpenSSL"],
      swiftSettings: strict),
    .testTarget(
      name: "StripeTests", dependencies: ["Stripe", "Support", "Cryptography", "JSON"],
      swiftSettings: strict),
    .testTarget(name: "MailTests", dependencies: ["Mail"], swiftSettings: strict),
    .testTarget(
      name: "IdentityTests",
      dependencies: [
        "Identity", "Cryptography", "JSON",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "CryptoExtras", package: "swift-crypto"),
        .product(name: "JWTKit", package: "jwt-kit"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "CompressionTests", dependencies: ["Compression"], swiftSettings: strict),
    .testTarget(name: "JSONTests", dependencies: ["JSON", "CJansson"], swiftSettings: strict),
    .testTarget(
      name: "GatewayTests",
      dependencies: [
        "Gateway", "Compression", "ConfigurationFeed", "Cryptography", "Domain", "JSON",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ConfigurationFeedTests", dependencies: ["ConfigurationFeed", "Domain", "JSON"],
      swiftSettings: strict),
    .testTarget(
      name: "DomainTests", dependencies: ["Domain", "JSON", "Support"], swiftSettings: strict),
    .testTarget(
      name: "EventStoreTests",
      dependencies: [
        "Support", "ControlPlane", "Domain", "EventStore", "Postgres", "Cryptography", "JSON",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ControlPlaneTests",
      dependencies: [
        "Support", "ConfigurationFeed", "ControlPlane", "Domain", "EventStore", "Identity", "Mail",
        "Postgres",
        "Cryptography", "Compression", "JSON", "Stripe", hummingbird,
        .product(name: "HummingbirdTesting", package: "hummingbird"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ContractTests", dependencies: ["Support", "ControlPlane", "JSON"],
      swiftSettings: strict),
    // What `make fuzz` sends random bytes to, and the corpus in an ordinary build.
    .target(
      name: "FuzzTargets",
      dependencies: [
        "Compression", "ConfigurationFeed", "ControlPlane", "Cryptography", "Domain", "JSON",
        "Mail", "Stripe",
      ],
      path: "Tests/Fuzz/Targets", swiftSettings: strict),
    .testTarget(
      name: "FuzzTests", dependencies: ["FuzzTargets", "Support"], swiftSettings: strict),
    .testTarget(
      name: "FaultTests",
      dependencies: [
        "signalbox", "example-gateway", "Gateway", "ConfigurationFeed", "ControlPlane", "Support",
        "EventStore", "Domain", "Postgres", "Cryptography", "JSON",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)

// `make fuzz` builds in a folder of its own, with libFuzzer and its instrumentation.
if Context.environment["SIGNALBOX_FUZZ"] == "1" {
  let instrumented: Set = [
    "Compression", "ConfigurationFeed", "ControlPlane", "Cryptography", "Domain", "FuzzTargets",
    "JSON", "Mail", "Stripe",
  ]
  for target in package.targets where instrumented.contains(target.name) {
    target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-sanitize=fuzzer"])]
  }
  package.targets.append(
    .executableTarget(
      name: "fuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzz/Runner",
      swiftSettings: strict + [.unsafeFlags(["-sanitize=fuzzer", "-parse-as-library"])],
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])]))
}
