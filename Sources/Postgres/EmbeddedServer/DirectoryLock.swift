import Glibc

/// An exclusive hold on a directory; the kernel ends it with our process, however that dies.
final class DirectoryLock: Sendable {
  private let descriptor: Int32

  /// - Throws: ``EmbeddedServerError/inUse(directory:pid:)`` when another process holds it.
  init(_ directory: String) throws(EmbeddedServerError) {
    let path = "\(directory)/signalbox.lock"
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw .file(path: path, errno: errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let holder = readText(path).flatMap { Int32($0.trimmed) }
      close(descriptor)
      throw .inUse(directory: directory, pid: holder)
    }
    let text = Array("\(getpid())\n".utf8)
    guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count
    else {
      let code = errno
      close(descriptor)
      throw .file(path: path, errno: code)
    }
  }

  deinit { close(descriptor) }
}

/// A small file's text; `nil` when it cannot be read.
func readText(_ path: String) -> String? {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return nil }
  defer { close(file) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = read(file, &chunk, chunk.count)
    if count > 0 { bytes += chunk[..<count] } else if count == 0 || errno != EINTR { break }
  }
  return String(decoding: bytes, as: UTF8.self)
}
