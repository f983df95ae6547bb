import CLibPQ
import Glibc

/// Programs that are started without a shell's help, and waited for on threads that may block.
enum ChildProcess {
  /// Runs a program to its end.
  ///
  /// - Returns: what it wrote on both of its outputs.
  /// - Throws: ``EmbeddedServerError/failed(step:log:)`` when it did not exit with 0.
  @discardableResult
  static func run(_ arguments: [String]) throws(EmbeddedServerError) -> String {
    var ends: (Int32, Int32) = (-1, -1)
    let made = withUnsafeMutableBytes(of: &ends) {
      pipe($0.assumingMemoryBound(to: Int32.self).baseAddress!)
    }
    guard made == 0 else { throw .file(path: "pipe", errno: errno) }
    let (reader, writer) = ends
    _ = fcntl(reader, F_SETFD, FD_CLOEXEC)
    _ = fcntl(writer, F_SETFD, FD_CLOEXEC)
    defer { close(reader) }
    let child: pid_t
    do {
      defer { close(writer) }
      child = try spawn(arguments, output: writer)
    }
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(reader, &chunk, chunk.count)
      if count > 0 { output += chunk[..<count] } else if count == 0 || errno != EINTR { break }
    }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    let text = String(decoding: output, as: UTF8.self)
    guard status == 0 else { throw .failed(step: arguments.joined(separator: " "), log: text) }
    return text
  }

  /// Starts a program in a session of its own, so that a terminal's ^C is not for it.
  ///
  /// - Parameter output: where it writes; it reads nothing.
  static func spawn(_ arguments: [String], output: Int32) throws(EmbeddedServerError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, output, 2)
    // A client's connection would not be over before the last process that holds it closes it.
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)

    // Our threads block all signals, and a child would inherit that.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    // POSIX_SPAWN_SETSID in <spawn.h>, which shows it only to GNU sources.
    let newSession: Int32 = 0x80
    posix_spawnattr_setflags(
      &attributes, Int16(Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF) | newSession))

    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
    var argv = arguments.map { strdup($0) } + [nil]
    var environment = [strdup("PATH=\(path)"), strdup("LC_ALL=C"), nil]
    defer { for pointer in argv + environment { free(pointer) } }
    var child: pid_t = 0
    let code = posix_spawnp(&child, arguments[0], &actions, &attributes, &argv, &environment)
    guard code == 0 else { throw .file(path: arguments[0], errno: code) }
    return child
  }
}
