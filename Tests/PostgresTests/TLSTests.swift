import Glibc
import Testing

@testable import Postgres

/// libpq does the work; what is tested is that its settings arrive and that a refusal is a refusal.
@Suite(.serialized)
struct TLSTests {
  @Test func `only the right authority and the right name are trusted`() async throws {
    let directory = "/tmp/signalbox-tls-\(getpid())"
    let keys = directory + "-keys"
    let user = try ServiceUser.current()
    try user.makePrivateDirectory(keys)
    defer { for path in [directory, keys] { _ = try? ChildProcess.run(["rm", "-rf", path]) } }
    try makeAuthority("ca", keys)
    try makeAuthority("other", keys)
    try makeCertificate(for: "localhost", signedBy: "ca", keys)
    try write(
      "local all all trust\nhostssl all all 127.0.0.1/32 trust\n", to: keys + "/hba", user)
    for file in ["server.key", "server.crt"] { try user.own("\(keys)/\(file)") }

    let port = try freePort()
    let server = EmbeddedServer(
      dataDirectory: directory,
      settings: [
        "listen_addresses": "127.0.0.1", "port": "\(port)", "ssl": "on",
        "ssl_cert_file": keys + "/server.crt", "ssl_key_file": keys + "/server.key",
        "hba_file": keys + "/hba",
      ])
    _ = try await server.start()

    let base = "postgres://signalbox@localhost:\(port)/signalbox?hostaddr=127.0.0.1&sslmode="
    let good = try ConnectionOptions(base + "verify-full&sslrootcert=\(keys)/ca.crt")
    let encrypted = try await withConnection(good) {
      try await $0.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    }
    #expect(try encrypted[0].decode(Bool.self))

    var wrongName = good
    wrongName["host"] = "elsewhere.example"
    for (options, why) in [
      (try ConnectionOptions(base + "verify-full&sslrootcert=\(keys)/other.crt"), "certificate"),
      (wrongName, "elsewhere.example"),
      (try ConnectionOptions(base + "disable"), "no pg_hba.conf entry"),
    ] {
      let error = try await withConnection(options) { connection in
        await #expect(throws: PostgresError.self) {
          try await connection.run(deadline: .now + .seconds(2)) { _ in }
        }
      }
      #expect(error?.message.contains(why) == true, "\(String(describing: error))")
    }
    await server.stop()
  }

  private func openssl(_ arguments: String...) throws {
    try ChildProcess.run(["openssl"] + arguments)
  }

  private func makeAuthority(_ name: String, _ keys: String) throws {
    try openssl(
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
      "2",
      "-subj", "/CN=\(name)", "-keyout", "\(keys)/\(name).key", "-out", "\(keys)/\(name).crt")
  }

  private func makeCertificate(
    for host: String, signedBy authority: String, _ keys: String
  ) throws {
    try openssl(
      "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
      "/CN=\(host)", "-addext", "subjectAltName=DNS:\(host)", "-keyout", "\(keys)/server.key",
      "-out",
      "\(keys)/server.csr")
    try openssl(
      "x509", "-req", "-in", "\(keys)/server.csr", "-CA", "\(keys)/\(authority).crt", "-CAkey",
      "\(keys)/\(authority).key", "-CAcreateserial", "-days", "2", "-out", "\(keys)/server.crt")
  }

  private func write(_ text: String, to path: String, _ user: ServiceUser) throws {
    let file = creat(path, 0o600)
    try #require(file >= 0)
    defer { close(file) }
    let bytes = Array(text.utf8)
    try #require(Glibc.write(file, bytes, bytes.count) == bytes.count)
    try user.own(path)
  }

  private func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    return try withUnsafeMutablePointer(to: &address) { pointer in
      try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        try #require(bind(descriptor, $0, length) == 0)
        try #require(getsockname(descriptor, $0, &length) == 0)
      }
      return UInt16(bigEndian: pointer.pointee.sin_port)
    }
  }
}
