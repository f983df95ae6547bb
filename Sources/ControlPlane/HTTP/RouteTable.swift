import HTTPTypes
import Hummingbird

/// One path template and what the floor keeps for it.
final class Endpoint: Sendable {
  /// E.g. `/v1/organizations/{organization}`.
  let template: String
  /// The value of `Allow`, e.g. `GET, HEAD, OPTIONS`.
  let allow: String
  /// Whether replies are not JSON: what is for people and for Prometheus is not negotiated.
  let servesText: Bool
  let bodyRules: BodyRules?
  /// Whether no cache on the way may keep replies. Only catalogues that are the same for everybody may be kept.
  let isKeptNowhere: Bool
  /// What it answers where that is not JSON.
  let mediaType: String?
  private let operations: [Operation]
  private let captures: [Capture]
  private let parameterNames: [String]

  /// One method: what answers it, and its measurements.
  final class Operation: Sendable {
    let method: HTTPRequest.Method
    let responder: any HTTPResponder<APIContext>
    let series: HTTPMetrics.Series

    init(
      method: HTTPRequest.Method, responder: any HTTPResponder<APIContext>,
      series: HTTPMetrics.Series
    ) {
      self.method = method
      self.responder = responder
      self.series = series
    }
  }

  private struct Capture {
    let segment: Int
    let parameter: PathParameter
  }

  init(
    template: String, responders: [HTTPRequest.Method: any HTTPResponder<APIContext>],
    bodyRules: BodyRules? = nil, mediaType: String? = nil, metrics: HTTPMetrics
  ) {
    self.bodyRules = bodyRules
    self.mediaType = mediaType
    var responders = responders
    if responders[.head] == nil { responders[.head] = responders[.get] }
    self.template = template
    isKeptNowhere =
      template.hasPrefix("/v1/") && !["/v1/plans", "/v1/roles", "/v1/regions"].contains(template)
    servesText =
      template == "/metrics" || template.hasPrefix("/problems") || template.hasSuffix("/stream")
      || template.hasSuffix(":export")
    allow = Set(responders.keys).union([.options]).map(\.rawValue).sorted()
      .joined(separator: ", ")
    operations = responders.map {
      Operation(
        method: $0, responder: $1, series: metrics.series(method: $0, route: template))
    }
    captures = template.split(separator: "/").enumerated().compactMap { index, segment in
      PathParameter(segment).map { Capture(segment: index, parameter: $0) }
    }
    parameterNames = captures.map(\.parameter.name)
  }

  /// Nil when the endpoint does not have the method.
  func operation(_ method: HTTPRequest.Method) -> Operation? {
    for operation in operations where operation.method == method { return operation }
    return nil
  }

  /// The parameters in a request target that matches this endpoint.
  func parameters(in target: String) -> PathParameters {
    guard !captures.isEmpty else { return PathParameters() }
    var target = target
    let values = target.withUTF8 { bytes in
      // Behind the slash that begins the path.
      var (segment, start) = (0, 1)
      return captures.map { capture in
        while segment < capture.segment {
          while bytes[start] != UInt8(ascii: "/") { start += 1 }
          start += 1
          segment += 1
        }
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "/"), !bytes[end].endsPath { end += 1 }
        let parameter = capture.parameter
        return String(
          decoding: bytes[start + parameter.prefix.count..<end - parameter.suffix.count],
          as: UTF8.self)
      }
    }
    return PathParameters(names: parameterNames, values: values)
  }
}

/// A segment of a template that stands for a parameter, with what stands before and after it in the segment, e.g.
/// `{rule}:evaluate`.
private struct PathParameter: Equatable {
  let name: String
  let prefix: [UInt8]
  let suffix: [UInt8]

  /// Nil for a segment that is meant literally.
  init?(_ segment: Substring) {
    guard let open = segment.firstIndex(of: "{"), let close = segment.lastIndex(of: "}") else {
      return nil
    }
    name = String(segment[segment.index(after: open)..<close])
    prefix = Array(segment[..<open].utf8)
    suffix = Array(segment[segment.index(after: close)...].utf8)
  }
}

