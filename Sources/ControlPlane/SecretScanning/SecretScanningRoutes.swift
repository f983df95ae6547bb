import Cryptography
import HTTPTypes
import Hummingbird
import JSON

/// `POST /v1/secret-scanning/github`: GitHub tells which tokens it found publicly, and they are revoked (GitHub's
/// secret scanning partner program). There only when ``SecretScanning`` is asked for.
struct SecretScanningRoutes: RouteGroup {
  /// In bytes: GitHub sends its alerts in batches, of some hundred bytes each.
  private static let maxBody = 1 << 20

  private let services: Services
  private let keys: SecretScanningKeys
  private let refused: Counter
  private let real: Counter
  private let unknown: Counter

  init(services: Services, keys: SecretScanningKeys, metrics: Metrics) {
    self.services = services
    self.keys = keys
    refused = metrics.counter(
      "signalbox_secret_scanning_refused_total", "Alerts without a valid signature.")
    let (name, help) = ("signalbox_secret_scanning_tokens_total", "Tokens that were reported.")
    real = metrics.counter(name, help, ["label": "true_positive"])
    unknown = metrics.counter(name, help, ["label": "false_positive"])
  }

  func add(to router: APIRouter) {
    let path = "/v1/secret-scanning/github"
    router.takes(BodyRules(maximum: Self.maxBody, isWithoutToken: true), at: path)
    router.post("\(path)", use: report)
  }

  private func report(request: Request, context: APIContext) async throws -> Reply {
    try await authenticate(request, context)
    try QueryReader(request).finish()
    let alerts = try SecretAlert.list(context.body)
    let found = try await LeakedTokens(services: services, context: context).revoke(alerts)
    var feedback = JSONArray()
    for alert in alerts {
      let isReal = found.contains(alert.token)
      (isReal ? real : unknown).add()
      feedback.append(alert.feedback(isReal: isReal))
    }
    return .json(feedback.bytes())
  }

  /// Nothing is read, and nothing kept, of what nobody has signed.
  ///
  /// - Throws: a ``Problem`` of 400; 429 when the caller's address failed too often; 503 when the keys cannot be had.
  private func authenticate(_ request: Request, _ context: APIContext) async throws {
    if let signature = Signature(request.headers) {
      switch await keys.key(named: signature.keyIdentifier) {
      case .found(let key):
        if key.isValid(signature.bytes, for: Array(context.body.readableBytesView)) { return }
      case .unknown: break
      case .unavailable: throw Problem.unavailable(retryAfter: 60)
      }
    }
    refused.add()
    try context.exchange.require(
      services.limiter.failedAttempt(address: context.exchange.clientAddress))
    throw Problem(.signatureInvalid)
  }
}

/// What the two header fields say, when they could be right.
private struct Signature {
  /// Of an ECDSA-Sig-Value over P-256, in DER.
  private static let longest = 72

  let keyIdentifier: String
  let bytes: [UInt8]

  init?(_ headers: HTTPFields) {
    let identifiers = headers[values: .gitHubPublicKeyIdentifier]
    let signatures = headers[values: .gitHubPublicKeySignature]
    guard identifiers.count == 1, 1...128 ~= identifiers[0].utf8.count, signatures.count == 1,
      signatures[0].utf8.count <= 100, let bytes = Base64.decode(signatures[0]),
      1...Self.longest ~= bytes.count
    else { return nil }
    keyIdentifier = identifiers[0]
    self.bytes = bytes
  }
}

extension HTTPField.Name {
  fileprivate static let gitHubPublicKeyIdentifier = Self("Github-Public-Key-Identifier")!
  fileprivate static let gitHubPublicKeySignature = Self("Github-Public-Key-Signature")!
}
