import ConfigurationFeed
import Domain
import FoundationEssentials
import Hummingbird
import JSON
import NIOCore

/// One gateway's stream of changes: what is behind its cursor, then whatever is appended, until somebody hangs up.
struct ConfigurationStream: Sendable {
  /// How long gateways wait before they connect again, in milliseconds.
  private static let retry = 1000

  let configuration: LiveConfiguration
  let gateway: GatewayTokenID
  /// Nil when the gateway has no cursor, or one that is none.
  let cursor: Int64?

  /// - Throws: when the gateway is gone.
  @concurrent
  func write(to writer: inout any ResponseBodyWriter) async throws {
    configuration.streamOpened()
    defer { configuration.streamClosed() }
    try await writer.write(ByteBuffer(bytes: ServerSentEvent.retry(milliseconds: Self.retry)))
    guard let cursor else {
      return try await end(writer: &writer, "a snapshot comes first: its position is the cursor")
    }
    var sent = cursor
    var status: LiveConfiguration.Status?
    var heartbeats: Int?
    var isCursorChecked = false
    var generation: Int?
    while !Task.isCancelled {
      let view = configuration.view(after: sent, for: gateway)
      // It connects to another replica when this one goes.
      if view.isStopping { return }
      if let generation, generation != view.generation {
        return try await end(writer: &writer, "what was sent is not what the log says")
      }
      generation = view.generation
      var frames: [LiveConfiguration.Frame] = []
      var isAway = false
      switch view.news {
      case .frames(let newer): frames = Array(newer)
      case .older where view.status.isStale: isAway = true
      case .older(let end):
        guard let older = try await configuration.olderChanges(after: sent, upTo: end) else {
          return try await self.end(writer: &writer, "the cursor is too old")
        }
        frames = older
      }
      var buffer = ByteBuffer()
      if status.map({ $0.isStale != view.status.isStale }) ?? true {
        // Events that change nothing for gateways come between changes, so the log's end is nothing to be behind of.
        let newest = view.newestChange ?? frames.last?.position ?? sent
        buffer.writeBytes(view.status.event(newest: newest).bytes)
        status = view.status
      }
      if !view.status.isStale {
        guard view.isGatewayGood else { return try await writer.write(buffer) }
        if !isCursorChecked, cursor > view.status.position {
          return try await end(writer: &writer, "the cursor is ahead of the log")
        }
        isCursorChecked = true
      }
      if isAway {
        try await writer.write(buffer)
        // The whole is here, and may tell of a panic mode that the gateway has not heard of.
        return try await self.end(writer: &writer, "the changes behind the cursor are away")
      }
      for frame in frames { buffer.writeImmutableBuffer(frame.bytes) }
      sent = frames.last?.position ?? sent
      // Between the last of the older ones and where the newer ones begin there is nothing.
      if case .older(let end) = view.news, frames.isEmpty { sent = end }
      if let heartbeats, view.heartbeats > heartbeats, buffer.readableBytes == 0 {
        buffer.writeBytes(ServerSentEvent.comment("heartbeat"))
      }
      heartbeats = view.heartbeats
      if buffer.readableBytes > 0 { try await writer.write(buffer) }
      if case .older = view.news { continue }
      await configuration.wait(after: view.revision)
    }
  }

  @concurrent
  private func end(writer: inout any ResponseBodyWriter, _ reason: String) async throws {
    var data = JSONObject()
    data.set("reason", reason)
    try await writer.write(
      ByteBuffer(
        bytes: ServerSentEvent(
          event: "reset", data: String(decoding: data.bytes(), as: UTF8.self)
        ).bytes))
  }
}

extension LiveConfiguration.Status {
  var isStale: Bool { staleSince != nil }

  fileprivate func event(newest position: Int64) -> ServerSentEvent {
    var data = JSONObject()
    data.set("stale", isStale)
    if let staleSince { data.set("since", staleSince.rfc3339) }
    data.set("position", position)
    return ServerSentEvent(event: "status", data: String(decoding: data.bytes(), as: UTF8.self))
  }
}
