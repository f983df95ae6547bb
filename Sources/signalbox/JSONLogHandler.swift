import ControlPlane
import Domain
import Glibc
import JSON
import Logging

/// Log messages as JSON lines on standard error, beside the access log's lines on standard output.
struct JSONLogHandler: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var object = JSONObject()
    object.set("time", Timestamp.now.rfc3339)
    object.set("level", event.level.rawValue)
    object.set("message", event.message.description)
    for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }) {
      object.set(key: key, value.description)
    }
    let line = object.bytes() + [UInt8(ascii: "\n")]
    _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
