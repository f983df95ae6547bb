import FoundationEssentials
import Glibc

/// Which server takes our mails, and who we are.
package struct SMTPConfiguration: Sendable, Redacted {
  /// What protects the connection. Certificates are always verified.
  package enum Security: Sendable {
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
  package let security: Security
  /// For the TCP connection.
  package var connectTimeout = Duration.seconds(10)
  /// For all of a mail.
  package var timeout = Duration.seconds(30)

  /// Reads `smtp://user:password@mail.example.com:587?from=noreply@example.com`, or `smtps://`.
  ///
  /// The ports 587 and 465, and the credentials, may be left out. `smtp://` demands STARTTLS, except
  /// of this very host; `tls=off` and `tls=required` say otherwise.
  ///
  /// - Throws: `MailError.misconfigured`, which says what is wrong, and repeats nothing of the URL.
  package init(parsing url: String) throws(MailError) {
    guard let parts = URLComponents(string: url) else { throw .url("is not one") }
    // Where characters of a password are taken for delimiters, something is left over at the end.
    guard parts.path.isEmpty || parts.path == "/", parts.fragment == nil else {
      throw .url("has a path or a fragment; /, ?, # and @ in a password must be percent-encoded")
    }
    let isImplicit = parts.scheme?.lowercased() == "smtps"
    guard isImplicit || parts.scheme?.lowercased() == "smtp" else {
      throw .url("does not begin with smtp:// or smtps://")
    }
    guard let host = parts.host.flatMap(Self.host) else {
      throw .url("has no valid host name or IP address")
    }
    self.host = host
    port = parts.port ?? (isImplicit ? 465 : 587)
    guard (1...65535).contains(port) else { throw .url("has a port that is not 1 to 65535") }
    credentials = try Self.credentials(parts)
    let options = try Self.options(parts)
    guard let sender = options["from"].flatMap({ EmailAddress($0) }) else {
      throw .url("has no from=, or one that is not an e-mail address")
    }
    self.sender = sender
    switch (options["tls"], isImplicit) {
    case (nil, true), ("required", true): security = .implicit
    case (nil, false): security = Self.isLoopback(host) ? .none : .startTLS
    case ("required", false): security = .startTLS
    case ("off", false): security = .none
    case ("off", true): throw .url("says tls=off, but smtps:// is TLS")
    default: throw .url("has a tls= that is neither off nor required")
    }
  }

  package var description: String { "<SMTP configuration>" }

  /// What libcurl is given. The path is our name in EHLO: the name of this host, which it would take
  /// else, is in a container none that a server could accept.
  var url: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return "\(security == .implicit ? "smtps" : "smtp")://\(name):\(port)/\(sender.domain)"
  }

  private static func credentials(
    _ parts: URLComponents
  ) throws(MailError) -> (user: String, password: String)? {
    let (user, password) = (parts.user ?? "", parts.password ?? "")
    guard user.isEmpty == password.isEmpty else {
      throw .url("has a user without a password, or a password without a user")
    }
    // A NUL would cut them off in C.
    guard (user + password).unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
    else { throw .url("has control characters in its user or password") }
    return user.isEmpty ? nil : (user, password)
  }

  private static func options(_ parts: URLComponents) throws(MailError) -> [String: String] {
    var options: [String: String] = [:]
    for item in parts.queryItems ?? [] {
      guard item.name == "from" || item.name == "tls" else {
        throw .url("has an option other than from= and tls=")
      }
      guard options.updateValue(item.value ?? "", forKey: item.name) == nil else {
        throw .url("has \(item.name)= twice")
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

extension MailError {
  fileprivate static func url(_ reason: String) -> MailError {
    .misconfigured(reason: "the URL \(reason)")
  }
}
