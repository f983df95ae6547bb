import Glibc

/// Programs that tests run.
package enum Program {
  package struct Failed: Error {
    package let status: Int32
  }

  /// Runs a program without a shell's help and returns what it writes on standard output.
  ///
  /// - Throws: ``Failed`` when it ends with another status than 0.
  package static func run(_ path: String, _ arguments: [String]) throws -> String {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw Failed(status: errno) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    var argv = ([path] + arguments).map { strdup($0) } + [nil]
    let settings: [String] = ["PATH=/usr/bin:/bin", "LC_ALL=C"]
    var environment = settings.map { strdup($0) } + [nil]
    defer { for text in argv + environment { free(text) } }
    var child: pid_t = 0
    let code = posix_spawn(&child, path, &actions, nil, &argv, &environment)
    close(ends[1])
    defer { close(ends[0]) }
    guard code == 0 else { throw Failed(status: code) }
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(ends[0], &chunk, chunk.count)
      guard count > 0 || errno == EINTR else { break }
      output += chunk.prefix(max(count, 0))
      if count == 0 { break }
    }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    guard status == 0 else { throw Failed(status: status) }
    return String(decoding: output, as: UTF8.self)
  }
}
