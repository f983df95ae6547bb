import FoundationEssentials
import Support
import Testing

@testable import Domain

let webKey = APIKeyID(UUID(UInt128(21)))
let nextKey = APIKeyID(UUID(UInt128(22)))
let lastKey = APIKeyID(UUID(UInt128(23)))

extension WorkspaceEvent {
  /// Made by the fourth event, unless said otherwise.
  static func keyCreated(
    _ id: APIKeyID = webKey, in project: ProjectID = assistant,
    of environment: Project.Environment = .live, name: ExactText = "Web",
    secret: TokenSecret = firstSecret, from former: APIKeyID? = nil, until expiry: Timestamp? = nil
  ) -> Self {
    .apiKey(
      .created(
        .init(
          keyID: id, projectID: project, environment: environment, name: name, secret: secret,
          rotatedFrom: former, expiresAt: expiry)))
  }
  static func keyRotated(
    _ id: APIKeyID = webKey, to successor: APIKeyID = nextKey, grace: Timestamp
  ) -> Self {
    .apiKey(.rotated(.init(keyID: id, rotatedTo: successor, expiresAt: grace)))
  }
  static func keyExpires(_ id: APIKeyID = webKey, at time: Timestamp?) -> Self {
    .apiKey(.expiryChanged(.init(keyID: id, expiresAt: time)))
  }
  static func keyRenamed(_ name: ExactText) -> Self {
    .apiKey(.renamed(.init(keyID: webKey, name: name)))
  }
  static func keyRevoked(_ id: APIKeyID = webKey, _ reason: ExactText? = nil) -> Self {
    .apiKey(.revoked(.init(keyID: id, reason: reason)))
  }
  static let testCreated = Self.project(
    .created(.init(projectID: other, name: "Other", environment: .test)))
}

@Suite struct APIKeyTests {
  static let hour: Int64 = 3_600_000_000
  static let expiry = Scenario.time(4).advanced(by: 720 * hour)

  static func create(
    _ id: APIKeyID = webKey, in project: ProjectID = assistant,
    secret: TokenSecret = firstSecret, until expiry: Timestamp? = nil
  ) -> WorkspaceCommand {
    .apiKey(.create(id, project: project, name: "Web", secret: secret, expiresAt: expiry))
  }
  static func change(
    _ id: APIKeyID = webKey, in project: ProjectID = assistant, name: ExactText? = nil,
    until expiry: Timestamp?? = nil
  ) -> WorkspaceCommand {
    .apiKey(.change(id, project: project, name: name, expiresAt: expiry))
  }
  static func rotate(
    _ id: APIKeyID = webKey, in project: ProjectID = assistant, to successor: APIKeyID = nextKey,
    secret: TokenSecret = secondSecret, grace seconds: Int64 = 0
  ) -> WorkspaceCommand {
    .apiKey(
      .rotate(id, project: project, to: successor, secret: secret, graceSeconds: seconds))
  }
  static func revoke(
    _ id: APIKeyID = webKey, in project: ProjectID = assistant, _ reason: ExactText? = nil
  ) -> WorkspaceCommand {
    .apiKey(.revoke(id, project: project, reason: reason))
  }

  static func exceeded(_ usage: Int64, of allowed: Int64 = 2) -> Rejection {
    .limitExceeded(
      LimitExceeded(
        limit: .apiKeysPerProject, allowed: allowed, usage: usage, plan: .free, upgrade: .plus))
  }

  // MARK: At the end of time

  @Test(arguments: [0, 1, 3600, 604_800] as [Int64])
  func `a key that expires in 9999 is rotated, and neither loses life nor leaves the calendar`(
    grace: Int64
  ) {
    for expiry in [Timestamp.latest, Timestamp.latest.advanced(by: -1)] {
      let time = Scenario.time(1000)
      given(.created, .projectCreated, .keyCreated(until: expiry))
        .when(Self.rotate(grace: grace), at: time)
        .then(
          .keyCreated(nextKey, secret: secondSecret, from: webKey, until: .latest),
          .keyRotated(grace: time.advanced(bySeconds: grace)))
    }
  }

  // MARK: Refused

