import Foundation

/// A mail as Python's `email` reads it, which shares nothing with us.
struct ParsedMail: Decodable, Sendable {
  let headers: [[String]]
  let text: String
  let defects: Int

  subscript(header: String) -> [String] { headers.filter { $0[0] == header }.map { $0[1] } }

  /// On a thread of its own: it blocks.
  static func read(_ mail: [UInt8]) async throws -> ParsedMail {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result { try ParsedMail(mail) }) }
    }
  }

  private init(_ mail: [UInt8]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-c", Self.program]
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: mail)
    try input.fileHandleForWriting.close()
    let json = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    self = try JSONDecoder().decode(ParsedMail.self, from: json)
  }

  private static let program = """
    import email, email.policy, json, sys
    mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
    text = mail.get_payload(decode=True).decode(mail.get_content_charset())
    defects = len(mail.defects) + sum(len(value.defects) for value in mail.values())
    headers = [[name, str(value)] for name, value in mail.items()]
    print(json.dumps({"headers": headers, "text": text, "defects": defects}))
    """
}
