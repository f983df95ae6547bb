package import Domain
import Glibc
import Synchronization
import Threads

/// Finds the addresses of a name. Injected, so that tests can have names that change their minds.
package protocol HostResolver: Sendable {
  /// - Throws: ``HostNotFound``.
  func addresses(of name: String) async throws(HostNotFound) -> [IPAddress]
}

/// A name leads nowhere, or nobody says where.
package struct HostNotFound: Error, Equatable, Sendable {
  package init() {}
}

/// The system's own resolver, which blocks: each name that is being resolved has a thread of its own, which all callers who
/// ask for the same name share. A name server that does not answer delays only those callers.
package final class SystemResolver: HostResolver {
  private typealias Waiter = CheckedContinuation<Result<[IPAddress], HostNotFound>, Never>

  /// Each name that is being resolved holds a thread and up to two descriptors.
  package static let defaultMaxNames = 256

  private let maxNames: Int
  private let waiting = Mutex<[String: [Waiter]]>([:])

  /// - Parameter maxNames: how many names may be looked up at once; more of them lead nowhere for the moment.
  package init(maxNames: Int = SystemResolver.defaultMaxNames) {
    self.maxNames = maxNames
  }

  package func addresses(of name: String) async throws(HostNotFound) -> [IPAddress] {
    let result = await withCheckedContinuation { (continuation: Waiter) in
      let (isFirst, isRefused) = waiting.withLock { waiting -> (Bool, Bool) in
        let isFirst = waiting[name] == nil
        guard !isFirst || waiting.count < maxNames else { return (false, true) }
        waiting[name, default: []].append(continuation)
        return (isFirst, false)
      }
      if isRefused { return continuation.resume(returning: .failure(HostNotFound())) }
      guard isFirst else { return }
      do throws(BlockingThread.Refused) {
        try BlockingThread.start { self.finish(name, with: Self.look(up: name)) }
      } catch {
        // Without a thread the name leads nowhere for the moment, for all who ask.
        finish(name, with: .failure(HostNotFound()))
      }
    }
    return try result.get()
  }

  private func finish(_ name: String, with result: Result<[IPAddress], HostNotFound>) {
    for waiter in waiting.withLock({ $0.removeValue(forKey: name) }) ?? [] {
      waiter.resume(returning: result)
    }
  }

  private static func look(up name: String) -> Result<[IPAddress], HostNotFound> {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(name, nil, &hints, &list) == 0 else { return .failure(HostNotFound()) }
    defer { freeaddrinfo(list) }
    var addresses: [IPAddress] = []
    var next = list
    while let entry = next {
      if let address = IPAddress(entry.pointee), !addresses.contains(address) {
        addresses.append(address)
      }
      next = entry.pointee.ai_next
    }
    return addresses.isEmpty ? .failure(HostNotFound()) : .success(addresses)
  }
}

extension IPAddress {
  /// Nil for an address of another family.
  fileprivate init?(_ entry: addrinfo) {
    guard let pointer = UnsafeRawPointer(entry.ai_addr) else { return nil }
    switch entry.ai_family {
    case AF_INET:
      let bits = pointer.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
      self.init(bits: 0xFFFF << 32 | UInt128(UInt32(bigEndian: bits)))
    case AF_INET6:
      let bytes = pointer.loadUnaligned(as: sockaddr_in6.self).sin6_addr
      let bits = withUnsafeBytes(of: bytes) { $0.loadUnaligned(as: UInt128.self) }
      self.init(bits: UInt128(bigEndian: bits))
    default: return nil
    }
  }
}
