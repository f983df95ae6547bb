import Crypto
import FoundationEssentials
import NIOCore
import NIOPosix
import Support
import Synchronization
import Testing

/// Signs as GitHub does.
struct Signer: Sendable {
  static let identifierField = "Github-Public-Key-Identifier"
  static let signatureField = "Github-Public-Key-Signature"

  let identifier = "\(UUID())".lowercased()
  private let key = P256.Signing.PrivateKey()

  func headers(for body: String) throws -> [String: String] {
    let signature = try key.signature(for: Array(body.utf8)).derRepresentation
    return [Self.identifierField: identifier, Self.signatureField: signature.base64EncodedString()]
  }

  /// What is published.
  static func document(_ signers: [Signer]) -> String {
    let keys = signers.map { signer in
      let pem = signer.key.publicKey.pemRepresentation.replacing("\n", with: "\\n")
      return #"{"key_identifier":"\#(signer.identifier)","key":"\#(pem)","is_current":true}"#
    }
    return #"{"public_keys":[\#(keys.joined(separator: ","))]}"#
  }
}

extension TestClient {
  /// A delivery that is signed.
  func report(
    _ body: String, by signer: Signer, at location: SourceLocation = #_sourceLocation
  ) async throws -> HTTPReply {
    try await with(token: nil).send(
      "POST", SecretScanningTests.path, body, headers: try signer.headers(for: body), at: location)
  }
}

/// A stand-in for `api.github.com`: answers every connection with the keys that are published now, and counts.
final class KeyServer: Sendable {
  private let channel: any Channel
  private let answer: Answer
  let url: String

  init(publishing signers: [Signer]) async throws {
    let answer = Answer(Signer.document(signers))
    self.answer = answer
    channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { $0.pipeline.addHandler(answer) }
      .bind(host: "127.0.0.1", port: 0).get()
    url = "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/meta/public_keys/secret_scanning"
  }

  /// How often the keys were asked for.
  var requests: Int { answer.state.withLock { $0.requests } }

  func publish(_ document: String) { answer.state.withLock { $0.document = document } }

  func stop() async throws { try await channel.close() }

  private final class Answer: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let state: Mutex<(document: String, requests: Int)>

    init(_ document: String) { state = Mutex((document, 0)) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let document = state.withLock { state in
        state.requests += 1
        return state.document
      }
      let text = "HTTP/1.1 200 OK\r\ncontent-length: \(document.utf8.count)\r\n\r\n\(document)"
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }
  }
}
