import Hummingbird
import Logging

/// What the framework alone costs: one route with the template of our own `GET` of a project, which
/// replies the JSON that it was given on its standard input. No middleware, no authentication, no
/// database, Hummingbird's defaults. Its one argument is the port.
@main
enum BareHummingbird {
  static func main() async throws {
    guard CommandLine.arguments.count == 2, let port = Int(CommandLine.arguments[1]),
      let json = readLine()
    else { fatalError("usage: bare-hummingbird PORT < FILE") }
    let body = ByteBuffer(string: json)

    let router = Router()
    router.get("/v1/organizations/{organization}/projects/{project}") { _, _ in
      Response(
        status: .ok, headers: [.contentType: "application/json"],
        body: ResponseBody(byteBuffer: body))
    }
    var logger = Logger(label: "bare-hummingbird")
    logger.logLevel = .critical
    let application = Application(
      router: router, configuration: .init(address: .hostname("127.0.0.1", port: port)),
      logger: logger)
    try await application.runService()
  }
}
