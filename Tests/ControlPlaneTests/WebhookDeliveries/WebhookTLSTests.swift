import Domain
import FoundationEssentials
import NIOSSL
import Support
import Testing

@testable import ControlPlane

/// The connection goes to an address, and the certificate has to be the name's nevertheless.
@Suite struct WebhookTLSTests {
  @Test func `a certificate is good for the name that was asked for, and no other`() async throws {
    let certificate = try TestCertificate(for: "hooks.example.com")
    let receiver = try await WebhookReceiver.start(tls: certificate.server())
    let client = Self.client(trusting: certificate)
    let answer = try await WebhookClientTests.send(
      client, "https://hooks.example.com:\(receiver.port)/a")
    #expect(answer.status == 204)
    #expect(receiver.messages.first?["host"] == "hooks.example.com:\(receiver.port)")
    for other in ["other.example.com", "127.0.0.1"] {
      await #expect(throws: WebhookFailure.tlsFailed) {
        try await WebhookClientTests.send(client, "https://\(other):\(receiver.port)/")
      }
    }
    #expect(receiver.messages.count == 1)
  }

  @Test func `a certificate that nobody vouches for is not believed`() async throws {
    let certificate = try TestCertificate(for: "hooks.example.com")
    let receiver = try await WebhookReceiver.start(tls: certificate.server())
    await #expect(throws: WebhookFailure.tlsFailed) {
      try await WebhookClientTests.send(
        Self.client(trusting: nil), "https://hooks.example.com:\(receiver.port)/")
    }
    #expect(receiver.messages.isEmpty)
  }

  private static func client(trusting certificate: TestCertificate?) -> WebhookClient {
    var tls = TLSConfiguration.makeClientConfiguration()
    if let certificate { tls.trustRoots = .certificates([certificate.certificate]) }
    return WebhookClient(
      policy: TargetPolicy(allowsPrivate: true), resolver: ChangingNames([["127.0.0.1"]]), tls: tls,
      timeLimit: .seconds(5))
  }
}

/// A certificate that vouches for itself, made by the system's openssl.
private struct TestCertificate {
  let certificate: NIOSSLCertificate
  private let key: NIOSSLPrivateKey

  init(for name: String) throws {
    let directory = "\(FileManager.default.temporaryDirectory.path)/certificate-\(UUID())"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    _ = try Program.run(
      "/usr/bin/openssl",
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "1", "-subj", "/CN=\(name)", "-addext", "subjectAltName=DNS:\(name)", "-keyout",
        "\(directory)/key.pem", "-out", "\(directory)/certificate.pem",
      ])
    certificate = try NIOSSLCertificate(file: "\(directory)/certificate.pem", format: .pem)
    key = try NIOSSLPrivateKey(file: "\(directory)/key.pem", format: .pem)
  }

  func server() throws -> NIOSSLContext {
    try NIOSSLContext(
      configuration: .makeServerConfiguration(
        certificateChain: [.certificate(certificate)], privateKey: .privateKey(key)))
  }
}
