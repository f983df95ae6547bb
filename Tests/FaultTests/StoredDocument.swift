import ConfigurationFeed
import EventStore
import Postgres
import Support
import Testing

@testable import ControlPlane

extension FaultRun {
  /// Asserts that all of these are what the tables say, which are what the log says.
  func expectStored(_ documents: [ConfigurationDocument]) async throws {
    let (stored, differences) = try await database.withSession { session in
      let deadline = ContinuousClock.now + .seconds(20)
      return (
        try StoredConfiguration.load(plans: .roomy, session, deadline: deadline),
        try Rebuild.differences(session, deadline: deadline)
      )
    }
    #expect(differences == [], hint)
    #expect(stored.projectCount > 0, hint)
    for document in documents {
      #expect(try document.at(.max) == stored.at(.max), hint)
    }
  }
}

extension ConfigurationDocument {
  /// The same at another position: events that change nothing for gateways are behind no change.
  fileprivate func at(_ position: Int64) throws -> ConfigurationDocument {
    var document = self
    try document.apply(Array("{}".utf8), at: position)
    return document
  }
}
