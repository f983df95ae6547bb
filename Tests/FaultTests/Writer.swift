import JSON
import Synchronization

/// A client that sends one attempt at a time, and judges every answer.
struct Client: ~Copyable {
  /// A handler has 5 seconds; the rest is for a busy machine.
  static let deadline = Duration.milliseconds(6500)

  private let ports: [UInt16]
  private let ledger: Ledger
  private var choice: Int
  private var connection: HTTPConnection?

  /// - Parameter ports: the replicas; the next one is used when one does not answer.
  init(ports: [UInt16], first: Int = 0, ledger: Ledger) {
    self.ports = ports
    self.ledger = ledger
    choice = first
  }

  private var port: UInt16 { ports[choice % ports.count] }

  /// Makes one attempt and enters it in the ledger.
  @discardableResult
  mutating func attempt(_ operation: Operation) -> Ledger.Answer {
    let start = ContinuousClock.now
    let port = port
    let answer: Ledger.Answer
    do throws(HTTPConnection.Failure) {
      answer = judge(
        try send(operation.head(token: ServerProcess.token), operation.body), operation)
    } catch .refused {
      answer = .unsent
    } catch {
      if error == .silent, !ledger.mayBeSilent(port) {
        ledger.violation("\(operation.id): no answer in \(Self.deadline)")
      }
      answer = .unknown("\(error)")
    }
    ledger.record(operation, answer, after: .now - start)
    return answer
  }

  /// Reads something, whatever the answer is.
  mutating func get(_ path: String) throws(HTTPConnection.Failure) -> HTTPConnection.Response {
    try send("GET \(path) HTTP/1.1\r\nAuthorization: Bearer \(ServerProcess.token)\r\n", [])
  }

  private mutating func send(
    _ head: String, _ body: [UInt8]
  ) throws(HTTPConnection.Failure) -> HTTPConnection.Response {
    do throws(HTTPConnection.Failure) {
      var open: HTTPConnection
      if let kept = connection.take() {
        open = kept
      } else {
        open = try HTTPConnection(port: port)
      }
      let response = try open.send(head: head, body: body, patience: Self.deadline)
      if !open.isSpent { connection = consume open }
      return response
    } catch {
      choice += 1
      throw error
    }
  }

  private func judge(_ response: HTTPConnection.Response, _ operation: Operation) -> Ledger.Answer {
    switch response.status {
    case 200, 201: return .acknowledged(response)
    case 409, 412: return .refused(status: response.status, code: code(of: response))
    case 503:
      if response.headers["retry-after"] == nil {
        ledger.violation("\(operation.id): 503 without Retry-After")
      }
      let code = code(of: response)
      // What a deadline cuts off is not promised to have been left undone.
      return code == "unavailable" ? .unavailable : .unknown(code)
    default:
      let text = String(decoding: response.body, as: UTF8.self)
      ledger.violation("\(operation.id): \(response.status) \(text)")
      return .unknown("\(response.status)")
    }
  }

  private func code(of response: HTTPConnection.Response) -> String {
    (try? JSONValue.parse(response.body))?["code"]?.string ?? "no problem document"
  }
}

/// Writers that go on, each on its own thread, until they are told to stop.
final class Load: Sendable {
  private let isStopping = Atomic<Bool>(false)
  private let ledger: Ledger
  private let writers: Mutex<[Task<Void, Never>]> = Mutex([])

  init(_ run: FaultRun, ports: [UInt16], writers count: Int = 8) {
    ledger = run.ledger
    let tasks = (0..<count).map { index in
      Task { await onThread { self.write(run.seed, index, ports) } }
    }
    writers.withLock { $0 = tasks }
  }

  /// Lets every writer finish what it is at.
  func stop() async {
    isStopping.store(true, ordering: .relaxed)
    for writer in writers.withLock({ $0 }) { await writer.value }
  }

  private func write(_ seed: UInt64, _ index: Int, _ ports: [UInt16]) {
    var random = SeededGenerator(seed: seed &* 1000 &+ UInt64(index))
    var client = Client(ports: ports, first: index, ledger: ledger)
    var targets = Targets()
    var number = 0
    while !isStopping.load(ordering: .relaxed) {
      number += 1
      let operation = Operation.choose(
        id: "\(seed)-\(index)-\(number)", among: targets, using: &random)
      let retries = Int.random(in: 0...2, using: &random)
      carryOut(operation, retries: retries, &client, &targets)
    }
  }

  /// Sends it, and again with the same key when nobody could say what became of it. What is then
  /// still not known stays so until the end of the run. Without a key, only what was certainly not
  /// carried out is sent again.
  private func carryOut(
    _ operation: Operation, retries: Int, _ client: inout Client, _ targets: inout Targets
  ) {
    for _ in 0...retries {
      switch client.attempt(operation) {
      case .acknowledged(let response):
        let version = response.headers["etag"].flatMap { Int64($0.filter(\.isNumber)) } ?? 0
        targets.learn(from: operation, location: response.headers["location"], version: version)
        return
      case .refused(_, "archived"):
        return targets.remove(operation)
      case .refused(_, "idempotency-in-progress"):
        breathe()
      case .refused:
        return
      case .unknown where !operation.hasKey:
        return
      case .unavailable, .unknown, .unsent:
        breathe()
      }
      if isStopping.load(ordering: .relaxed) { return }
    }
  }
}
