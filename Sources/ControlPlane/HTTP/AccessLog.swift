import FoundationEssentials
import Glibc
import NIOPosix
import ServiceLifecycle
import Synchronization

/// One JSON line per request. A request only appends bytes to a buffer in memory; a thread of the
/// log's own writes it out every 100 ms and at shutdown. Holds no header, token, query or body; the
/// path only when it matched a route.
package final class AccessLog: Service {
  /// What a line says.
  struct Line {
    var requestID: String
    var traceID: String?
    var method: String
    var route: String
    /// Nil when no route matched, as a path nobody knows may hold a secret pasted by mistake, or when it holds a token.
    var path: Substring.UTF8View?
    var status: Int
    var nanoseconds: Int64
    var bytes: Int?
    var client: String
    var actor: String?
    var position: Int64?
  }

  private struct Pending: ~Copyable {
    var bytes: [UInt8] = []
    var lines = 0
    var clock = LogClock()
  }

  /// A log that cannot be written loses lines rather than memory or time.
  private static let capacity = 8 << 20

  private let pending = Mutex(Pending())
  private let descriptor: CInt
  private let interval: Duration
  private let dropped: Counter

  /// A log onto an open file descriptor, which stays the caller's. Lines that do not fit are
  /// counted in `dropped`.
  package init(
    descriptor: CInt = STDOUT_FILENO, interval: Duration = .milliseconds(100),
    dropped: Counter = Counter()
  ) {
    self.descriptor = descriptor
    self.interval = interval
    self.dropped = dropped
  }

  func append(_ line: borrowing Line) {
    pending.withLock { pending in
      guard pending.bytes.count < Self.capacity else { return dropped.add() }
      pending.lines += 1
      pending.bytes.append("{\"time\":\"")
      pending.clock.appendNow(to: &pending.bytes)
      pending.bytes.append("\",\"request_id\":\"")
      pending.bytes.append(contentsOf: line.requestID.utf8)
      if let traceID = line.traceID {
        pending.bytes.append("\",\"trace_id\":\"")
        pending.bytes.append(contentsOf: traceID.utf8)
      }
      pending.bytes.append("\",\"method\":\"")
      pending.bytes.append(contentsOf: line.method.utf8)
      pending.bytes.append("\",\"route\":\"")
      pending.bytes.append(contentsOf: line.route.utf8)
      pending.bytes.append("\",\"path\":")
      if let path = line.path {
        pending.bytes.append(jsonUTF8: path)
      } else {
        pending.bytes.append("\"unmatched\"")
      }
      pending.bytes.append(",\"status\":")
      pending.bytes.append(decimal: line.status)
      pending.bytes.append(",\"duration_us\":")
      pending.bytes.append(decimal: line.nanoseconds / 1000)
      if let bytes = line.bytes {
        pending.bytes.append(",\"bytes\":")
        pending.bytes.append(decimal: bytes)
      }
      pending.bytes.append(",\"client\":\"")
      pending.bytes.append(contentsOf: line.client.utf8)
      pending.bytes.append("\"")
      if let actor = line.actor {
        pending.bytes.append(",\"actor\":")
        pending.bytes.append(jsonString: actor)
      }
      if let position = line.position {
        pending.bytes.append(",\"position\":")
        pending.bytes.append(decimal: position)
      }
      pending.bytes.append("}\n")
    }
  }

  /// Writes until the surrounding group shuts down, then writes what is left.
  package func run() async throws {
    let pool = NIOThreadPool(numberOfThreads: 1)
    pool.start()
    do {
      try await cancelWhenGracefulShutdown {
        while true {
          try await Task.sleep(for: self.interval)
          try await pool.runIfActive { self.flush() }
        }
      }
    } catch is CancellationError {
      // The way this loop ends: there is one more flush to do.
    }
    flush()
    try await pool.shutdownGracefully()
  }

  /// Writes what has been appended so far. Blocks while the descriptor does.
  package func flush() {
    let (bytes, lines) = pending.withLock { pending in
      let taken = (pending.bytes, pending.lines)
      pending.bytes = []
      pending.bytes.reserveCapacity(min(taken.0.count, Self.capacity))
      pending.lines = 0
      return taken
    }
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if written > 0 {
        rest = rest.dropFirst(written)
      } else if errno == EAGAIN {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&wanted, 1, 1000)
      } else if errno != EINTR {
        return dropped.add(UInt64(lines))
      }
    }
  }
}

/// The time of day for log lines: the calendar is worked out once a second, the microseconds are
/// appended each time.
private struct LogClock {
  private var second = Int.min
  private var prefix: [UInt8] = []

  /// Appends RFC 3339 with microseconds, UTC.
  mutating func appendNow(to bytes: inout [UInt8]) {
    let microseconds = Int(Date.now.timeIntervalSince1970 * 1_000_000)
    if microseconds / 1_000_000 != second {
      second = microseconds / 1_000_000
      var parts = tm()
      gmtime_r(&second, &parts)
      prefix.removeAll(keepingCapacity: true)
      prefix.append(decimal: parts.tm_year + 1900, width: 4)
      prefix.append("-")
      prefix.append(decimal: parts.tm_mon + 1, width: 2)
      prefix.append("-")
      prefix.append(decimal: parts.tm_mday, width: 2)
      prefix.append("T")
      prefix.append(decimal: parts.tm_hour, width: 2)
      prefix.append(":")
      prefix.append(decimal: parts.tm_min, width: 2)
      prefix.append(":")
      prefix.append(decimal: parts.tm_sec, width: 2)
      prefix.append(".")
    }
    bytes.append(contentsOf: prefix)
    bytes.append(decimal: microseconds % 1_000_000, width: 6)
    bytes.append("Z")
  }
}
