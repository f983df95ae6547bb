import ControlPlane
import HTTPTypes
import HummingbirdTesting
import Testing

/// A strict reader of Prometheus' text format 0.0.4: each family once, HELP and TYPE before its
/// samples, histograms cumulative.
private struct Exposition {
  private(set) var samples: [String: Double] = [:]
  private(set) var types: [String: String] = [:]

  init(_ text: String) throws {
    try #require(text.hasSuffix("\n"))
    var family: String?
    var helped: Set<String> = []
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 3)
      if line.hasPrefix("# HELP ") {
        try #require(words.count == 4)
        try #require(helped.insert(String(words[2])).inserted, "HELP twice: \(words[2])")
        family = nil
      } else if line.hasPrefix("# TYPE ") {
        let name = String(words[2])
        try #require(helped.contains(name) && types[name] == nil)
        try #require(["counter", "gauge", "histogram"].contains(words[3]))
        types[name] = String(words[3])
        family = name
      } else {
        let space = try #require(line.lastIndex(of: " "))
        let series = String(line[..<space])
        let name = series.prefix { $0 != "{" }
        let current = try #require(family)
        let suffixes = types[current] == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
        try #require(suffixes.contains { name == current + $0 }, "\(name) inside \(current)")
        try #require(samples[series] == nil, "twice: \(series)")
        let value: Double = try #require(Double(line[line.index(after: space)...]))
        samples[series] = value
      }
    }
  }
}

@Suite("Metrics")
struct MetricsTests {
  @Test("counters, gauges and histograms read back as they were counted")
  func exposition() throws {
    let metrics = Metrics()
    let counter = metrics.counter("commands_total", "Commands.", ["kind": "a\"b\\c\nd"])
    let gauge = metrics.gauge("depth", "Depth\nof it.")
    let time = metrics.histogram(
      "wait_seconds", "Wait.", ["q": "x"], bounds: [.milliseconds(1), .microseconds(2500)])
    counter.add()
    counter.add(2)
    gauge.add(5)
    gauge.add(-7)
    for duration in [Duration.milliseconds(1), .microseconds(1001), .seconds(3), .zero] {
      time.record(duration)
    }
    let text = String(decoding: metrics.text(), as: UTF8.self)
    let read = try Exposition(text)
    #expect(read.samples[#"commands_total{kind="a\"b\\c\nd"}"#] == 3)
    #expect(read.samples["depth"] == -2)
    #expect(read.samples[#"wait_seconds_bucket{q="x",le="0.001"}"#] == 2)
    #expect(read.samples[#"wait_seconds_bucket{q="x",le="0.0025"}"#] == 3)
    #expect(read.samples[#"wait_seconds_bucket{q="x",le="+Inf"}"#] == 4)
    #expect(read.samples[#"wait_seconds_count{q="x"}"#] == 4)
    #expect(read.samples[#"wait_seconds_sum{q="x"}"#] == 3.002001)
    #expect(text.contains("# HELP depth Depth\\nof it.\n"))
  }

  @Test("the server's own page is well-formed and counts what was asked")
  func served() async throws {
    try await LiveServer().run { client, _ in
      for _ in 0..<3 { _ = try await client.execute(uri: "/v1/things/x", method: .get) }
      _ = try await client.execute(uri: "/no/\(Int.random(in: 0..<9))", method: .get)
      let page = try await client.execute(uri: "/metrics", method: .get)
      #expect(page.headers[.contentType] == "text/plain; version=0.0.4; charset=utf-8")
      let read = try Exposition(page.text)
      let labels = #"method="GET",route="/v1/things/{thing}""#
      #expect(read.samples["http_requests_total{\(labels),status=\"2xx\"}"] == 3)
      #expect(read.samples["http_request_duration_seconds_count{\(labels)}"] == 3)
      #expect(
        read.samples[#"http_requests_total{method="GET",route="unmatched",status="4xx"}"#] == 1)
      #expect(read.samples["http_requests_in_flight"] == 1)
      #expect(read.samples["http_connections_open"] == 1)
      for (name, type) in read.types where type == "counter" { #expect(name.hasSuffix("_total")) }
    }
  }

  @Test("counting from many tasks loses nothing")
  func concurrent() async {
    let metrics = Metrics()
    let counter = metrics.counter("n_total", "N.")
    await withTaskGroup { group in
      for _ in 0..<8 { group.addTask { for _ in 0..<10_000 { counter.add() } } }
    }
    #expect(counter.value == 80_000)
  }
}
