import Compression
import ConfigurationFeed
import Domain
import FoundationEssentials
import JSON
import Synchronization
import Testing

@testable import Gateway

struct GatewayCompressionTests {
  @Test(arguments: ContentCoding.allCases)
  func `a compressed snapshot is taken`(coding: ContentCoding) async throws {
    try await withStandIn { standIn in
      let document = try sample(at: 5)
      standIn.script {
        $0.snapshot = .status(200, document.bytes())
        $0.snapshotCoding = coding
        $0.greeting = StandIn.status(5)
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("is up to date") { !gateway.status.isStale }
        #expect(gateway.decide().isAllowed)
      }
    }
  }

  @Test func `a zstd snapshot that is not whole replaces nothing`() async throws {
    let torn = Array(Zstd.deflate(try sample(at: 5).bytes()).dropLast())
    try await withStandIn { standIn in
      standIn.script {
        $0.snapshot = .status(200, torn)
        $0.snapshotLabel = "zstd"
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("says why") {
          gateway.status.lastError?.contains("zstd") == true
        }
        #expect(gateway.status.position == nil)
      }
    }
  }

  @Test func `a configuration that was refused is not fetched again while it is the same`()
    async throws
  {
    try await withStandIn { standIn in
      standIn.script {
        $0.snapshot = .status(200, Array(#"{"format":2}"#.utf8))
        $0.snapshotTag = #""7""#
      }
      try await withGateway(standIn.url) { gateway in
        try await eventually("has asked again") { standIn.state.withLock { $0.notModified } > 2 }
        #expect(standIn.state.withLock { $0.snapshots } == 1)
        #expect(gateway.status.lastError?.contains("cannot be read") == true)
        // Once there is another it is taken.
        let document = try sample(at: 8)
        standIn.script {
          $0.snapshot = .status(200, document.bytes())
          $0.snapshotTag = #""8""#
          $0.greeting = StandIn.status(8)
        }
        try await eventually("is up to date") { !gateway.status.isStale }
        #expect(gateway.status.position == 8)
      }
    }
  }

  @Test(arguments: [[ContentCoding.zstd, .gzip], [.gzip]])
  func `evidence is compressed, as the control plane knows how to`(
    codings: [ContentCoding]
  ) async throws {
    try await withStandIn { standIn in
      standIn.script { $0.codings = codings }
      try await withGateway(standIn.url) { gateway in
        for number in 0..<300 { gateway.record(try EvidenceTests().record(number)) }
        try await eventually("all is delivered") { gateway.metrics.evidenceDelivered == 300 }
        let (used, accepted) = standIn.state.withLock { ($0.codings, $0.accepted) }
        #expect(accepted.count == 300, "none came twice")
        #expect(used.contains(codings[0].rawValue))
        // Asked once whether it takes the better one, and not again.
        #expect(used.count(where: { $0 == "zstd" }) <= (codings.contains(.zstd) ? used.count : 1))
        #expect(gateway.metrics.evidenceFailures == 0)
      }
    }
  }
}
