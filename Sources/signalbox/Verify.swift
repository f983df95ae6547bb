import ArgumentParser
import ControlPlane
import Domain
import EventStore
import FoundationEssentials
import Glibc
import JSON
import Postgres

/// Says whether the database holds what was promised of it; beside a server that runs, too.
struct Verify: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check that the log is whole, and that everything else says what the log says.",
    discussion: """
      Checked are: the hash chain, versions and positions without gaps; every table against the fold of the events; the \
      audit against the log; every balance against the sum of its ledger. All of it is as of one moment, while servers go \
      on. Nothing is changed. With --data-dir the private PostgreSQL that runs there is used, or started for the time of \
      the check.

      A log whose tail was cut has no gap. Keep the heads that --write-heads writes somewhere else, and give them to \
      --known-heads later: then it is found. Progress goes to standard error, the result to standard output.

      Ends with status 0 when everything holds, with 1 when something does not, and with 2 when it could not be checked. \
      Wrong usage ends with 64.
      """)

  @OptionGroup var databaseOptions: DatabaseOptions

  @Option(help: "The id of the only organization to check: org_…")
  var organization: String?

  @Option(help: "A file of heads that --write-heads wrote: each must be in the log as it was.")
  var knownHeads: String?

  @Option(help: "The file to write the heads of all streams to, as one JSON object a line.")
  var writeHeads: String?

  @Option(help: "How to print the result: text or json.")
  var output: OutputFormat = .text

  func run() async throws {
    let verification = Verification(organization: try organizationID(), known: try known())
    let database = try databaseOptions.database()
    let report: Verification.Report
    do {
      report = try await check(verification, database)
    } catch {
      // A check that was not made must not look like one that failed.
      complain("The database could not be checked: \(error)")
      throw ExitCode(2)
    }
    switch output {
    case .text: show(report)
    case .json: print(String(decoding: json(report).bytes(), as: UTF8.self))
    }
    if !report.holds { throw ExitCode(1) }
  }

  private func organizationID() throws -> OrganizationID? {
    guard let organization else { return nil }
    guard let id = OrganizationID(organization) else {
      throw ValidationError("--organization must be an organization's id: org_…")
    }
    return id
  }

  private func known() throws -> [KnownHead] {
    guard let knownHeads else { return [] }
    let text = try TextFile.read(knownHeads)
    do throws(KnownHead.Unreadable) {
      return try KnownHead.list(parsing: text)
    } catch {
      throw ValidationError("\(knownHeads) cannot be used: \(error)")
    }
  }

  private func check(
    _ verification: Verification, _ database: Database
  ) async throws -> Verification.Report {
    if case .embedded = database, let directory = databaseOptions.directory {
      // To start a server there would make a new database, in which everything holds.
      guard access("\(directory)/data/PG_VERSION", F_OK) == 0 else {
        throw Unavailable("there is no database in \(directory)")
      }
    }
    let (ours, owner) = try await database.joined()
    let file = try writeHeads.map { try HeadsFile($0) }
    let result = await Result {
      try await withSession(
        owner, connectingWithin: .seconds(15), within: .seconds(7 * 86_400)
      ) { session in
        let deadline = ContinuousClock.now + .seconds(7 * 86_400)
        guard try Migrator.signalbox.missing(session, deadline: deadline).isEmpty else {
          throw Unavailable("its schema is not this version's: run signalbox migrate first")
        }
        let display = VerificationDisplay()
        let report = try verification.run(session, deadline: deadline) { head in
          try file?.write(head)
        } progress: { progress in
          display.show(progress)
        }
        display.end()
        return report
      }
    }
    await ours?.stop()
    let report = try result.get()
    try file?.finish()
    return report
  }

  private func show(_ report: Verification.Report) {
    for finding in report.findings { print(finding.line) }
    if report.isCut { print("… and more.") }
    let extent =
      "\(report.events) events of \(report.streams) streams, at position \(report.position)"
    print(
      report.holds
        ? "Everything holds: \(extent)."
        : "\(report.findings.count)\(report.isCut ? " or more" : "") findings in \(extent).")
  }

  private func json(_ report: Verification.Report) -> JSONObject {
    var findings = JSONArray()
    for finding in report.findings { findings.append(finding.json) }
    var object = JSONObject()
    object.set("holds", report.holds)
    object.set("position", report.position)
    object.set("streams", report.streams)
    object.set("events", report.events)
    object.set("findings", findings)
    object.set("more_findings", report.isCut)
    return object
  }

  struct Unavailable: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
}

private func complain(_ text: String) {
  let line = "\(text)\n"
  _ = write(STDERR_FILENO, line, line.utf8.count)
}

/// The heads in a file that replaces the one before it only when it is complete.
private final class HeadsFile: Sendable {
  private let path: String
  private let descriptor: Int32

  init(_ path: String) throws {
    self.path = path
    descriptor = open("\(path).new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Verify.Unavailable("\(path) cannot be written") }
  }

  deinit { close(descriptor) }

  func write(_ head: KnownHead) throws {
    var rest = head.json.bytes()[...]
    rest.append(UInt8(ascii: "\n"))
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { throw Verify.Unavailable("\(path) cannot be written") }
      rest = rest.dropFirst(count)
    }
  }

  func finish() throws {
    guard fsync(descriptor) == 0, rename("\(path).new", path) == 0 else {
      throw Verify.Unavailable("\(path) cannot be written")
    }
  }
}

/// How far the check is: one line that changes on a terminal, a line every few seconds elsewhere.
private final class VerificationDisplay {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private var last = ContinuousClock.now

  func show(_ progress: Verification.Progress) {
    let pause = isTerminal ? Duration.milliseconds(200) : .seconds(5)
    guard progress.isComparing || ContinuousClock.now - last >= pause else { return }
    last = .now
    let text =
      progress.isComparing
      ? "Comparing tables"
      : "Checked \(progress.events) of \(progress.total) events, \(progress.streams) streams"
    put(isTerminal ? "\r\u{1B}[K\(text)" : "\(text)\n")
  }

  func end() {
    if isTerminal { put("\r\u{1B}[K") }
  }

  private func put(_ text: String) {
    // Nothing depends on whether anybody sees it.
    _ = write(STDERR_FILENO, text, text.utf8.count)
  }
}
