import Domain
import JSON
import Support
import Synchronization
import Testing

@testable import ControlPlane

@Suite struct SoleReaderTests {
  /// One replica becomes the sole reader again and again, while the other one changes what it remembers.
  @Test func `the next read sees what another replica changed, although it does not ask`()
    async throws
  {
    let started = Atomic(0)
    try await TestControlPlane.with(replicas: 2) {
      // Only the first of them: a sole reader gives its right away to nobody who does not append.
      let isFirst = started.add(1, ordering: .relaxed).oldValue == 0
      $0.quietTime = isFirst ? .milliseconds(20) : .seconds(600)
    } _: { planes in
      let (reader, writer) = (planes[0].client, planes[1].client)
      let path = try await writer.makeOrganization()
      let project = try await writer.makeProject(in: path, "Zero")
      var revocations = 0
      for number in 1...20 {
        let end = ContinuousClock.now + .milliseconds(80)
        while ContinuousClock.now < end {
          #expect(try await reader.get(project).status == 200)
          try await Task.sleep(for: .milliseconds(5))
        }
        let start = ContinuousClock.now
        let changed = try await writer.patch(project, #"{"name":"\#(number)"}"#)
        if ContinuousClock.now - start > .milliseconds(50) { revocations += 1 }
        #expect(changed.status == 200, "\(changed.text)")
        #expect(try await reader.get(project).json["name"] == .string("\(number)"))
      }
      #expect(revocations > 0, "nobody ever was the sole reader")
    }
  }

  @Test func `what a replica changes itself it sees at once`() async throws {
    try await TestControlPlane.with {
      $0.quietTime = .zero
    } _: { planes in
      let client = planes[0].client
      let project = try await client.makeProject(in: client.makeOrganization(), "Zero")
      for number in 1...50 {
        #expect(try await client.patch(project, #"{"name":"\#(number)"}"#).status == 200)
        #expect(try await client.get(project).json["name"] == .string("\(number)"))
      }
    }
  }
}
