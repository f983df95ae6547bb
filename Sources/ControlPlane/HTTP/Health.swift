package import Hummingbird
import NIOCore
import ServiceLifecycle
import Synchronization

/// One thing that must be well before traffic is taken.
package protocol ReadinessCheck: Sendable {
  /// Bounded, e.g. `database`.
  var name: String { get }
  /// Nil when all is well, else what is wrong, in words that may be public.
  func failure() async -> String?
}

/// Whether this process wants traffic: `/readyz`. As a service it is told first of a shutdown, and
/// from then on says no.
package final class Readiness: Service {
  private let checks: Mutex<[any ReadinessCheck]>
  private let isStopping = Atomic<Bool>(false)

  package init(_ checks: [any ReadinessCheck]) {
    self.checks = Mutex(checks)
  }

  /// From now on these count, and no others.
  func replaceChecks(by checks: [any ReadinessCheck]) {
    self.checks.withLock { $0 = checks }
  }

  package func run() async throws {
    try? await gracefulShutdown()
    isStopping.store(true, ordering: .relaxed)
  }

  /// Throws `not-ready`, which names every check that fails.
  package func require() async throws {
    var failures: [Problem.Detail] = []
    if isStopping.load(ordering: .relaxed) {
      failures.append(.init(.check("process"), "stopping", "the process is shutting down"))
    }
    for check in checks.withLock({ $0 }) {
      guard let failure = await check.failure() else { continue }
      failures.append(.init(.check(check.name), "failing", failure))
    }
    guard failures.isEmpty else {
      throw Problem(.notReady, errors: failures, headers: [.retryAfter: "1"])
    }
  }
}

extension APIRouter {
  /// The routes that every deployment has, beside the features': liveness, readiness, metrics and
  /// the documentation of problems.
  package func addOperations(
    readiness: Readiness, metrics: Metrics, catalogue: ProblemCatalogue
  ) {
    let ok = ByteBuffer(string: #"{"status":"ok"}"#)
    get("/livez") { _, _ in Reply(body: ok) }
    get("/readyz") { _, _ in
      try await readiness.require()
      return Reply(body: ok)
    }
    get("/metrics") { _, _ in
      Reply(body: ByteBuffer(bytes: metrics.text()), contentType: .prometheusText)
    }
    get("/problems") { _, _ in
      Reply(body: ByteBuffer(string: catalogue.index), contentType: .markdown)
    }
    get("/problems/{code}") { _, context in
      guard let text = context.pathParameters["code"].flatMap(catalogue.documentation) else {
        throw Problem(.notFound)
      }
      return Reply(body: ByteBuffer(string: text), contentType: .markdown)
    }
  }
}
