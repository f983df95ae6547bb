import FoundationEssentials
import Glibc

/// Why a mail server's URL cannot be used. It says what is wrong, and repeats nothing of the URL.
package struct MailConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Goes on where "the mail URL" begins.
  let reason: String

  package var description: String {
    """
    the mail URL \(reason); a correct one is \
    smtp://user:password@mail.example.com:587?from=noreply@example.com
    """
  }
}

/// Which server takes our mails, and who we are.
struct SMTPConfiguration: Sendable, Redacted {
  /// What protects the connection. Certificates are always verified.
  enum Security: Sendable {
    /// TLS from the first byte (`smtps://`; RFC 8314).
    case implicit
    /// STARTTLS before anything else; a server that does not offer it gets nothing from us.
    case startTLS
    case none
  }

  let host: String
  let port: Int
  let credentials: (user: String, password: String)?
  let sender: EmailAddress
  let security: Security
  /// For the TCP connection.
  var connectTimeout = Duration.seconds(10)
  /// For all of a mail.
  var timeout = Duration.seconds(30)

  /// See `SMTPMailer.init(url:)`.
  init(parsing url: String) throws(MailConfigurationError) {
    let encode = "; /, ?, #, @ and : in a user or password must be percent-encoded"
    guard let parts = URLComponents(string: url) else {
      throw .init(reason: "is not a URL" + encode)
    }
    // Where characters of a password are taken for delimiters, something is left over at the end.
    guard parts.path.isEmpty || parts.path == "/", parts.fragment == nil else {
      throw .init(reason: "has a path or a fragment" + encode)
    }
    let isImplicit = parts.scheme?.lowercased() == "smtps"
    guard isImplicit || parts.scheme?.lowercased() == "smtp" else {
      throw .init(reason: "does not begin with smtp:// or smtps://")
    }
    guard let host = parts.host.flatMap(Self.host) else {
      throw .init(reason: "has no valid host name or IP address")
    }
    self.host = host
    port = parts.port ?? (isImplicit ? 465 : 587)
    guard (1...65535).contains(port) else {
      throw .init(reason: "has a port that is not 1 to 65535")
    }
    credentials = try Self.credentials(parts)
    let options = try Self.options(parts)
    guard let sender = options["from"].flatMap({ EmailAddress($0) }) else {
      throw .init(reason: "has no from=, or one that is not an e-mail address")
    }
    self.sender = sender
    switch (options["tls"], isImplicit) {
    case (nil, true), ("required", true): security = .implicit
    case (nil, false): security = Self.isLoopback(host) ? .none : .startTLS
    case ("required", false): security = .startTLS
    case ("off", false): security = .none
    case ("off", true): throw .init(reason: "says tls=off, but smtps:// is TLS")
    default: throw .init(reason: "has a tls= that is neither off nor required")
    }
  }

  var description: String { "<SMTP configuration>" }

  /// What libcurl is given. The path is our name in EHLO: the name of this host, which it would take
  /// else, is in a container none that a server could accept.
  var url: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return "\(security == .implicit ? "smtps" : "smtp")://\(name):\(port)/\(sender.domain)"
  }

  private static func credentials(
    _ parts: URLComponents
  ) throws(MailConfigurationError) -> (user: String, password: String)? {
    let (user, password) = (parts.user ?? "", parts.password ?? "")
    guard user.isEmpty == password.isEmpty else {
      throw .init(reason: "has a user without a password, or a password without a user")
    }
    // A NUL would cut them off in C.
    guard (user + password).unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
    else { throw .init(reason: "has control characters in its user or password") }
    return user.isEmpty ? nil : (user, password)
  }

  private static func options(_ parts: URLComponents) throws(MailConfigurationError) -> [String:
    String]
  {
    var options: [String: String] = [:]
    for item in parts.queryItems ?? [] {
      guard item.name == "from" || item.name == "tls" else {
        throw .init(reason: "has an option other than from= and tls=")
      }
      guard options.updateValue(item.value ?? "", forKey: item.name) == nil else {
        throw .init(reason: "has \(item.name)= twice")
      }
    }
    return options
  }

  /// - Returns: a name or an address, the latter without brackets.
  private static func host(_ text: String) -> String? {
    if text.hasPrefix("["), text.hasSuffix("]") {
      let address = String(text.dropFirst().dropLast())
      return isIPv6(address) ? address : nil
    }
    let isName = text.utf8.allSatisfy { $0.isLetterOrDigit || "-._".utf8.contains($0) }
    return (isName && !text.isEmpty) || isIPv6(text) ? text : nil
  }

  private static func isIPv6(_ text: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET6, text, &address) == 1
  }

  /// Only what is it by definition, whatever a name server may say.
  private static func isLoopback(_ host: String) -> Bool {
    var address = in_addr()
    if inet_pton(AF_INET, host, &address) == 1 {
      return UInt32(bigEndian: address.s_addr) >> 24 == 127
    }
    return host.lowercased() == "localhost" || host == "::1"
  }
}
