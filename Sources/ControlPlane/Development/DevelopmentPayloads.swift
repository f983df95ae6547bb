import Domain
import JSON
import Mail
import NIOCore

/// The body of `POST /v1/dev/tokens`.
struct DevelopmentTokenPayload {
  let email: EmailAddress
  let name: String?

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let email = reader.emailAddress("email")
    let name = reader.optionalString("name", TextRules(1...200))
    try reader.finish()
    guard let email else { throw Problem(.invalidRequest) }
    self.email = email
    self.name = name
  }

  static func json(token: String) -> JSONObject {
    var object = JSONObject()
    object.set("token", token)
    return object
  }
}

extension [Mailbox.Item] {
  /// The mails, newest first.
  var mailboxJSON: JSONObject {
    var object = JSONObject()
    object.set(
      "data",
      map { item in
        var mail = JSONObject()
        mail.set("to", item.message.to.text)
        mail.set("subject", item.message.subject)
        mail.set("text", item.message.text)
        mail.set("sent_at", Timestamp(clamping: item.receivedAt).rfc3339)
        return mail
      })
    return object
  }
}
