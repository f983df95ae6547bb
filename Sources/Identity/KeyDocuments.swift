import AsyncHTTPClient
import JSON
import NIOCore
import NIOHTTP1

/// Reads the document at a URL, of which `IdentityProvider` has checked that it may be read.
package typealias DocumentFetch = @Sendable (_ url: String) async throws -> [UInt8]

/// Why what an issuer published is not used. It says nothing that could be secret.
enum KeyDocumentError: Error, Equatable {
  case status(Int)
  case timeout
  case malformed(String)

  static func object(_ document: [UInt8]) throws(KeyDocumentError) -> JSONValue {
    do throws(JSONSyntaxError) {
      return try JSONValue.parse(document, maximumDepth: 16)
    } catch {
      throw .malformed("\(error)")
    }
  }
}

/// Documents over HTTP.
package enum HTTPDocument {
  private static let timeLimit = Duration.seconds(5)
  private static let maximumSize = 512 * 1024

  /// Whether it is an https URL, or http of this machine.
  package static func canFetch(_ url: String) -> Bool { Reach(of: url) != nil }

  /// Reads a document of at most 512 KiB within five seconds. Follows no redirect, and believes only servers that
  /// the system's certificate authorities vouch for.
  ///
  /// Each call has a client of its own: there is one in ten minutes.
  @Sendable package static func fetch(_ url: String) async throws -> [UInt8] {
    try await withThrowingTaskGroup(of: [UInt8].self) { group in
      defer { group.cancelAll() }
      group.addTask { try await get(url) }
      group.addTask {
        // The client's own time limit ends with the head of the response.
        try await Task.sleep(for: timeLimit)
        throw KeyDocumentError.timeout
      }
      guard let document = try await group.next() else { throw KeyDocumentError.timeout }
      return document
    }
  }

  private static func get(_ url: String) async throws -> [UInt8] {
    let configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    return try await HTTPClient.withHTTPClient(configuration: configuration) { client in
      var request = HTTPClientRequest(url: url)
      request.headers.add(name: "accept", value: "application/json")
      let response = try await client.execute(request, timeout: TimeAmount(timeLimit))
      guard response.status == .ok else {
        throw KeyDocumentError.status(Int(response.status.code))
      }
      let body = try await response.body.collect(upTo: maximumSize)
      try Task.checkCancellation()
      return Array(body.readableBytesView)
    }
  }
}

extension IdentityProvider {
  /// The keys as the issuer publishes them now.
  ///
  /// - Throws: `KeyDocumentError`, and what `fetch` throws.
  func keySet(fetchedBy fetch: DocumentFetch) async throws -> KeySet {
    switch keys {
    case .fixed(let document): return try await KeySet(parsing: document)
    case .url(let url): return try await KeySet(parsing: try await fetch(url))
    case .discovery(let url):
      let metadata = try KeyDocumentError.object(try await fetch(url))
      return try await KeySet(parsing: try await fetch(try keysURL(in: metadata)))
    }
  }

  /// OpenID Connect Discovery 1.0, sections 3 and 4.3.
  private func keysURL(in metadata: JSONValue) throws(KeyDocumentError) -> String {
    guard metadata["issuer"]?.string?.isExactly(issuer) == true else {
      throw .malformed("the issuer of the discovery document is another one")
    }
    // An issuer elsewhere must not have us read what only this machine can.
    guard let url = metadata["jwks_uri"]?.string, let reach = Reach(of: url),
      reach == .anywhere || Reach(of: issuer) == .loopback
    else { throw .malformed("jwks_uri is missing, or not an https URL") }
    return url
  }
}
