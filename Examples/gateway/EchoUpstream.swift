import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// Stands in for a model: says again what was said last, and whether it was asked with a key.
enum EchoUpstream {
  struct Message: Codable {
    let role: String
    let content: String
  }

  struct Question: Decodable {
    let model: String
    let messages: [Message]
  }

  struct Answer: Encodable {
    struct Choice: Encodable {
      let index: Int
      let message: Message
      let finishReason: String
    }

    struct Usage: Encodable {
      let promptTokens: Int
      let completionTokens: Int
      let totalTokens: Int
    }

    let object = "chat.completion"
    let model: String
    let choices: [Choice]
    let usage: Usage
    /// Not the key itself, which is none of the client's business.
    let hadKey: Bool
  }

  static func application(port: Int, logger: Logger) -> some ApplicationProtocol {
    let router = Router()
    router.post("/v1/chat/completions") { request, _ -> Response in
      let body = try await request.body.collect(upTo: 10 << 20)
      guard let question = Question(json: body) else {
        throw HTTPError(.badRequest, message: "model and messages are required")
      }
      let words = { (text: String) in text.split(separator: " ").count }
      let echo = question.messages.last?.content ?? ""
      let (asked, answered) = (question.messages.reduce(0) { $0 + words($1.content) }, words(echo))
      let answer = Answer(
        model: question.model,
        choices: [
          .init(
            index: 0, message: Message(role: "assistant", content: echo), finishReason: "stop")
        ],
        usage: .init(
          promptTokens: asked, completionTokens: answered, totalTokens: asked + answered),
        hadKey: request.headers[.authorization] != nil)
      return try Response(answer)
    }
    return Application(
      router: router, configuration: .init(address: .hostname("127.0.0.1", port: port)),
      logger: logger)
  }
}
