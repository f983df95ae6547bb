import ArgumentParser
import ControlPlane
import EventStore
import JSON
import Postgres

/// Brings the schema up to date and ends; `serve` does the same when it starts.
struct Migrate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Bring the database's schema up to date.",
    discussion: """
      Each step runs in a transaction of its own. Several may run at once: one migrates, the others \
      wait. Ends with status 0 when the schema is up to date, also when nothing had to be done.
      """)

  @OptionGroup var databaseOptions: DatabaseOptions

  @Option(help: "How to print what was done: text or json.")
  var output: OutputFormat = .text

  func run() async throws {
    let database = try databaseOptions.database()
    let options = try await database.start()
    let result = await Result { try await migrate(options) }
    await database.stop()
    let applied = try result.get()
    switch output {
    case .text:
      print(applied.isEmpty ? "The schema is up to date." : "Applied \(applied.count) steps.")
    case .json:
      var names = JSONArray()
      for migration in applied { names.append(migration.name) }
      var object = JSONObject()
      object.set("applied", names)
      print(String(decoding: object.bytes(), as: UTF8.self))
    }
  }

  private func migrate(_ options: ConnectionOptions) async throws -> [Migration] {
    let isText = output == .text
    return try await withSession(options) { session in
      try Migrator.signalbox.migrate(session, deadline: .now + .seconds(3600)) { migration in
        if isText { print("Applying \(migration.number) \(migration.name) …") }
      }
    }
  }
}

/// Runs a body on a connection of its own, as the owner of the schema.
///
/// - Parameters:
///   - patience: how long the server may take to answer at all.
///   - limit: how long the body may take.
func withSession<Value: Sendable>(
  _ options: ConnectionOptions, connectingWithin patience: Duration = .seconds(3600),
  within limit: Duration = .seconds(3600),
  _ body: @escaping @Sendable (Session) throws -> Value
) async throws -> Value {
  let connection = Connection(options: options, name: "owner")
  connection.start()
  let result = await Result {
    try await connection.run(deadline: .now + patience) { _ in }
    return try await connection.run(deadline: .now + limit, body)
  }
  await connection.close()
  return try result.get()
}

extension Result where Failure == any Error {
  /// The result of something asynchronous, so that what comes after it happens in any case.
  init(catching body: () async throws -> Success) async {
    do {
      self = .success(try await body())
    } catch {
      self = .failure(error)
    }
  }
}
