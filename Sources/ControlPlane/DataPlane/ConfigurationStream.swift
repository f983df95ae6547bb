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
    while !Task.isCancelled {
      let view = configuration.view(after: sent, for: gateway)
      // It connects to another replica when this one goes.
      if view.isStopping { return }
      var buffer = ByteBuffer()
      if status.map({ $0.isStale != view.status.isStale }) ?? true {
        buffer.writeBytes(view.status.event.bytes)
        status = view.status
      }
      if !view.status.isStale {
        guard view.isGatewayGood else { return try await writer.write(buffer) }
        if !isCursorChecked, cursor > view.status.position {
          return try await end(writer: &writer, "the cursor is ahead of the log")
        }
        isCursorChecked = true
      }
      switch view.news {
      case .frames(let frames):
        for frame in frames { buffer.writeImmutableBuffer(frame.bytes) }
        sent = frames.last?.position ?? sent
      case .older(let end):
        guard let frames = try await configuration.olderChanges(after: sent, upTo: end) else {
          return try await self.end(writer: &writer, "the cursor is too old")
        }
        for frame in frames { buffer.writeImmutableBuffer(frame.bytes) }
        // Between the last of them and where the newer ones begin there is nothing.
        sent = frames.last.map { $0.position } ?? end
      }
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

  fileprivate var event: ServerSentEvent {
    var data = JSONObject()
    data.set("stale", isStale)
    if let staleSince { data.set("since", staleSince.rfc3339) }
    data.set("position", position)
    return ServerSentEvent(event: "status", data: String(decoding: data.bytes(), as: UTF8.self))
  }
}
