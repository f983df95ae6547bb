import AsyncHTTPClient
import ConfigurationFeed
import FoundationEssentials
import JSON
import Logging
import NIOCore

/// Keeps the configuration up to date: fetches it whole when there is none to go on from, follows the stream of changes,
/// and comes back when the connection is lost.
struct FeedFollower: Sendable {
  let client: ControlPlaneClient
  let live: LiveConfiguration
  let board: StatusBoard
  let counters: Counters
  let acknowledger: Acknowledger
  let timing: Timing
  let logger: Logger

  /// Why following ended.
  private enum End: Error {
    /// The stream ended, or the connection was lost.
    case closed
    /// The control plane cannot go on from the position that we have.
    case reset(String)
    /// A change could not be applied; the configuration is what it was before.
    case refused
  }

  /// A whole configuration that was of no use, so that it is not fetched over and over.
  private struct Refused {
    let tag: String
    let reason: String
  }

  /// Follows until its task is cancelled.
  func run() async {
    var isWholeNeeded = live.position == nil
    var failures = 0
    var floor = Duration.zero
    var hasBeenReset = false
    var refused: Refused?
    while !Task.isCancelled {
      var parser = EventStreamParser()
      do {
        if isWholeNeeded {
          try await fetchWhole(&refused)
          isWholeNeeded = false
        }
        try await follow(
          &parser,
          onProgress: {
            failures = 0
            hasBeenReset = false
          })
      } catch End.reset(let reason) {
        board.disconnected("reset: \(reason)")
        logger.notice("The configuration is fetched anew", metadata: ["reason": "\(reason)"])
        isWholeNeeded = true
        // At once, but only once: a control plane that says so again and again is not pressed.
        if !hasBeenReset {
          hasBeenReset = true
          continue
        }
      } catch End.refused {
        // Perhaps it was made for another document than ours.
        board.disconnected(nil)
        isWholeNeeded = true
      } catch {
        if Task.isCancelled { break }
        board.disconnected(Self.words(error))
        logger.warning(
          "The control plane is not reached", metadata: ["error": "\(Self.words(error))"])
      }
      failures += 1
      if let milliseconds = parser.reconnectionTime { floor = .milliseconds(milliseconds) }
      try? await Task.sleep(
        for: timing.backoff.delay(
          afterFailures: failures, atLeast: min(floor, timing.backoff.most)))
    }
    board.disconnected(nil)
  }

  private func fetchWhole(_ refused: inout Refused?) async throws {
    guard let (bytes, tag) = try await client.snapshot(unless: refused?.tag) else {
      throw ControlPlaneClient.Failure(description: refused?.reason ?? "")
    }
    refused = nil
    do {
      let document = try ConfigurationDocument(parsing: bytes)
      do {
        try await live.replace(with: document)
      } catch let error as ConfigurationError {
        refuse("\(error)", at: document.position)
        throw error
      }
      counters.count(\.snapshots)
      board.replaced(with: document.position)
      acknowledger.runs(document.position)
    } catch let error as ConfigurationError {
      board.refused("the configuration cannot be read: \(error)")
      let reason = "the configuration cannot be read: \(error)"
      if let tag { refused = Refused(tag: tag, reason: reason) }
      throw ControlPlaneClient.Failure(description: reason)
    }
  }

  private func follow(
    _ parser: inout EventStreamParser, onProgress: () -> Void
  ) async throws {
    guard let position = live.position else { throw End.closed }
    let (body, replica) = try await client.stream(after: position)
    // However it ends: another replica may do better.
    defer { if !Task.isCancelled { client.leave(replica) } }
    counters.count(\.connections)
    for try await buffer in body {
      for event in try parser.append(buffer.readableBytesView) {
        switch event.event {
        case "status": try takeStatus(event)
        case "change": try takeChange(event)
        case "reset":
          let data = try? JSONValue.parse(Array(event.data.utf8))
          throw End.reset(data?["reason"]?.string ?? "unknown")
        default: continue  // of a later control plane
        }
        onProgress()
      }
    }
    throw End.closed
  }

  private func takeStatus(_ event: ServerSentEvent) throws {
    let data = try JSONValue.parse(Array(event.data.utf8))
    guard let isStale = data["stale"]?.bool, let newest = data["position"]?.integer else {
      throw ControlPlaneClient.Failure(description: "the stream's status is not understood")
    }
    board.controlPlane(isStale: isStale, newest: newest)
    // After a connection was lost nobody knows what arrived before.
    if let position = live.position { acknowledger.runs(position) }
  }

  private func takeChange(_ event: ServerSentEvent) throws {
    guard let position = event.id.flatMap({ Int64($0) }) else {
      throw ControlPlaneClient.Failure(description: "a change has no position")
    }
    guard position > live.position ?? 0 else {
      counters.count(\.changesIgnored)
      return
    }
    do {
      try live.apply(Array(event.data.utf8), at: position)
    } catch {
      refuse("\(error)", at: position)
      throw End.refused
    }
    counters.count(\.changesApplied)
    board.runs(position)
    acknowledger.runs(position)
  }

  private func refuse(_ reason: String, at position: Int64) {
    counters.count(\.changesRefused)
    board.refused("position \(position) cannot be applied: \(reason)")
    logger.error(
      "A configuration is refused; the one before goes on to decide",
      metadata: ["position": "\(position)", "reason": "\(reason)"])
    acknowledger.refuses(position, reason, running: live.position)
  }

  private static func words(_ error: any Error) -> String {
    switch error {
    case End.closed: "the connection was closed"
    case let failure as ControlPlaneClient.Failure: failure.description
    default: "\(error)"
    }
  }
}
