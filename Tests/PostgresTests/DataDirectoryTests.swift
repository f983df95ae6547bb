import Glibc
import Testing

@testable import Postgres

/// Root gives a data directory away, and nothing else, whatever is in the directory.
@Suite(.enabled(if: geteuid() == 0, "only root can give files away"))
struct DataDirectoryTests {
  private let nobody = ServiceUser(named: "nobody")

  @Test func `what links lead to stays root's`() throws {
    let user = try #require(nobody)
    try withDirectory { directory in
      let (victim, data) = ("\(directory)/victim", "\(directory)/server")
      mkdir(data, 0o700)
      mkdir(victim, 0o700)
      for path in ["\(victim)/shadow", "\(data)/signalbox.lock"] { close(creat(path, 0o600)) }
      symlink("\(victim)/shadow", "\(data)/file")
      symlink(victim, "\(data)/folder")
      try DataDirectory.handOver(data, with: .database, to: user)
      #expect(owner(of: "\(data)/signalbox.lock") == user.user)
      #expect(owner(of: data) == user.user)
      #expect(owner(of: "\(victim)/shadow") == 0)
      #expect(owner(of: victim) == 0)
    }
  }

  @Test func `a file with a second name is refused, for that may be anywhere`() throws {
    let user = try #require(nobody)
    try withDirectory { directory in
      let (victim, data) = ("\(directory)/shadow", "\(directory)/server")
      mkdir(data, 0o700)
      for path in [victim, "\(data)/signalbox.lock"] { close(creat(path, 0o600)) }
      try #require(link(victim, "\(data)/file") == 0)
      #expect(throws: EmbeddedServerError.linkedFile("\(data)/file")) {
        try DataDirectory.handOver(data, with: .database, to: user)
      }
      #expect(owner(of: victim) == 0)
    }
  }

  @Test func `a directory with anything but a server's files is not given away`() throws {
    let user = try #require(nobody)
    try withDirectory { directory in
      let data = "\(directory)/etc"
      mkdir(data, 0o755)
      close(creat("\(data)/passwd", 0o644))
      #expect(throws: EmbeddedServerError.foreignDirectory(data)) {
        try DataDirectory.handOver(data, with: .database, to: user)
      }
      #expect(throws: EmbeddedServerError.notHandedOver(data, user: "nobody")) {
        try DataDirectory.handOver(data, with: .savedConfiguration, to: user)
      }
      #expect(owner(of: data) == 0)
      #expect(owner(of: "\(data)/passwd") == 0)
      chmod(data, 0o777)
      try DataDirectory.handOver(data, with: .savedConfiguration, to: user)
      #expect(owner(of: data) == 0, "the user can write there as it is")
    }
  }

  @Test func `a directory that the user cannot reach is named, and stays root's`() throws {
    let user = try #require(nobody)
    try withDirectory { directory in
      chmod(directory, 0o700)
      #expect(throws: EmbeddedServerError.unreachable(directory: directory, user: "nobody")) {
        try DataDirectory.handOver("\(directory)/server", with: .database, to: user)
      }
      #expect(owner(of: "\(directory)/server") == 0)
    }
  }

  @Test func `a directory in which a server runs is not taken from it`() throws {
    let user = try #require(nobody)
    try withDirectory { directory in
      let lock = try DirectoryLock(directory)
      #expect(throws: EmbeddedServerError.inUse(directory: directory, pid: getpid())) {
        try DataDirectory.handOver(directory, with: .database, to: user)
      }
      #expect(owner(of: directory) == 0)
      withExtendedLifetime(lock) {}
    }
  }

  private func owner(of path: String) -> uid_t? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_uid : nil
  }

  private func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = "/tmp/signalbox-directory-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try #require(mkdir(directory, 0o755) == 0)
    let result = Result { try body(directory) }
    try ChildProcess.run(["rm", "-rf", directory])
    try result.get()
  }
}
