import HTTPTypes
import Synchronization

/// What the floor measures of every request, and of the connections under them. Labels are bounded:
/// methods, templates, classes.
final class HTTPMetrics: Sendable {
  /// The measurements of one method of one route.
  final class Series: Sendable {
    private let classes: [Counter]
    private let duration: Histogram

    fileprivate init(metrics: Metrics, method: String, route: String) {
      classes = (1...5).map { number in
        metrics.counter(
          "http_requests_total", "Requests answered.",
          ["method": method, "route": route, "status": "\(number)xx"])
      }
      duration = metrics.histogram(
        "http_request_duration_seconds", "Time from the complete request to the reply.",
        ["method": method, "route": route])
    }

    func record(status: Int, nanoseconds: Int64) {
      classes[min(max(status / 100, 1), 5) - 1].add()
      duration.record(nanoseconds: nanoseconds)
    }
  }

  let inFlight: Gauge
  let openConnections: Gauge
  let droppedLogLines: Counter
  let untrustedForwarding: Counter
  let refusedAccepts: Counter
  private let metrics: Metrics
  private let registered = Mutex<[String: Series]>([:])
  private let unmatched: [HTTPRequest.Method: Series]
  private let unmatchedOther: Series
  private let cuts: [ConnectionCut: Counter]

  init(_ metrics: Metrics) {
    self.metrics = metrics
    inFlight = metrics.gauge("http_requests_in_flight", "Requests being answered.")
    openConnections = metrics.gauge("http_connections_open", "Client connections open.")
    droppedLogLines = metrics.counter(
      "access_log_dropped_total", "Access log lines lost because the log could not be written.")
    refusedAccepts = metrics.counter(
      "http_accept_refused_total",
      "Attempts to take a connection for which the system had no descriptor or memory.")
    untrustedForwarding = metrics.counter(
      "http_untrusted_forwarding_total",
      "Requests with X-Forwarded-For from an address that --trusted-proxies does not name.")
    let known: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]
    unmatched = Dictionary(
      uniqueKeysWithValues: known.map {
        ($0, Series(metrics: metrics, method: $0.rawValue, route: "unmatched"))
      })
    unmatchedOther = Series(metrics: metrics, method: "_OTHER", route: "unmatched")
    cuts = Dictionary(
      uniqueKeysWithValues: ConnectionCut.allCases.map {
        (
          $0,
          metrics.counter(
            "http_connections_cut_total", "Connections ended by us.", ["reason": $0.rawValue])
        )
      })
  }

  /// The same whoever asks: routes may be exchanged while the process runs.
  func series(method: HTTPRequest.Method, route: String) -> Series {
    registered.withLock { registered in
      let name = "\(method.rawValue) \(route)"
      if let series = registered[name] { return series }
      let series = Series(metrics: metrics, method: method.rawValue, route: route)
      registered[name] = series
      return series
    }
  }

  /// For requests that no route takes; a method we have never heard of counts as `_OTHER`.
  func unmatchedSeries(for method: HTTPRequest.Method) -> Series {
    unmatched[method] ?? unmatchedOther
  }

  private let hasSeenUntrustedForwarding = Atomic(false)

  /// True once in the life of the process.
  func isFirstUntrustedForwarding() -> Bool {
    hasSeenUntrustedForwarding.compareExchange(
      expected: false, desired: true, ordering: .relaxed
    ).exchanged
  }

  func count(_ cut: ConnectionCut) {
    cuts[cut]?.add()
  }
}
