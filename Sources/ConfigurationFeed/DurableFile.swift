import Glibc

/// A file that is only ever replaced as a whole. A crash at any moment leaves the one before it, or the new one, whole.
package struct DurableFile: Sendable {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String

    init(_ action: String, _ path: String) {
      description = "cannot \(action) \(path): \(String(cString: strerror(errno)))"
    }
  }

  package let path: String

  package init(path: String) {
    self.path = path
  }

  /// What was written last; nil when nothing was.
  package func read() throws(Failure) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      if errno == ENOENT { return nil }
      throw Failure("open", path)
    }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw Failure("look at", path) }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < bytes.count {
      let read = bytes.withUnsafeMutableBytes {
        Glibc.read(file, $0.baseAddress! + count, $0.count - count)
      }
      if read < 0, errno == EINTR { continue }
      guard read > 0 else { throw Failure("read", path) }
      count += read
    }
    return bytes
  }

  /// Puts these chunks, one behind the other, in the place of what was there. Only the file's owner may read it.
  package func replace(with chunks: some Sequence<[UInt8]>) throws(Failure) {
    let new = path + ".new"
    // What was left of an attempt that was cut short may have other permissions.
    unlink(new)
    let file = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw Failure("create", new) }
    do throws(Failure) {
      var buffer: [UInt8] = []
      for chunk in chunks {
        buffer += chunk
        guard buffer.count > 1 << 20 else { continue }
        try write(buffer, to: file, new)
        buffer.removeAll(keepingCapacity: true)
      }
      try write(buffer, to: file, new)
      guard fsync(file) == 0 else { throw Failure("sync", new) }
    } catch {
      close(file)
      unlink(new)
      throw error
    }
    guard close(file) == 0, rename(new, path) == 0 else { throw Failure("rename", new) }
    // The new name is on disk when the directory is.
    let slash = path.lastIndex(of: "/")
    let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw Failure("open", directory) }
    defer { close(folder) }
    guard fsync(folder) == 0 else { throw Failure("sync", directory) }
  }

  private func write(_ bytes: [UInt8], to file: Int32, _ path: String) throws(Failure) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Failure("write", path) }
      rest = rest.dropFirst(count)
    }
  }
}
