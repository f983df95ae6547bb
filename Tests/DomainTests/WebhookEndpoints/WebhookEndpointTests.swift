import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct WebhookEndpointTests {
  static let id = WebhookEndpointID(UUID(UInt128(4001)))
  static let settings = WebhookEndpoint.Settings(
    url: "https://example.com/hooks", eventTypes: EventTypeFilter(["*"]))

  static func secret(_ envelope: String) -> SealedKey {
    SealedKey(envelope: envelope, keyVersion: 1)
  }

  static func event(_ event: WebhookEndpointEvent) -> WorkspaceEvent { .webhookEndpoint(event) }
  static func command(_ command: WebhookEndpointCommand) -> WorkspaceCommand {
    .webhookEndpoint(command)
  }

  static func made(_ id: WebhookEndpointID = id) -> WorkspaceEvent {
    event(.created(.init(endpointID: id, settings: settings, secret: secret("a"))))
  }
  static let create = command(.create(id, settings, secret: secret("a")))
  static let disabled = event(.disabled(.init(endpointID: id, reason: .operator)))
  static let enabled = event(.enabled(.init(endpointID: id, skipsMissed: false)))
  static let deleted = event(.deleted(.init(endpointID: id)))

  // MARK: Refused

  @Test func `what does not exist takes no commands`() {
    let ready = given(.created, .ownerAdded)
    for command: WebhookEndpointCommand in [
      .change(Self.id, .init(url: "https://example.com/")),
      .rotateSecret(Self.id, to: Self.secret("b"), overlapSeconds: 0),
      .disable(Self.id, .operator), .enable(Self.id, skipsMissed: false),
      .replay(Self.id, fromPosition: 1), .delete(Self.id),
    ] {
      ready.when(Self.command(command)).thenRejected(.notFound(.webhookEndpoint))
    }
  }

  @Test func `an archived organization gets no endpoint, and its endpoints can only be silenced`() {
    given(.created, .ownerAdded, .archived).when(Self.create)
      .thenRejected(.archived(.organization))
    let archived = given(.created, .ownerAdded, Self.made(), .archived)
    for command: WebhookEndpointCommand in [
      .change(Self.id, .init(url: "https://example.com/")),
      .rotateSecret(Self.id, to: Self.secret("b"), overlapSeconds: 0),
      .replay(Self.id, fromPosition: 1),
    ] {
      archived.when(Self.command(command)).thenRejected(.archived(.organization))
    }
    archived.when(Self.command(.disable(Self.id, .operator))).then(Self.disabled)
    archived.when(Self.command(.delete(Self.id))).then(Self.deleted)
  }

  @Test func `twenty endpoints are the most, and a deleted one makes room`() {
    var full: [WorkspaceEvent] = [.created, .ownerAdded]
    for number in 1...WebhookEndpoint.mostPerWorkspace {
      full.append(Self.made(WebhookEndpointID(UUID(UInt128(5000 + UInt128(number))))))
    }
    given(full).when(Self.create).thenRejected(.tooManyWebhookEndpoints(20))
    let gone = Self.event(.deleted(.init(endpointID: WebhookEndpointID(UUID(UInt128(5001))))))
    given(full + [gone]).when(Self.create).then(Self.made())
  }

  // MARK: Carried out

  @Test func `an endpoint begins with what happens behind its creation`() {
    let state = given(.created, .ownerAdded).when(Self.create).then(Self.made())
    #expect(state.webhookEndpoints[Self.id]?.start == .init(version: 3, after: nil))
    #expect(state.webhookEndpoints[Self.id]?.disablement == nil)
    given(.created, .ownerAdded, Self.made()).when(Self.create).then()
  }

  @Test
  func `a change says everything as it is from then on, and none that changes nothing is one`() {
    let ready = given(.created, .ownerAdded, Self.made())
    var changed = Self.settings
    changed.description = "Ledger"
    ready.when(Self.command(.change(Self.id, .init(description: "Ledger"))))
      .then(Self.event(.changed(.init(endpointID: Self.id, settings: changed))))
    ready.when(
      Self.command(.change(Self.id, .init(url: Self.settings.url, description: .some(nil))))
    )
    .then()
  }

  @Test
  func
    `a rotated secret signs beside the new one for the overlap, and a second rotation ends that`()
  {
    let until = Scenario.time(4).advanced(by: 60_000_000)
    let rotated = Self.event(
      .secretRotated(
        .init(endpointID: Self.id, secret: Self.secret("b"), formerUntil: until)))
    let state = given(.created, .ownerAdded, Self.made())
      .when(Self.command(.rotateSecret(Self.id, to: Self.secret("b"), overlapSeconds: 60)))
      .then(rotated)
    #expect(state.webhookEndpoints[Self.id]?.secret == Self.secret("b"))
    #expect(
      state.webhookEndpoints[Self.id]?.former == .init(sealed: Self.secret("a"), until: until))
    let again = given(.created, .ownerAdded, Self.made(), rotated)
      .when(Self.command(.rotateSecret(Self.id, to: Self.secret("c"), overlapSeconds: 0)))
      .then(
        Self.event(
          .secretRotated(
            .init(endpointID: Self.id, secret: Self.secret("c"), formerUntil: nil))))
    #expect(again.webhookEndpoints[Self.id]?.former == nil)
  }

  @Test func `disabling and enabling twice is once`() {
    given(.created, .ownerAdded, Self.made(), Self.disabled)
      .when(Self.command(.disable(Self.id, .gone))).then()
    given(.created, .ownerAdded, Self.made()).when(
      Self.command(.enable(Self.id, skipsMissed: true))
    ).then()
    let state = given(.created, .ownerAdded, Self.made(), Self.disabled)
      .when(Self.command(.enable(Self.id, skipsMissed: false))).then(Self.enabled)
    #expect(state.webhookEndpoints[Self.id]?.disablement == nil)
    #expect(state.webhookEndpoints[Self.id]?.start.version == 3, "it goes on where it stopped")
  }

  @Test func `enabled without what it missed, it begins there`() {
    let enabled = Self.event(.enabled(.init(endpointID: Self.id, skipsMissed: true)))
    let state = given(.created, .ownerAdded, Self.made(), Self.disabled)
      .when(Self.command(.enable(Self.id, skipsMissed: true))).then(enabled)
    #expect(state.webhookEndpoints[Self.id]?.start == .init(version: 5, after: nil))
  }

  @Test func `only the URL that answered that it is gone is disabled for it`() {
    let ready = given(.created, .ownerAdded, Self.made())
    ready.when(
      Self.command(.disable(Self.id, .gone, answeredAt: "https://example.com/before")), by: .system
    ).then()
    ready.when(
      Self.command(.disable(Self.id, .gone, answeredAt: Self.settings.url)), by: .system
    ).then(Self.event(.disabled(.init(endpointID: Self.id, reason: .gone))))
  }

  @Test func `a replay begins with the position that it names, each time`() {
    let replayed = Self.event(.replayed(.init(endpointID: Self.id, fromPosition: 7)))
    let state = given(.created, .ownerAdded, Self.made(), replayed)
      .when(Self.command(.replay(Self.id, fromPosition: 7))).then(replayed)
    #expect(state.webhookEndpoints[Self.id]?.start == .init(version: 5, after: 6))
  }

  @Test func `the log cannot speak of an endpoint that there is not, or twice of its creation`() {
    given(.created, .ownerAdded).thenCannotFold(Self.disabled)
    given(.created, .ownerAdded, Self.made()).thenCannotFold(Self.made())
    given(.created, .ownerAdded, Self.made(), Self.deleted).thenCannotFold(Self.deleted)
  }

  // MARK: Types

  @Test(arguments: [
    ("*", "project.created", true), ("project.*", "project.created", true),
    ("project.created", "project.created", true), ("project.created", "project.archived", false),
    ("project.*", "projects.created", false), ("project.*", "project", false),
    ("organization.*", "project.created", false),
  ])
  func `a pattern is all, a subject or a type`(pattern: String, type: String, matches: Bool) {
    #expect(EventTypeFilter(["member.added", pattern]).matches(type) == matches)
  }

  /// A developer may point an endpoint anywhere, so it tells nothing that a developer may not read.
  @Test func `webhooks carry what every role may read that may set up endpoints`() throws {
    for type in WorkspaceEvent.payloadTypes.map({ $0.type }) {
      let permission = try #require(WorkspaceEvent.permissionToRead(eventOfType: type))
      let subject = type.prefix { $0 != "." }
      let isOfWorkspaces = subject != "account" && subject != "gateway_token"
      #expect(
        EventTypeFilter.deliverableTypes.contains(type)
          == (isOfWorkspaces && Role.developer.may(permission)), "\(type)")
    }
    for pattern in [
      "invitation.*", "invitation.created", "service_token.*", "service_token.revoked",
    ] {
      #expect(!EventTypeFilter.isKnown(pattern), "\(pattern)")
    }
    #expect(EventTypeFilter.deliverableTypes.contains("project.created"))
  }

  @Test func `known are the types of what happens to workspaces, and no others`() {
    for pattern in ["*", "project.*", "webhook_endpoint.disabled", "organization.plan_changed"] {
      #expect(EventTypeFilter.isKnown(pattern))
    }
    for pattern in [
      "account.erased", "account.*", "gateway_token.created", "project", "project.",
      "project.create",
      "", ".*", "**", "*.created", "PROJECT.*",
    ] {
      #expect(!EventTypeFilter.isKnown(pattern), "\(pattern)")
    }
  }
}
