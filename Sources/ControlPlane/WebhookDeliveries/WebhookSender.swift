import Cryptography
import Domain
import EventStore
import FoundationEssentials
import JSON
import Logging
import NIOCore

/// Makes one attempt: signs, sends, and says what became of it.
struct WebhookSender: Sendable {
  /// What can become of an attempt. The raw values are labels of the metrics.
  enum Outcome: String, CaseIterable {
    case delivered, failed, dead
  }

  let client: WebhookClient
  let vault: WebhookSecretVault

  private static let unreadable =
    "the event cannot be turned into a message: the platform has to see to it"
  /// Between attempts at an event that cannot be turned into a message.
  private static let unreadablePause: Duration = .seconds(5)

  /// - Parameter connection: of the attempt before, and of this one afterwards if it can be used again.
  /// - Returns: nil when it was given up half-way because the process ends: it counts for nothing.
  func attempt(
    _ job: WebhookJob, _ event: Result<RecordedEvent?, any Error>, _ lease: WebhookLease,
    over connection: inout WebhookConnection?
  ) async -> WebhookLease.Report? {
    let (time, start) = (Timestamp.now, ContinuousClock.now)
    let attempts = job.attempts + 1
    let body: [UInt8]
    do {
      body = try WebhookBody.bytes(of: job, event.get(), to: lease)
    } catch {
      return WebhookLease.Report(
        job: job,
        result: .init(
          at: time, responseStatus: nil, responseExcerpt: nil, failure: Self.unreadable,
          duration: 0),
        retryIn: attempts < JobAttemptTable.mostAttempts ? Self.unreadablePause : nil,
        isUnreadable: true)
    }
    var status: Int?
    var excerpt: String?
    var failure: String?
    var retryAfter: String?
    do {
      let request = try request(job, body, lease, at: time)
      let answer = try await client.send(request, over: &connection)
      status = answer.status
      retryAfter = answer.retryAfter
      excerpt = Self.text(answer.excerpt)
      if !(200..<300).contains(answer.status) { failure = "the status is not 2xx" }
    } catch WebhookFailure.cancelled {
      return nil
    } catch let error as WebhookFailure {
      failure = error.description
    } catch is CryptographyError {
      failure = "the signing secret cannot be opened: rotate it"
    } catch {
      failure = "the request could not be made"
    }
    let isFinal = status == 410 || job.isPing
    return WebhookLease.Report(
      job: job,
      result: .init(
        at: time, responseStatus: status, responseExcerpt: excerpt, failure: failure,
        duration: Int64((ContinuousClock.now - start) / .milliseconds(1))),
      retryIn: failure == nil || isFinal
        ? nil : WebhookSchedule.delay(afterAttempts: attempts, retryAfter: retryAfter))
  }

  private func request(
    _ job: WebhookJob, _ body: [UInt8], _ lease: WebhookLease, at time: Timestamp
  ) throws -> WebhookRequest {
    guard let url = try? WebhookURL(job.url) else { throw WebhookFailure.urlRefused }
    let secrets = try job.secrets.map { sealed throws(CryptographyError) in
      try vault.open(sealed, of: lease.endpointID, in: lease.organizationID)
    }
    let (id, seconds) = (job.id.description, time.seconds)
    return WebhookRequest(
      url: url,
      headers: [
        ("Content-Type", "application/json"), ("User-Agent", "Signalbox-Webhooks/1.0"),
        ("Accept", "*/*"), ("Accept-Encoding", "identity"), ("webhook-id", id),
        ("webhook-timestamp", "\(seconds)"),
        (
          "webhook-signature",
          WebhookSignature.header(id: id, timestamp: seconds, body: body, secrets: secrets)
        ),
      ], body: body)
  }

  /// What people see of an answer: text, whatever it was. No more of it than was read, also in bytes.
  static func text(_ bytes: [UInt8]) -> String? {
    guard !bytes.isEmpty else { return nil }
    var text = ""
    var size = 0
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      let isControl =
        scalar.value < 0x20 && scalar != "\n" && scalar != "\t" || scalar.value == 0x7f
      let shown = isControl ? Unicode.Scalar(0xFFFD)! : scalar
      size += UTF8.width(shown)
      if size > WebhookExchangeHandler.excerptSize { break }
      text.unicodeScalars.append(shown)
    }
    return text
  }
}

/// What is sent, the same bytes each time: `type`, `timestamp`, `data` (Standard Webhooks 1.0.0).
enum WebhookBody {
  static func bytes(
    of job: WebhookJob, _ event: RecordedEvent?, to lease: WebhookLease
  ) throws -> [UInt8] {
    var body = JSONObject()
    body.set("type", job.eventType)
    var data = JSONObject()
    if let event {
      body.set("timestamp", Timestamp(event.occurredAt).rfc3339)
      data = try event.json()
    } else {
      body.set("timestamp", job.createdAt.rfc3339)
      data.set("endpoint_id", lease.endpointID.description)
    }
    data.set("organization_id", lease.organizationID.description)
    body.set("data", data)
    return body.bytes()
  }
}
