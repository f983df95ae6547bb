import FoundationEssentials
import Support
import Testing

@testable import Domain

let openAIKey = ProviderKeyID(UUID(UInt128(3001)))
let anthropicKey = ProviderKeyID(UUID(UInt128(3002)))

extension WorkspaceEvent {
  static func keySet(
    _ fingerprint: String = "a", sealed: String = "s1", version: Int64 = 1,
    id: ProviderKeyID = openAIKey, provider: String = "openai", in project: ProjectID = assistant
  ) -> Self {
    .providerKey(
      .set(
        .init(
          keyID: id, projectID: project, provider: Provider(provider)!,
          secret: ProviderKeyTests.secret(fingerprint, sealed: sealed, version: version))))
  }
  static let providerStep = Self.onboarding(
    .advanced(.init(from: .projectCreated, to: .providerConnected)))
}

@Suite struct ProviderKeyTests {
  static func secret(
    _ fingerprint: String = "a", sealed: String = "s1", version: Int64 = 1
  ) -> ProviderKey.Secret {
    ProviderKey.Secret(
      sealed: SealedKey(envelope: sealed, keyVersion: version), fingerprint: fingerprint,
      lastFour: "4fGh")
  }

  static func set(
    _ fingerprint: String = "a", sealed: String = "s1", id: ProviderKeyID = openAIKey,
    provider: String = "openai", in project: ProjectID = assistant, mayReplace: Bool = false
  ) -> WorkspaceCommand {
    .providerKey(
      .set(
        id, project: project, provider: Provider(provider)!, secret(fingerprint, sealed: sealed),
        mayReplace: mayReplace))
  }

  static func rewrap(
    from former: String = "s1", to sealed: String = "s2", id: ProviderKeyID = openAIKey
  ) -> WorkspaceCommand {
    .providerKey(
      .rewrap(
        id, from: SealedKey(envelope: former, keyVersion: 1),
        to: SealedKey(envelope: sealed, keyVersion: 2)))
  }
  static func rewrapped(_ sealed: String = "s2") -> WorkspaceEvent {
    .providerKey(
      .rewrapped(
        .init(keyID: openAIKey, sealed: SealedKey(envelope: sealed, keyVersion: 2))))
  }
  static let delete = WorkspaceCommand.providerKey(.delete(openAIKey))
  static let deleted = WorkspaceEvent.providerKey(.deleted(.init(keyID: openAIKey)))

  /// On a plan that has the provider, with the project.
  static var ready: Scenario { given(.created, .ownerAdded, .onPlan(.plus), .projectCreated) }

  // MARK: Refused