  @Test(arguments: [create(), change(name: "B"), rotate()])
  func `what is archived gets no keys, and keeps those that it has as they are`(
    command: WorkspaceCommand
  ) {
    let key = WorkspaceEvent.keyCreated(lastKey, secret: thirdSecret)
    given(.created, .projectCreated, .keyCreated(), key, .projectArchived)
      .when(command == Self.create() ? Self.create(nextKey, secret: secondSecret) : command)
      .thenRejected(.archived(.project))
    given(.created, .projectCreated, .keyCreated(), key, .archived)
      .when(command).thenRejected(.archived(.organization))
    given().when(command).thenRejected(.notFound(.organization))
  }

  @Test func `a key is of a project that there is`() {
    given(.created, .ownerAdded).when(Self.create()).thenRejected(.notFound(.project))
  }

  @Test(arguments: [
    change(in: other, name: "B"), rotate(in: other), revoke(in: other), change(nextKey, name: "B"),
    rotate(nextKey, to: lastKey), revoke(nextKey),
  ])
  func `through one project another one's keys are not found`(command: WorkspaceCommand) {
    given(.created, .projectCreated, .testCreated, .keyCreated())
      .when(command).thenRejected(.notFound(.apiKey))
  }

  @Test func `a secret is one key's, whatever is rotated or revoked`() {
    let history = given(
      .created, .startsFree, .projectCreated, .keyCreated(), .keyRevoked(),
      .keyCreated(nextKey, secret: secondSecret))
    history.when(Self.create(lastKey)).thenRejected(.secretUsed)
    history.when(Self.rotate(nextKey, to: lastKey, secret: firstSecret)).thenRejected(.secretUsed)
  }

  @Test(arguments: [
    (WorkspaceEvent.keyRevoked(), APIKey.Closure.revoked),
    (.keyExpires(at: Scenario.time(4)), .expired),
    (.keyRotated(grace: Scenario.time(4)), .rotated),
  ])
  func `what lets nobody in is not brought back`(event: WorkspaceEvent, closure: APIKey.Closure) {
    let history = given(
      .created, .projectCreated, .keyCreated(until: Self.expiry.advanced(by: 1)),
      .keyCreated(nextKey, secret: secondSecret), event)
    for command in [
      Self.change(name: "B"), Self.change(until: .some(nil)), Self.change(until: Self.expiry),
      Self.rotate(to: lastKey, secret: thirdSecret, grace: 3600),
    ] {
      history.when(command).thenRejected(.apiKeyClosed(closure))
    }
  }

  @Test func `a key is rotated once, and its grace only cut short`() {
    let grace = Scenario.time(3600)
    let history = given(
      .created, .projectCreated, .keyCreated(until: Self.expiry),
      .keyCreated(nextKey, secret: secondSecret, from: webKey), .keyRotated(grace: grace))
    history.when(Self.rotate(to: lastKey, secret: thirdSecret))
      .thenRejected(.apiKeyClosed(.rotated))
    for later in [grace.advanced(by: 1), nil] {
      history.when(Self.change(until: .some(later))).thenRejected(.apiKeyClosed(.rotated))
    }
    history.when(Self.change(until: grace.advanced(by: -1)))
      .then(.keyExpires(at: grace.advanced(by: -1)))
    history.when(Self.change(name: "B")).then(.keyRenamed("B"))
  }

  // MARK: Limits

  @Test func `a plan allows so many keys of each project`() {
    let full = given(
      .created, .startsFree, .projectCreated, .testCreated, .keyCreated(),
      .keyCreated(nextKey, secret: secondSecret))
    full.when(Self.create(lastKey, secret: thirdSecret)).thenRejected(Self.exceeded(2))
    full.when(Self.create(lastKey, in: other, secret: thirdSecret))
      .then(.keyCreated(lastKey, in: other, of: .test, secret: thirdSecret))
  }

  @Test(arguments: [WorkspaceEvent.keyRevoked(), .keyExpires(at: Scenario.time(7))])
  func `what lets nobody in takes no place`(event: WorkspaceEvent) {
    given(
      .created, .startsFree, .projectCreated, .keyCreated(),
      .keyCreated(nextKey, secret: secondSecret), event
    )
    .when(Self.create(lastKey, secret: thirdSecret))
    .then(.keyCreated(lastKey, secret: thirdSecret))
  }

