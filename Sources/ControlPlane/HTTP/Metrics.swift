import Synchronization

/// The process's measurements, written in Prometheus' text format 0.0.4. Registering locks;
/// counting never does.
///
/// Register once, at start, and keep the returned value: `let commands =
/// metrics.counter("commands_total", "Commands decided")`.
package final class Metrics: Sendable {
  /// The label pairs of one series; only values from a set that is bounded by the program.
  package typealias Labels = KeyValuePairs<String, String>

  private struct Family: Sendable {
    let name: String
    let type: String
    let help: String
    var series: [@Sendable (inout [UInt8]) -> Void]
  }

  private let families = Mutex<[Family]>([])

  package init() {}

  /// A number that only grows. `name` ends in `_total`.
  package func counter(_ name: String, _ help: String, _ labels: Labels = [:]) -> Counter {
    precondition(name.hasSuffix("_total"), "a counter's name ends in _total: \(name)")
    let counter = Counter()
    let line = Self.series(name, labels)
    add(name, "counter", help) { bytes in
      bytes.append(contentsOf: line)
      bytes.append(decimal: counter.value)
      bytes.append("\n")
    }
    return counter
  }

  /// A number that goes up and down.
  package func gauge(_ name: String, _ help: String, _ labels: Labels = [:]) -> Gauge {
    let gauge = Gauge()
    self.gauge(name, help, labels) { gauge.value }
    return gauge
  }

  /// A number that is read when it is asked for.
  package func gauge(
    _ name: String, _ help: String, _ labels: Labels = [:], read: @escaping @Sendable () -> Int
  ) {
    let line = Self.series(name, labels)
    add(name, "gauge", help) { bytes in
      bytes.append(contentsOf: line)
      bytes.append(decimal: read())
      bytes.append("\n")
    }
  }

  /// A distribution of durations. `name` ends in `_seconds`; `bounds` are ascending upper bounds.
  package func histogram(
    _ name: String, _ help: String, _ labels: Labels = [:],
    bounds: [Duration] = Histogram.latencies
  ) -> Histogram {
    precondition(name.hasSuffix("_seconds"), "a duration's name ends in _seconds: \(name)")
    let histogram = Histogram(bounds: bounds)
    let edges = (bounds.map { Self.seconds(nanoseconds: $0.nanoseconds) } + ["+Inf"]).map {
      Self.series(name + "_bucket", labels, upTo: $0)
    }
    let (sum, count) = (Self.series(name + "_sum", labels), Self.series(name + "_count", labels))
    add(name, "histogram", help) { bytes in
      // The buckets are read one after the other while others count; deriving the count from them
      // keeps each exposition consistent.
      var total: UInt64 = 0
      for (edge, bucket) in zip(edges, histogram.buckets) {
        total += bucket.value
        bytes.append(contentsOf: edge)
        bytes.append(decimal: total)
        bytes.append("\n")
      }
      bytes.append(contentsOf: sum)
      bytes.append(contentsOf: Self.seconds(nanoseconds: Int64(histogram.sum.value)).utf8)
      bytes.append("\n")
      bytes.append(contentsOf: count)
      bytes.append(decimal: total)
      bytes.append("\n")
    }
    return histogram
  }

  /// Everything, in the order of registration.
  package func text() -> [UInt8] {
    var bytes: [UInt8] = []
    for family in families.withLock({ $0 }) {
      bytes.append(contentsOf: "# HELP \(family.name) \(family.help)\n".utf8)
      bytes.append(contentsOf: "# TYPE \(family.name) \(family.type)\n".utf8)
      for write in family.series { write(&bytes) }
    }
    return bytes
  }

  private func add(
    _ name: String, _ type: String, _ help: String,
    _ write: @escaping @Sendable (inout [UInt8]) -> Void
  ) {
    let help = help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    families.withLock { families in
      if let index = families.firstIndex(where: { $0.name == name }) {
        precondition(families[index].type == type, "\(name) is registered as another type")
        families[index].series.append(write)
      } else {
        families.append(Family(name: name, type: type, help: help, series: [write]))
      }
    }
  }

  /// `name{label="value",le="bound"} `, ready to be followed by the sample.
  private static func series(_ name: String, _ labels: Labels, upTo bound: String? = nil) -> [UInt8]
  {
    var pairs = labels.map { label, value in
      let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        .replacing("\n", with: "\\n")
      return "\(label)=\"\(escaped)\""
    }
    if let bound { pairs.append("le=\"\(bound)\"") }
    return Array("\(name)\(pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}") ".utf8)
  }

  private static func seconds(nanoseconds: Int64) -> String {
    var bytes: [UInt8] = []
    bytes.append(decimal: nanoseconds / 1_000_000_000)
    bytes.append(".")
    bytes.append(decimal: nanoseconds % 1_000_000_000, width: 9)
    while bytes.last == UInt8(ascii: "0") { bytes.removeLast() }
    if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// A number that only grows.
package final class Counter: Sendable {
  private let storage = Atomic<UInt64>(0)

  package init() {}

  package var value: UInt64 { storage.load(ordering: .relaxed) }

  package func add(_ amount: UInt64 = 1) {
    storage.wrappingAdd(amount, ordering: .relaxed)
  }
}

/// A number that goes up and down.
package final class Gauge: Sendable {
  private let storage = Atomic<Int>(0)

  package var value: Int { storage.load(ordering: .relaxed) }

  package func add(_ amount: Int) {
    storage.wrappingAdd(amount, ordering: .relaxed)
  }

  package func set(_ value: Int) {
    storage.store(value, ordering: .relaxed)
  }
}

/// A distribution of durations over fixed buckets.
package final class Histogram: Sendable {
  /// From half a millisecond to ten seconds.
  package static let latencies: [Duration] = [
    .microseconds(500), .milliseconds(1), .microseconds(2500), .milliseconds(5), .milliseconds(10),
    .milliseconds(25), .milliseconds(50), .milliseconds(100), .milliseconds(250),
    .milliseconds(500), .seconds(1), .milliseconds(2500), .seconds(5), .seconds(10),
  ]

  private let bounds: [Int64]
  fileprivate let buckets: [Counter]
  fileprivate let sum = Counter()

  fileprivate init(bounds: [Duration]) {
    self.bounds = bounds.map(\.nanoseconds)
    buckets = (0...bounds.count).map { _ in Counter() }
  }

  package func record(_ duration: Duration) {
    record(nanoseconds: duration.nanoseconds)
  }

  package func record(nanoseconds: Int64) {
    let nanoseconds = max(0, nanoseconds)
    var index = 0
    while index < bounds.count, nanoseconds > bounds[index] { index += 1 }
    buckets[index].add()
    sum.add(UInt64(nanoseconds))
  }
}

extension Duration {
  /// Whole nanoseconds; exact up to 292 years.
  package var nanoseconds: Int64 {
    components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
  }
}
