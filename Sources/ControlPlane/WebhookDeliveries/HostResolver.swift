package import Domain
import Glibc
import Synchronization

/// Finds the addresses of a name. Injected, so that tests can have names that change their minds.
package protocol HostResolver: Sendable {
  /// - Throws: ``HostNotFound``.
  func addresses(of name: String) async throws(HostNotFound) -> [IPAddress]
}

/// A name leads nowhere, or nobody says where.
package struct HostNotFound: Error, Equatable, Sendable {
  package init() {}
}

/// The system's own resolver, which blocks: each name that is asked for has a thread for as long as that takes, shared by those
/// who ask for the same name. A name server that does not answer keeps nobody waiting but them.
package final class SystemResolver: HostResolver {
  private typealias Waiter = CheckedContinuation<Result<[IPAddress], HostNotFound>, Never>

  /// More names at once lead nowhere for the moment.
  private static let mostNames = 512

  private let waiting = Mutex<[String: [Waiter]]>([:])

  package init() {}

  package func addresses(of name: String) async throws(HostNotFound) -> [IPAddress] {
    let result = await withCheckedContinuation { (continuation: Waiter) in
      let (isFirst, isRefused) = waiting.withLock { waiting -> (Bool, Bool) in
        let isFirst = waiting[name] == nil
        guard !isFirst || waiting.count < Self.mostNames else { return (false, true) }
        waiting[name, default: []].append(continuation)
        return (isFirst, false)
      }
      if isRefused { return continuation.resume(returning: .failure(HostNotFound())) }
      if isFirst { onThread { self.finish(name, with: Self.look(up: name)) } }
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

/// Runs a body on a thread of its own.
private func onThread(_ body: @escaping @Sendable () -> Void) {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  var thread = pthread_t()
  let box = Unmanaged.passRetained(Box(body))
  let code = pthread_create(
    &thread, &attributes,
    { argument in
      Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
      return nil
    }, box.toOpaque())
  precondition(code == 0, "pthread_create: errno \(code)")
}