  @Test func `a key in rotation counts once, for as long as the one in its place is good`() {
    let rotated = given(
      .created, .startsFree, .projectCreated, .keyCreated(),
      .keyCreated(nextKey, secret: secondSecret, from: webKey),
      .keyRotated(grace: Scenario.time(3600)))
    #expect(rotated.workspace.activeKeys(in: assistant, at: Scenario.time(7)) == 1)
    let command = Self.create(lastKey, secret: thirdSecret)
    rotated.when(command).then(.keyCreated(lastKey, secret: thirdSecret))
    // With the new one gone it is the old one that counts: its grace is nobody's additional key.
    let full = given(
      .created, .startsFree, .projectCreated, .keyCreated(),
      .keyCreated(nextKey, secret: secondSecret, from: webKey),
      .keyRotated(grace: Scenario.time(3600)), .keyRevoked(nextKey),
      .keyCreated(lastKey, secret: thirdSecret))
    full.when(Self.create(APIKeyID(UUID(UInt128(24))), secret: .init(hash: "4", lastFour: "4")))
      .thenRejected(Self.exceeded(2))
    #expect(full.workspace.activeKeys(in: assistant, at: Scenario.time(3600)) == 1)
  }

  @Test func `rotating needs no place, after a downgrade neither`() {
    given(
      .created, .startsFree, .projectCreated, .keyCreated(),
      .keyCreated(lastKey, secret: thirdSecret),
      .keyCreated(APIKeyID(UUID(UInt128(24))), secret: .init(hash: "4", lastFour: "4"))
    )
    .when(Self.rotate())
    .then(
      .keyCreated(nextKey, secret: secondSecret, from: webKey),
      .keyRotated(grace: Scenario.time(7)))
  }

  // MARK: Repeated

  @Test func `asking again yields nothing`() {
    let expired = Scenario.time(4)
    let history = given(
      .created, .projectCreated, .keyCreated(), .keyExpires(at: expired),
      .keyCreated(nextKey, secret: secondSecret))
    for command in [
      Self.create(), Self.change(name: "Web"), Self.change(until: expired),
      // It was ended, by a clock that is not ours.
      Self.change(until: Scenario.time(1)), Self.rotate(), Self.change(),
    ] {
      history.when(command).thenNothing()
    }
    given(.created, .projectCreated, .keyCreated(), .keyRevoked(webKey, "A leak"))
      .when(Self.revoke(webKey, "Another leak")).thenNothing()
  }

  // MARK: Accepted

