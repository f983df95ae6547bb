import ArgumentParser

@main
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