extension UInt8 {
  /// Whether the query or the fragment of a request target begins with it.
  var endsPath: Bool { self == UInt8(ascii: "?") || self == UInt8(ascii: "#") }
}

/// Finds the endpoint of a path, exactly: built once from the router's routes, matched on the
/// path's bytes without allocating.
///
/// A path with an empty segment, a trailing slash or a percent sign matches nothing.
struct RouteTable: Sendable {
  private struct Node: Sendable {
    enum Token: Equatable, Sendable {
      case literal([UInt8])
      case capture(prefix: [UInt8], suffix: [UInt8])
    }
    var token: Token
    var children: [Int] = []
    var endpoint: Endpoint?

    func matches(_ segment: UnsafeBufferPointer<UInt8>.SubSequence) -> Bool {
      switch token {
      case .literal(let bytes): return segment.elementsEqual(bytes)
      case .capture(let prefix, let suffix):
        // `elementsEqual` on slices: a capture always stands for at least one byte.
        return segment.count > prefix.count + suffix.count
          && segment.prefix(prefix.count).elementsEqual(prefix)
          && segment.suffix(suffix.count).elementsEqual(suffix)
      }
    }

    /// Literals first, then the capture with most fixed text, as the router does.
    var weight: Int {
      switch token {
      case .literal: Int.max
      case .capture(let prefix, let suffix): prefix.count + suffix.count
      }
    }
  }

  private var nodes: [Node] = [Node(token: .literal([]))]
  private let isIncomplete: Bool
  let authenticateHead: HeadAuthentication?

  /// What a path is answered that has no endpoint.
  var unmatched: Problem { isIncomplete ? .unavailable() : Problem(.notFound) }

  init(_ router: APIRouter, metrics: HTTPMetrics) {
    isIncomplete = router.isIncomplete
    authenticateHead = router.authenticateHead
    for (path, entries) in Dictionary(grouping: router.entries, by: \.path) {
      var index = 0
      for segment in path.split(separator: "/") { index = child(of: index, Self.token(segment)) }
      nodes[index].endpoint = Endpoint(
        template: path,
        responders: Dictionary(uniqueKeysWithValues: entries.map { ($0.method, $0.responder) }),
        bodyRules: router.bodyRules[path], mediaType: router.mediaTypes[path], metrics: metrics)
    }
    for index in nodes.indices {
      nodes[index].children.sort { [nodes] in nodes[$0].weight > nodes[$1].weight }
    }
  }

  /// The endpoint of a request target, whose query is not looked at; nil when there is none.
  func endpoint(of target: String) -> Endpoint? {
    var target = target
    return target.withUTF8 { bytes in
      let path = bytes.prefix { !$0.endsPath }
      guard path.first == UInt8(ascii: "/"), !path.contains(UInt8(ascii: "%")) else { return nil }
      if path.count == 1 { return nodes[0].endpoint }
      return match(path.dropFirst(), under: 0)
    }
  }

  private func match(
    _ rest: UnsafeBufferPointer<UInt8>.SubSequence, under index: Int
  ) -> Endpoint? {
    let end = rest.firstIndex(of: UInt8(ascii: "/"))
    let segment = rest[..<(end ?? rest.endIndex)]
    guard !segment.isEmpty else { return nil }
    for child in nodes[index].children where nodes[child].matches(segment) {
      guard let end else {
        if let endpoint = nodes[child].endpoint { return endpoint }
        continue
      }
      if let endpoint = match(rest[(end + 1)...], under: child) { return endpoint }
    }
    return nil
  }

  private mutating func child(of index: Int, _ token: Node.Token) -> Int {
    for child in nodes[index].children where nodes[child].token == token { return child }
    nodes.append(Node(token: token))
    nodes[index].children.append(nodes.count - 1)
    return nodes.count - 1
  }

  private static func token(_ segment: Substring) -> Node.Token {
    precondition(!segment.contains("*"), "a wildcard route cannot be matched exactly: \(segment)")
    guard let parameter = PathParameter(segment) else { return .literal(Array(segment.utf8)) }
    // Whatever a parameter is called there, it is the same place.
    return .capture(prefix: parameter.prefix, suffix: parameter.suffix)
  }
}