  @Test(arguments: [nil, expiry])
  func `a key is of its project's environment`(expiry: Timestamp?) {
    let workspace = given(.created, .ownerAdded, .projectCreated)
      .when(Self.create(until: expiry), by: .user(owner))
      .then(.keyCreated(until: expiry))
    #expect(
      workspace.apiKeys[webKey]
        == APIKey(
          projectID: assistant, environment: .live, name: "Web", secret: firstSecret,
          expiresAt: expiry, createdBy: Scenario.actor, createdAt: Scenario.time(4),
          updatedAt: Scenario.time(4)))
    #expect(workspace.version(of: .apiKey(webKey)) == 1)
    given(.created, .ownerAdded, .testCreated).when(Self.create(in: other))
      .then(.keyCreated(in: other, of: .test))
    #expect(Project.Environment.live.apiKeyPrefix == "pk_live_")
    #expect(Project.Environment.test.apiKeyPrefix == "pk_test_")
  }

  @Test func `the first key is a fact of onboarding`() {
    given(
      .created, .projectCreated, .recorded(.providerConnected)
    )
    .when(Self.create())
    .then(.keyCreated(), .advanced(from: .providerConnected, to: .keyIssued))
  }

  @Test func `a name and an expiry change, each by itself`() {
    let history = given(.created, .projectCreated, .keyCreated())
    let workspace = history.when(Self.change(name: "B", until: Self.expiry))
      .then(.keyRenamed("B"), .keyExpires(at: Self.expiry))
    #expect(workspace.apiKeys[webKey]?.name == "B")
    #expect(workspace.apiKeys[webKey]?.expiresAt == Self.expiry)
    #expect(workspace.apiKeys[webKey]?.version == 3)
    given(.created, .projectCreated, .keyCreated(until: Self.expiry))
      .when(Self.change(until: .some(nil))).then(.keyExpires(at: nil))
  }

  @Test(arguments: [Scenario.time(1), Scenario.time(4)])
  func `an expiry that has passed is now`(time: Timestamp) {
    let workspace = given(.created, .projectCreated, .keyCreated())
      .when(Self.change(until: time)).then(.keyExpires(at: Scenario.time(4)))
    #expect(workspace.apiKeys[webKey]?.closure(at: Scenario.time(4)) == .expired)
    #expect(workspace.apiKeys[webKey]?.closure(at: Scenario.time(4).advanced(by: -1)) == nil)
  }

  @Test(arguments: [0, 1, 604_800] as [Int64])
  func `the key before a rotation is good for the grace`(seconds: Int64) {
    let time = Scenario.time(10)
    let grace = time.advanced(by: seconds * 1_000_000)
    let workspace = given(.created, .ownerAdded, .projectCreated, .keyCreated())
      .when(Self.rotate(grace: seconds), at: time)
      .then(
        .keyCreated(nextKey, secret: secondSecret, from: webKey), .keyRotated(grace: grace))
    #expect(workspace.apiKeys[webKey]?.closure(at: grace) == .rotated)
    #expect(workspace.apiKeys[webKey]?.closure(at: grace.advanced(by: -1)) == nil)
    #expect(workspace.apiKeys[webKey]?.rotatedTo == nextKey)
    #expect(workspace.apiKeys[nextKey]?.rotatedFrom == webKey)
    #expect(workspace.apiKeys[nextKey]?.closure(at: grace) == nil)
  }

  @Test func `the grace ends with what the key was good for, and the new one lives as long`() {
    let time = Self.expiry.advanced(by: -1_000_000)
    given(.created, .ownerAdded, .projectCreated, .keyCreated(until: Self.expiry))
      .when(Self.rotate(grace: 3600), at: time)
      .then(
        .keyCreated(
          nextKey, secret: secondSecret, from: webKey, until: time.advanced(by: 720 * Self.hour)),
        .keyRotated(grace: Self.expiry))
  }

  @Test func `a second rotation ends the first one's grace`() {
    given(
      .created, .projectCreated, .keyCreated(),
      .keyCreated(nextKey, secret: secondSecret, from: webKey),
      .keyRotated(grace: Scenario.time(3600))
    )
    .when(Self.rotate(nextKey, to: lastKey, secret: thirdSecret, grace: 60))
    .then(
      .keyExpires(at: Scenario.time(6)),
      .keyCreated(lastKey, secret: thirdSecret, from: nextKey),
      .keyRotated(nextKey, to: lastKey, grace: Scenario.time(66)))
  }

  @Test func `access can always be taken away`() {
    let workspace = given(.created, .projectCreated, .keyCreated(), .projectArchived, .archived)
      .when(Self.revoke(webKey, "A leak")).then(.keyRevoked(webKey, "A leak"))
    #expect(workspace.apiKeys[webKey]?.revokedAt == Scenario.time(6))
    #expect(workspace.apiKeys[webKey]?.revokedReason == "A leak")
    #expect(workspace.apiKeys[webKey]?.closure(at: Scenario.time(6)) == .revoked)
    given(.created, .projectCreated, .keyCreated(until: Scenario.time(4)))
      .when(Self.revoke(), by: .system).then(.keyRevoked())
  }

  @Test func `revoking a key leaves the one that it was rotated from to its grace`() {
    let workspace = given(
      .created, .projectCreated, .keyCreated(),
      .keyCreated(nextKey, secret: secondSecret, from: webKey),
      .keyRotated(grace: Scenario.time(3600))
    )
    .when(Self.revoke(nextKey)).then(.keyRevoked(nextKey))
    #expect(workspace.apiKeys[webKey]?.closure(at: Scenario.time(7)) == nil)
  }

  // MARK: Folded

  @Test func `the fold stops at a second creation`() {
    given(.created, .projectCreated, .keyCreated()).thenCannotFold(.keyCreated())
  }

  @Test(arguments: [
    WorkspaceEvent.keyRenamed("B"), .keyExpires(at: expiry), .keyRotated(grace: expiry),
    .keyRevoked(),
  ])
  func `the fold stops at what happened to no key`(event: WorkspaceEvent) {
    given(.created, .projectCreated).thenCannotFold(event)
  }
}
