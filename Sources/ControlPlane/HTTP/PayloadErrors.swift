/// Collects what is wrong with a request while its readers walk through it, so that one reply lists
/// everything.
final class PayloadErrors {
  /// A hostile body must not make a larger reply.
  private static let maximum = 100

  private(set) var details: [Problem.Detail] = []

  func add(_ place: Problem.Detail.Place, _ code: String, _ detail: String) {
    if details.count < Self.maximum { details.append(.init(place, code, detail)) }
  }

  /// - Throws: `invalid-request` with all of them, in order of discovery.
  func finish() throws(Problem) {
    if !details.isEmpty { throw .invalid(details) }
  }
}
