import NIOCore
import NIOPosix
import Testing

@testable import Identity

struct HTTPDocumentTests {
  @Test func `a redirect is not followed`() async throws {
    let target = try await CannedServer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    #expect(try await HTTPDocument.fetch(target.url) == Array("{}".utf8))
    for status in [301, 302, 303, 307, 308] {
      let server = try await CannedServer(
        "HTTP/1.1 \(status) Elsewhere\r\nlocation: \(target.url)\r\ncontent-length: 0\r\n\r\n")
      await #expect(throws: KeyDocumentError.status(status)) {
        try await HTTPDocument.fetch(server.url)
      }
      try await server.stop()
    }
    try await target.stop()
  }

  @Test(arguments: [204, 304, 404, 500, 503])
  func `only 200 is a document`(status: Int) async throws {
    let server = try await CannedServer("HTTP/1.1 \(status) X\r\ncontent-length: 0\r\n\r\n")
    await #expect(throws: KeyDocumentError.status(status)) {
      try await HTTPDocument.fetch(server.url)
    }
    try await server.stop()
  }

  @Test func `half a MiB is read, and not a byte more`() async throws {
    let limit = 512 * 1024
    for (size, isRead) in [(limit, true), (limit + 1, false)] {
      let body = String(repeating: "x", count: size)
      for head in ["content-length: \(size)", "connection: close"] {
        let server = try await CannedServer(
          "HTTP/1.1 200 OK\r\n\(head)\r\n\r\n\(body)", closes: true)
        let document = try? await HTTPDocument.fetch(server.url)
        #expect(document?.count == (isRead ? size : nil), "\(head)")
        try await server.stop()
      }
    }
  }

  @Test(
    .timeLimit(.minutes(1)),
    arguments: ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"])
  func `a server that stops in the middle costs five seconds`(start: String) async throws {
    let server = try await CannedServer(start)
    let duration = await ContinuousClock().measure {
      await #expect(throws: (any Error).self) { try await HTTPDocument.fetch(server.url) }
    }
    #expect(duration > .seconds(4.5) && duration < .seconds(20))
    try await server.stop()
  }

  @Test func `TLS without a trusted certificate is no TLS`() async throws {
    let server = try await CannedServer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    let url = server.url.replacing("http:", with: "https:")
    await #expect(throws: (any Error).self) { try await HTTPDocument.fetch(url) }
    try await server.stop()
  }
}

/// Answers the first bytes of every connection with the same text.
struct CannedServer {
  let url: String
  private let channel: any Channel

  init(_ answer: String, closes: Bool = false) async throws {
    channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.pipeline.addHandler(Answer(text: answer, closes: closes))
      }
      .bind(host: "127.0.0.1", port: 0).get()
    url = "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/keys"
  }

  func stop() async throws { try await channel.close() }

  private final class Answer: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let text: String
    let closes: Bool

    init(text: String, closes: Bool) {
      self.text = text
      self.closes = closes
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let written = context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)))
      let channel = context.channel
      if closes { written.whenComplete { _ in channel.close(promise: nil) } }
    }
  }
}
