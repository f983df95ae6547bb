import JSON

/// One change that a writer wishes for. Its id is the X-Request-Id of every attempt, so that the log tells which
/// attempt, if any, took effect; and the Idempotency-Key, if it has one.
struct Operation: Sendable {
  enum Kind: Sendable {
    case createOrganization, createProject, renameOrganization, archiveOrganization
    case renameProject, changeThresholds, setPanicMode, archiveProject
  }

  let id: String
  let kind: Kind
  let method: String
  let path: String
  let body: [UInt8]
  /// The version that a precondition asks for.
  let ifMatch: String?
  /// Whether the id is sent as Idempotency-Key. A key hides it when the server carries out twice what it should have
  /// looked up, so half of the operations have none.
  let hasKey: Bool

  /// What goes over the wire in front of the body.
  func head(token: String) -> String {
    var head = """
      \(method) \(path) HTTP/1.1\r
      Authorization: Bearer \(token)\r
      X-Request-Id: \(id)\r

      """
    if hasKey { head += "Idempotency-Key: \(id)\r\n" }
    if !body.isEmpty { head += "Content-Type: application/json\r\n" }
    if let ifMatch { head += "If-Match: \(ifMatch)\r\n" }
    return head
  }
}

/// Something that a writer knows to exist, and the version at which it last saw it.
struct Target: Sendable {
  let path: String
  var version: Int64

  var etag: String { "\"\(version)\"" }
}

extension Operation {
  /// The next operation of a writer: the same for the same random numbers and the same targets.
  static func choose(
    id: String, among targets: Targets, using random: inout SeededGenerator
  ) -> Operation {
    let organization = targets.organizations.randomElement(using: &random)
    let project = targets.projects.randomElement(using: &random)
    let roll = Int.random(in: 0..<100, using: &random)
    let number = Int64.random(in: 1...1_000_000, using: &random)
    let hasKey = Bool.random(using: &random)
    switch (roll, organization, project) {
    case (..<1, _, _), (_, nil, _):
      return Operation(
        id, .createOrganization, "POST", "/v1/organizations",
        ["name": .string("Organization \(id)")], hasKey: hasKey)
    case (1..<20, let organization?, _), (_, let organization?, nil):
      let environment: JSONValue = .string(number.isMultiple(of: 2) ? "live" : "test")
      return Operation(
        id, .createProject, "POST", organization.path + "/projects",
        ["name": .string("Project \(id)"), "environment": environment], hasKey: hasKey)
    case (20..<28, let organization?, _):
      return Operation(
        id, .renameOrganization, "PATCH", organization.path, ["name": .string("Renamed \(id)")],
        ifMatch: organization.etag, hasKey: hasKey)
    case (28..<45, _, let project?):
      return Operation(
        id, .renameProject, "PATCH", project.path, ["name": .string("Renamed \(id)")],
        ifMatch: project.etag, hasKey: hasKey)
    case (45..<62, _, let project?):
      return Operation(
        id, .changeThresholds, "PATCH", project.path,
        ["rate_limit": number.isMultiple(of: 5) ? .null : .integer(number)], ifMatch: project.etag,
        hasKey: hasKey)
    case (62..<97, _, let project?):
      return Operation(
        id, .setPanicMode, "PUT", project.path + "/panic-mode",
        ["enabled": .bool(number.isMultiple(of: 2)), "reason": .string("Reason \(id)")],
        hasKey: hasKey)
    case (97..<99, _, let project?):
      return Operation(
        id, .archiveProject, "POST", project.path + "/archive", nil, ifMatch: project.etag,
        hasKey: hasKey)
    case (_, let organization?, _):
      return Operation(
        id, .archiveOrganization, "POST", organization.path + "/archive", nil,
        ifMatch: organization.etag, hasKey: hasKey)
    }
  }

  init(
    _ id: String, _ kind: Kind, _ method: String, _ path: String, _ body: [String: JSONValue]?,
    ifMatch: String? = nil, hasKey: Bool = true
  ) {
    self.init(
      id: id, kind: kind, method: method, path: path,
      body: body.map { JSONValue.object($0).canonicalBytes() } ?? [], ifMatch: ifMatch,
      hasKey: hasKey)
  }
}

/// What a writer can act on; each writer learns from its own answers only, so that what it does next
/// depends on nobody else's pace.
struct Targets: Sendable {
  var organizations: [Target] = []
  var projects: [Target] = []

  /// Takes note of an acknowledged change.
  mutating func learn(from operation: Operation, location: String?, version: Int64) {
    switch operation.kind {
    case .createOrganization:
      if let location { organizations.append(Target(path: location, version: version)) }
    case .createProject:
      if let location { projects.append(Target(path: location, version: version)) }
    case .renameOrganization:
      Self.update(&organizations, operation.path, version)
    case .renameProject, .changeThresholds:
      Self.update(&projects, operation.path, version)
    case .setPanicMode:
      Self.update(&projects, String(operation.path.dropLast("/panic-mode".count)), version)
    // An archived target stays one: what is asked of it is refused from now on.
    case .archiveProject, .archiveOrganization:
      break
    }
  }

  /// Forgets a target that takes no more changes.
  mutating func remove(_ operation: Operation) {
    organizations.removeAll { operation.path.hasPrefix($0.path) }
    projects.removeAll { operation.path.hasPrefix($0.path) }
  }

  private static func update(_ targets: inout [Target], _ path: String, _ version: Int64) {
    guard let index = targets.firstIndex(where: { $0.path == path }) else { return }
    targets[index].version = version
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, on every machine.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
