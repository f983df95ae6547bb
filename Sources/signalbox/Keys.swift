import ArgumentParser
import ControlPlane
import Cryptography
import Domain
import Glibc
import JSON
import Logging
import Postgres

/// The key-encryption keys of provider keys: which are in use, and moving to the newest.
struct Keys: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Look after the keys that seal provider keys.",
    discussion: """
      They are given as to `serve`: SIGNALBOX_PROVIDER_KEYS_KEK, or SIGNALBOX_PROVIDER_KEYS_KEK_FILE, as \
      1:<32 bytes in base64url>,2:<…>; the newest seals. Without either, the database keeps one, of version 1.
      """,
    subcommands: [List.self, Rotate.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show how many provider keys each key-encryption key seals.",
      discussion: """
        A version that seals none can be taken out of the list, of gateways too, once these have the newest \
        configuration. Ends with status 0.
        """)

    @OptionGroup var databaseOptions: DatabaseOptions
    @Option(help: "How to print the versions: text or json.")
    var output: OutputFormat = .text

    func run() async throws {
      let (usage, ring) = try await withControlPlane(databaseOptions) { controlPlane in
        (try await KeyRotation(controlPlane.services).usage(), controlPlane.services.vault.keys)
      }
      let counts = Dictionary(uniqueKeysWithValues: usage.map { ($0.version, $0.count) })
      let versions = Set(counts.keys).union(ring.versions.map { Int64($0) }).sorted()
      switch output {
      case .text:
        print("VERSION  PROVIDER KEYS")
        for version in versions {
          let note =
            if version == ring.newest { "seals" } else if !ring.has(version) {
              "not in the list: these do not open"
            } else { counts[version] == nil ? "can be dropped" : "" }
          print("\(version)".padded(to: 7), "\(counts[version] ?? 0)".padded(to: 14), note)
        }
      case .json:
        var keys = JSONArray()
        for version in versions {
          var key = JSONObject()
          key.set("version", version)
          key.set("provider_keys", counts[version] ?? 0)
          key.set("known", ring.has(version))
          key.set("seals", version == ring.newest)
          keys.append(key)
        }
        var object = JSONObject()
        object.set("keys", keys)
        print(String(decoding: object.bytes(), as: UTF8.self))
      }
    }
  }

  struct Rotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put every provider key under the newest key-encryption key.",
      discussion: """
        Servers and gateways go on meanwhile; they must know both keys. A run that was cut short is taken up where \
        it was by running it again. Progress goes to standard error, the result to standard output.

        Ends with status 0 when no provider key is left under an older key, and with 1 when some are: they do not \
        open, or a server that does not know the newest key has sealed them since. Wrong usage ends with 64.
        """)

    @OptionGroup var databaseOptions: DatabaseOptions
    @Option(help: "How to print the result: text or json.")
    var output: OutputFormat = .text

    func run() async throws {
      let (done, left, newest) = try await withControlPlane(databaseOptions) { controlPlane in
        let rotation = KeyRotation(controlPlane.services)
        let display = ProgressDisplay()
        let done = try await rotation.run { display.show($0) }
        display.end()
        return (done, try await rotation.remaining(), controlPlane.services.vault.keys.newest)
      }
      switch output {
      case .text: show(done, left, newest)
      case .json: print(String(decoding: json(done, left, newest).bytes(), as: UTF8.self))
      }
      if left > 0 { throw ExitCode.failure }
    }

    private func show(_ done: KeyRotation.Progress, _ left: Int64, _ newest: Int32) {
      for failure in done.failures {
        print("\(failure.organization) \(failure.project) \(failure.provider): \(failure.reason)")
      }
      print("Rewrapped \(done.rewrapped) provider keys under version \(newest).")
      if done.overtaken > 0 { print("\(done.overtaken) were replaced or deleted meanwhile.") }
      if left > 0 { print("\(left) are still under older versions.") }
    }

    private func json(_ done: KeyRotation.Progress, _ left: Int64, _ newest: Int32) -> JSONObject {
      var failures = JSONArray()
      for failure in done.failures {
        var object = JSONObject()
        object.set("organization_id", failure.organization.description)
        object.set("project_id", failure.project.description)
        object.set("provider", failure.provider.description)
        object.set("reason", failure.reason)
        failures.append(object)
      }
      var object = JSONObject()
      object.set("version", Int64(newest))
      object.set("rewrapped", done.rewrapped)
      object.set("overtaken", done.overtaken)
      object.set("left", left)
      object.set("failures", failures)
      return object
    }
  }
}

/// How far a run is: one line that changes on a terminal, a line each second elsewhere.
private final class ProgressDisplay {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var last: ContinuousClock.Instant?

  func show(_ progress: KeyRotation.Progress) {
    let isLast = progress.seen >= progress.total
    if !isTerminal, !isLast, let last, ContinuousClock.now - last < .seconds(1) { return }
    last = .now
    let text = "Rewrapping: \(progress.seen) of \(progress.total)"
    put(isTerminal ? "\r\(text)" : "\(text)\n")
  }

  func end() {
    if isTerminal, last != nil { put("\n") }
  }

  private func put(_ text: String) {
    // Nothing depends on whether anybody sees it.
    _ = write(STDERR_FILENO, text, text.utf8.count)
  }
}

/// A control plane that serves nobody, for what the system does by itself; beside a server that runs, too.
private func withControlPlane<Value: Sendable>(
  _ options: DatabaseOptions, _ body: @Sendable (ControlPlane) async throws -> Value
) async throws -> Value {
  let secrets = try Secrets()
  var logger = Logger(label: "signalbox") { _ in JSONLogHandler() }
  logger.logLevel = .warning
  let (database, owner) = try await options.database().joined()
  let result = await Result {
    let prepared = try await withSession(owner) { session in
      let deadline = ContinuousClock.now + .seconds(60)
      let isMigrated = try session.execute(
        "SELECT to_regclass('provider_keys') IS NOT NULL", deadline: deadline)[0].decode(Bool.self)
      guard isMigrated else {
        throw ValidationError("The schema is not up to date: run signalbox migrate first.")
      }
      return ControlPlane.Secrets(
        hasher: try Bootstrap.hasher(pepper: secrets.pepper, session, deadline: deadline),
        keys: try secrets.keyRing
          ?? KeyRing(key: Bootstrap.sharedSecret("key-encryption", session, deadline: deadline)),
        providerKeys: try Bootstrap.providerKeyEncryption(
          configured: secrets.providerKeys, session, deadline: deadline))
    }
    let controlPlane = ControlPlane(
      ControlPlane.Configuration(database: owner.asApplication), prepared, logger: logger)
    let result = await Result { try await body(controlPlane) }
    await controlPlane.close()
    return try result.get()
  }
  await database?.stop()
  return try result.get()
}

extension KeyEncryptionKeys {
  fileprivate func has(_ version: Int64) -> Bool {
    Int32(exactly: version).flatMap { self[$0] } != nil
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String {
    String(repeating: " ", count: max(0, width - count)) + self
  }
}
