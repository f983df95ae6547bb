import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import ServiceLifecycle

/// Serves the floor itself. What `Application.run` adds to every request, a logger and a task-local value, the floor has no
/// use for: its own lines carry the request's id.
struct HTTPService: Service {
  let application: Application<HTTPFloor>

  func run() async throws {
    let (floor, logger, clock) = (application.responder, application.logger, HTTPDate())
    let server = try application.server.buildServer(
      configuration: ServerConfiguration(
        address: application.configuration.address, backlog: application.configuration.backlog,
        reuseAddress: application.configuration.reuseAddress,
        availableConnectionsDelegate: application.configuration.availableConnectionsDelegate),
      eventLoopGroup: application.eventLoopGroup, logger: logger
    ) { (request, writer: consuming ResponseWriter, channel) in
      let context = APIContext(
        source: ApplicationRequestContextSource(channel: channel, logger: logger))
      var response = try await floor.respond(to: request, context: context)
      response.headers[.date] = clock.now
      do {
        try await writer.write(response: response.head, body: response.body)
      } catch is HTTPParserError {
        // Thrown on, it would have a second reply written into the first.
        throw ReplyCutShort()
      }
    } onServerRunning: { channel in
      await application.onServerRunning(channel)
    }
    try await server.run()
  }
}

/// The rest of the request turned out to be malformed while its reply was being written.
private struct ReplyCutShort: Error {}
