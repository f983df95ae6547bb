import ArgumentParser
import FoundationEssentials
import Postgres

/// Options that several commands share: which database, and how results are printed.
struct DatabaseOptions: ParsableArguments {
  @Option(
    help: """
      Where the private PostgreSQL lives when DATABASE_URL is not set; otherwise where `serve` keeps what gateways are \
      served from when it starts while the database is away.
      """)
  var dataDir: String?

  var directory: String? { dataDir ?? Environment["SIGNALBOX_DATA_DIR"] }

  /// The database to use: the one that DATABASE_URL names, or a private one in the data directory.
  func database() throws -> Database {
    if let url = Environment["DATABASE_URL"] {
      do {
        return .external(try ConnectionOptions(url))
      } catch {
        throw ValidationError("DATABASE_URL is not a PostgreSQL URL or connection string.")
      }
    }
    guard let directory else {
      throw ValidationError(
        "Say where the data lives: --data-dir DIR for a private PostgreSQL, or set DATABASE_URL.")
    }
    return .embedded(EmbeddedServer(dataDirectory: directory))
  }
}

/// Where the data is.
enum Database: Sendable {
  case external(ConnectionOptions)
  case embedded(EmbeddedServer)

  /// How to connect to it, after starting it if it is ours.
  func start() async throws -> ConnectionOptions {
    switch self {
    case .external(let options): options
    case .embedded(let server): try await server.start()
    }
  }

  /// Connects to it, or to the private one of a server that runs in the same directory.
  ///
  /// - Returns: what is to be stopped in the end; nil when it is somebody else's.
  func joined() async throws -> (Database?, ConnectionOptions) {
    do {
      return (self, try await start())
    } catch EmbeddedServerError.inUse(let directory, _) {
      return (nil, EmbeddedServer.options(in: directory))
    }
  }

  /// Stops it if it is ours.
  func stop() async {
    if case .embedded(let server) = self { await server.stop() }
  }
}

extension ConnectionOptions {
  /// The same database, seen by the role that may append to the log but never change it.
  var asApplication: ConnectionOptions {
    var options = self
    options.setup.append("SET ROLE signalbox_app")
    return options
  }
}

/// How a command prints what it did.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case text, json
}

/// Environment variables; an empty one counts as not set.
enum Environment {
  static subscript(name: String) -> String? {
    guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else { return nil }
    return value
  }

  /// The variable that mirrors an option.
  ///
  /// - Throws: `ValidationError` when it is set to something that the option would not take.
  static func option<Value: LosslessStringConvertible>(
    _ name: String, _ type: Value.Type = Value.self
  ) throws -> Value? {
    guard let text = Self["SIGNALBOX_" + name] else { return nil }
    guard let value = Value(text) else {
      throw ValidationError("SIGNALBOX_\(name) is not a valid value: '\(text)'.")
    }
    return value
  }
}
