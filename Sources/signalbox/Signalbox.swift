import ArgumentParser
import Dispatch
import Glibc

struct Signalbox: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "signalbox",
    abstract: "The control plane of an AI gateway.",
    discussion: """
      Every option can also be given as an environment variable: SIGNALBOX_ and the option's name, \
      for instance SIGNALBOX_DATA_DIR. DATABASE_URL names the PostgreSQL to use; without it, \
      signalbox runs a private one in the data directory.
      """,
    version: "0.1.0",
    subcommands: [Serve.self, Migrate.self, Keys.self, Verify.self])
}

/// Where the process begins.
@main
enum Program {
  /// Not asynchronous: an asynchronous `main` has given the main thread away before its first line. Dispatch ends that thread
  /// but for its last step, and the C library changes the user of no thread that is ending (see ``ProcessUser``).
  static func main() {
    do {
      if let serve = try Signalbox.parseAsRoot() as? Serve {
        let start = try serve.start()
        Task {
          do {
            try await start.run()
          } catch {
            Signalbox.exit(withError: error)
          }
          exit(EXIT_SUCCESS)
        }
      } else {
        Task {
          await Signalbox.main(nil)
          exit(EXIT_SUCCESS)
        }
      }
    } catch {
      Signalbox.exit(withError: error)
    }
    dispatchMain()
  }
}
