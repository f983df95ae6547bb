import Compression
import FoundationEssentials
package import HTTPTypes
package import Hummingbird

/// What an operation takes for a body, besides JSON.
struct BodyRules: Sendable {
  /// Newline-delimited JSON: one value on each line.
  var allowsNDJSON = false
  /// `Content-Encoding`; whoever reads the body inflates it.
  var codings: [ContentCoding] = []
  /// In bytes, as they are sent.
  var maximum: Int
  /// Whether callers show something else than a bearer token, such as a signature over the body.
  var isWithoutToken = false
  /// Whether most of it is appended to the log: a caller who has appended too much lately is refused before it is read.
  var isAppended = false
}

/// Finds out who sends a request by its head alone, before a large body is read.
///
/// Throws a ``Problem`` of 401, 429 or 503. Returns the caller whose share of memory the body takes.
typealias HeadAuthentication =
  @Sendable (Request, APIContext, BodyRules?) async throws -> UUID

/// Where features register their routes. Hummingbird's own router knows neither 405 nor `Allow` and collapses paths, so
/// it only takes part as this protocol: requests are matched once, by `RouteTable`.
package final class APIRouter: RouterMethods {
  package typealias Context = APIContext

  /// One method of one path template, with what answers it.
  package struct Entry: Sendable {
    package let path: String
    package let method: HTTPRequest.Method
    let responder: any HTTPResponder<APIContext>
  }

  package private(set) var entries: [Entry] = []

  /// What paths take that is more than JSON within the common limit.
  private(set) var bodyRules: [String: BodyRules] = [:]

  /// Set for what answers until there are all routes: a path that it does not have may have a route later.
  let isIncomplete: Bool

  package init() { isIncomplete = false }

  init(isIncomplete: Bool) { self.isIncomplete = isIncomplete }

  /// What operations of a path answer where that is not JSON; problems are JSON everywhere.
  private(set) var mediaTypes: [String: String] = [:]

  /// Nil as long as nobody can be authenticated: then only small bodies are read.
  var authenticateHead: HeadAuthentication?

  /// Says that the operations of a path answer this, and nothing else when they succeed.
  func answers(_ mediaType: String, at path: String) { mediaTypes[path] = mediaType }

  /// Says what the operations of a path take for a body.
  func takes(_ rules: BodyRules, at path: String) { bodyRules[path] = rules }

  @discardableResult
  package func on<Responder: HTTPResponder>(
    _ path: RouterPath, method: HTTPRequest.Method, responder: Responder
  ) -> Self where Responder.Context == APIContext {
    entries.append(Entry(path: "\(path)", method: method, responder: responder))
    return self
  }

  package func add(middleware: any MiddlewareProtocol<Request, Response, APIContext>) -> Self {
    preconditionFailure("the floor is what stands before every route")
  }
}
