import NIOCore
import NIOEmbedded
import Testing

@testable import ControlPlane

@Suite struct FlushGatheringTests {
  private let loop = EmbeddedEventLoop()

  private func connections(_ count: Int) throws -> [EmbeddedChannel] {
    let turn = EventLoopTurn(loop)
    return try (0..<count).map { _ in
      let channel = EmbeddedChannel(loop: loop)
      try channel.pipeline.syncOperations.addHandler(FlushGathering(turn))
      return channel
    }
  }

  private func sent(_ channel: EmbeddedChannel) throws -> String {
    var text = ""
    while let part = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: part) }
    return text
  }

  @Test func `replies are sent at the end of the turn, all of them and in order`() throws {
    let channels = try connections(2)
    for channel in channels {
      channel.writeAndFlush(ByteBuffer(string: "one "), promise: nil)
      channel.writeAndFlush(ByteBuffer(string: "two"), promise: nil)
    }
    for channel in channels { #expect(try sent(channel) == "") }
    loop.run()
    for channel in channels { #expect(try sent(channel) == "one two") }
  }

  @Test func `what the next turn says is sent, too`() throws {
    let channel = try connections(1)[0]
    for text in ["one", "two"] {
      channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
      loop.run()
      #expect(try sent(channel) == text)
    }
  }

  @Test(arguments: [CloseMode.all, .output])
  func `a connection that is closed has sent what it said`(mode: CloseMode) throws {
    let channel = try connections(1)[0]
    channel.writeAndFlush(ByteBuffer(string: "goodbye"), promise: nil)
    channel.close(mode: mode, promise: nil)
    #expect(try sent(channel) == "goodbye")
  }

  @Test func `a connection that is gone keeps nobody waiting`() throws {
    let channels = try connections(2)
    for channel in channels { channel.writeAndFlush(ByteBuffer(string: "hello"), promise: nil) }
    channels[0].pipeline.fireChannelInactive()
    try channels[0].pipeline.syncOperations.removeHandler(
      channels[0].pipeline.syncOperations.handler(type: FlushGathering.self)
    ).wait()
    loop.run()
    #expect(try sent(channels[1]) == "hello")
  }
}

extension FlushGathering: RemovableChannelHandler {}
