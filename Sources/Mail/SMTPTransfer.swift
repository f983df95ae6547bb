import CCurl

/// One mail over one connection, which lasts as long as this value.
struct SMTPTransfer: ~Copyable {
  private let handle: UnsafeMutableRawPointer
  private let configuration: SMTPConfiguration

  /// Once per process, before anything else of libcurl.
  private static let initialization = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

  init(_ configuration: SMTPConfiguration) throws(MailError) {
    try require(Self.initialization)
    guard let handle = curl_easy_init() else {
      throw .unavailable(reason: "libcurl has no memory")
    }
    self.handle = handle
    self.configuration = configuration
  }

  deinit { curl_easy_cleanup(handle) }

  /// - Throws: as `Mailer.send` does.
  func send(_ message: InternetMessage, to recipient: EmailAddress) throws(MailError) {
    try configure()
    let recipients = curl_slist_append(nil, "<\(recipient.transport)>")
    defer { curl_slist_free_all(recipients) }
    try set(CURLOPT_MAIL_FROM, "<\(configuration.sender.transport)>")
    try require(ccurl_set_list(handle, CURLOPT_MAIL_RCPT, recipients))
    try set(CURLOPT_UPLOAD, 1)
    try require(ccurl_set_size(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(message.bytes.count)))
    // The default would write to standard output what a server sends.
    try require(
      ccurl_set_transfer(handle, CURLOPT_WRITEFUNCTION) { _, size, count, _ in
        size * count
      })
    try require(ccurl_set_transfer(handle, CURLOPT_READFUNCTION, readRest))
    var conversation = SMTPConversation(
      needsSMTPUTF8: recipient.needsSMTPUTF8 || configuration.sender.needsSMTPUTF8,
      hasSTARTTLS: configuration.security == .startTLS)
    try require(ccurl_set_transfer(handle, CURLOPT_HEADERFUNCTION, hearReply))
    let result = withUnsafeMutablePointer(to: &conversation) { conversation in
      message.bytes.withUnsafeBytes { bytes in
        var rest = bytes
        return withUnsafeMutablePointer(to: &rest) { rest in
          var result = ccurl_set_context(handle, CURLOPT_HEADERDATA, conversation)
          if result == CURLE_OK { result = ccurl_set_context(handle, CURLOPT_READDATA, rest) }
          return result == CURLE_OK ? curl_easy_perform(handle) : result
        }
      }
    }
    if conversation.isBrokenOff { throw .addressUnsupported }
    try require(result, reply: ccurl_response_code(handle))
  }

  private func configure() throws(MailError) {
    try set(CURLOPT_URL, configuration.url)
    // A proxy from the environment: it could not be told from a server on this host.
    try set(CURLOPT_NOPROXY, "*")
    try set(CURLOPT_NOSIGNAL, 1)
    try set(CURLOPT_CONNECTTIMEOUT_MS, configuration.connectTimeout.milliseconds)
    try set(CURLOPT_TIMEOUT_MS, configuration.timeout.milliseconds)
    // In seconds. It bounds the answer to QUIT as well, which the others do not.
    try set(CURLOPT_SERVER_RESPONSE_TIMEOUT, (configuration.timeout.milliseconds + 999) / 1000)
    let security = configuration.security == .startTLS ? CURLUSESSL_ALL : CURLUSESSL_NONE
    try set(CURLOPT_USE_SSL, Int(security.rawValue))
    try set(CURLOPT_SSL_VERIFYPEER, 1)
    try set(CURLOPT_SSL_VERIFYHOST, 2)
    try set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
    if let (user, password) = configuration.credentials {
      try set(CURLOPT_USERNAME, user)
      try set(CURLOPT_PASSWORD, password)
    }
  }

  private func set(_ option: CURLoption, _ value: String) throws(MailError) {
    try require(ccurl_set_string(handle, option, value))
  }

  private func set(_ option: CURLoption, _ value: Int) throws(MailError) {
    try require(ccurl_set_long(handle, option, value))
  }
}

/// libcurl's header callback, which is given every line that the server says: the context is the conversation.
private let hearReply: ccurl_transfer = { buffer, size, count, context in
  guard let conversation = context?.assumingMemoryBound(to: SMTPConversation.self) else {
    return 0
  }
  let line = UnsafeRawBufferPointer(start: buffer, count: size * count)
  // Anything but all of it ends the transfer.
  return conversation.pointee.hear(line) ? size * count : 0
}

/// libcurl's read callback: the context is a buffer of what is still to be sent.
private let readRest: ccurl_transfer = { buffer, size, count, context in
  guard let rest = context?.assumingMemoryBound(to: UnsafeRawBufferPointer.self) else { return 0 }
  let chunk = UnsafeRawBufferPointer(rebasing: rest.pointee.prefix(size * count))
  UnsafeMutableRawBufferPointer(start: buffer, count: size * count).copyMemory(from: chunk)
  rest.pointee = UnsafeRawBufferPointer(rebasing: rest.pointee.dropFirst(chunk.count))
  return chunk.count
}

/// - Parameter reply: the server's last one. It is the reason only where libcurl does not know of
///   another: the reply before a timeout, say, may be any.
private func require(_ result: CURLcode, reply: Int = 0) throws(MailError) {
  switch (result, reply) {
  case (CURLE_OK, _): return
  case (CURLE_LOGIN_DENIED, 400...599), (CURLE_SEND_ERROR, 400...599),
    (CURLE_WEIRD_SERVER_REPLY, 400...599), (CURLE_REMOTE_ACCESS_DENIED, 400...599):
    throw reply < 500
      ? .unavailable(reason: "the server answered \(reply)") : .refused(code: reply)
  default:
    // A constant text, which names neither host nor data.
    throw .unavailable(reason: String(cString: curl_easy_strerror(result)))
  }
}

extension Duration {
  /// At least 1, since 0 means no limit to libcurl.
  fileprivate var milliseconds: Int {
    max(1, Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000))
  }
}