  @Test func `only a project that there is, and that is not archived, has keys`() {
    given(.created, .ownerAdded, .onPlan(.plus)).when(Self.set())
      .thenRejected(.notFound(.project))
    given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .projectArchived)
      .when(Self.set()).thenRejected(.archived(.project))
    given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .archived).when(Self.set())
      .thenRejected(.archived(.organization))
  }

  @Test func `a provider that the plan does not have is refused with the plan that has it`() {
    let free = given(.created, .ownerAdded, .startsFree, .projectCreated)
    free.when(Self.set(provider: "openai")).thenRejected(
      .providerMissing(.init(provider: Provider("openai")!, plan: .free, upgrade: .plus)))
    free.when(Self.set(provider: "groq")).thenRejected(
      .providerMissing(.init(provider: Provider("groq")!, plan: .free, upgrade: .business)))
    free.when(Self.set(provider: "openrouter")).then(
      .keySet(provider: "openrouter"), .providerStep)
    given(.created, .ownerAdded, .onPlan(.business), .projectCreated)
      .when(Self.set(provider: "groq")).then(.keySet(provider: "groq"), .providerStep)
  }

  @Test func `after a downgrade the key that is there stays, and no other comes`() {
    let scenario = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet(), .startsFree)
    #expect(scenario.workspace.providerKeys[openAIKey] != nil)
    scenario.when(Self.set()).thenNothing()
    scenario.when(Self.set("b", mayReplace: true)).thenRejected(
      .providerMissing(.init(provider: Provider("openai")!, plan: .free, upgrade: .plus)))
    scenario.when(Self.delete).then(Self.deleted)
  }

  @Test func `nobody replaces what they do not know of`() {
    let scenario = given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet())
    scenario.when(Self.set("b")).thenRejected(.versionRequired(.providerKey))
    scenario.when(Self.set("b", mayReplace: true)).then(.keySet("b"))
  }

  @Test func `a project has keys for so many providers`() throws {
    var workspace = given(.created, .ownerAdded, .onPlan(.business), .projectCreated).workspace
    for number in 0..<ProviderKey.mostPerProject {
      try workspace.fold(
        .keySet(id: ProviderKeyID(UUID(UInt128(9000 + number))), provider: "p\(number)"))
    }
    let one = Self.set(provider: "one-more")
    #expect(throws: Rejection.tooManyProviderKeys(100)) { try workspace.answer(one) }
    try workspace.fold(.otherCreated)
    #expect(try workspace.answer(Self.set(in: other)) == [.keySet(in: other)])
  }

  @Test func `what is not there is neither deleted nor rewrapped`() {
    Self.ready.when(Self.delete).thenRejected(.notFound(.providerKey))
    Self.ready.when(Self.rewrap()).thenRejected(.notFound(.providerKey))
  }

  // MARK: Set, replaced, gone

  @Test func `the first key connects the provider, the next one does not`() throws {
    let workspace = Self.ready.when(Self.set()).then(.keySet(), .providerStep)
    let key = try #require(workspace.providerKeys[openAIKey])
    #expect(key.version == 1)
    #expect(key.secret == Self.secret())
    #expect(workspace.onboarding?.step == .providerConnected)
    given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet(), .providerStep)
      .when(Self.set(id: anthropicKey, provider: "anthropic"))
      .then(.keySet(id: anthropicKey, provider: "anthropic"))
  }

  @Test func `the same key again is nothing, however it is sealed`() {
    given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet())
      .when(Self.set(sealed: "another envelope")).thenNothing()
  }

  @Test func `another key replaces it`() throws {
    let workspace = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet(), .keySet("b", sealed: "s2")
    ).workspace
    let key = try #require(workspace.providerKeys[openAIKey])
    #expect(key.version == 2)
    #expect(key.secret == Self.secret("b", sealed: "s2"))
    #expect(key.createdAt == Scenario.time(5))
    #expect(key.updatedAt == Scenario.time(6))
  }

  @Test(arguments: [WorkspaceEvent.projectArchived, .archived])
  func `a key can always be taken away and rewrapped`(end: WorkspaceEvent) {
    let scenario = given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet(), end)
    let after = scenario.when(Self.delete).then(Self.deleted)
    #expect(after.providerKeys.isEmpty)
    scenario.when(Self.rewrap()).then(Self.rewrapped())
  }

  // MARK: Rewrapped

  @Test func `a newer envelope changes nothing that the key is`() throws {
    let scenario = given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet())
    let workspace = scenario.when(Self.rewrap()).then(Self.rewrapped())
    let key = try #require(workspace.providerKeys[openAIKey])
    #expect(key.secret == Self.secret(sealed: "s2", version: 2))
    #expect(key.version == 2)
    #expect(key.updatedAt == key.createdAt)
  }

  @Test func `whoever replaced the key meanwhile wins`() {
    let scenario = given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet(),
      .keySet("b", sealed: "replaced"))
    scenario.when(Self.rewrap()).thenNothing()
  }

  @Test func `rewrapping again is nothing`() {
    given(
      .created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet(), Self.rewrapped()
    ).when(Self.rewrap()).thenNothing()
  }

  // MARK: The fold

  @Test func `a log that contradicts itself stops the fold`() {
    Self.ready.thenCannotFold(Self.deleted)
    Self.ready.thenCannotFold(Self.rewrapped())
    let scenario = given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet())
    scenario.thenCannotFold(.keySet("b", provider: "anthropic"))
    scenario.thenCannotFold(.keySet("b", in: other))
  }

  @Test func `a state with keys survives being stored`() throws {
    let state = given(.created, .ownerAdded, .onPlan(.plus), .projectCreated, .keySet()).workspace
    let stored = try JSONEncoder().encode(state)
    #expect(try JSONDecoder().decode(Workspace.self, from: stored) == state)
  }

  // MARK: Names

  @Test(arguments: [
    "a", "0", "-", "_x", "openai", "azure-openai_2", String(repeating: "a", count: 50),
  ])
  func `the name of a provider`(name: String) {
    #expect(Provider(name)?.description == name)
  }

  @Test(arguments: [
    "", "*", "OpenAI", " openai", "https://api.openai.com", "open ai", "openai\n", "öpenai", "a/b",
    "a.b", "a\0",
    String(repeating: "a", count: 51),
  ])
  func `no name of a provider`(name: String) {
    #expect(Provider(name) == nil)
  }

  @Test(arguments: [
    ("openai", "openai"), ("OpenAI", "openai"), ("AZURE-OpenAI_2", "azure-openai_2"), ("*", "*"),
  ])
  func `rules read a provider in any case, or any provider`(text: String, canonical: String) {
    #expect(ProviderPattern(text)?.description == canonical)
    #expect(ProviderPattern(text) == ProviderPattern(canonical))
  }

  @Test(arguments: [
    "", " openai", "openai ", "https://api.openai.com", "**", "open*", "öpenai", "open\u{212A}ai",
    "a.b",
    "openai\u{0}", String(repeating: "a", count: 51),
  ])
  func `what no provider can be called is none`(text: String) {
    #expect(ProviderPattern(text) == nil)
    #expect(Rule.Match(.model, "gpt-*", provider: text) == nil)
  }
}
