import JSON

extension IdentityProvider {
  /// Reads the configuration of all issuers:
  ///
  ///     {"providers": [{"issuer": "https://id.example.com", "audience": "signalbox",
  ///                     "jwks_url": "https://id.example.com/keys", "algorithms": ["ES256"],
  ///                     "trusts_email": false, "token_types": ["at+jwt"]}]}
  ///
  /// `audience` may be an array, and all that follows it may be left out. `token_types` lists what the header's `typ` may
  /// be, and null where it may be absent. Unknown members are refused.
  ///
  /// - Throws: `IdentityConfigurationError`, which names the member.
  package static func list(
    parsing bytes: [UInt8]
  ) throws(IdentityConfigurationError) -> [IdentityProvider] {
    let root: JSONValue
    do throws(JSONSyntaxError) {
      root = try JSONValue.parse(bytes)
    } catch {
      throw .init("", "the file is not strict JSON: \(error)")
    }
    try refuseUnknownMembers(of: root, except: ["providers"])
    guard let members = root["providers"]?.array, !members.isEmpty else {
      throw .init("providers", "is not a non-empty array")
    }
    var providers: [IdentityProvider] = []
    for (index, member) in members.enumerated() {
      let path = "providers[\(index)]"
      do throws(IdentityConfigurationError) {
        let provider = try IdentityProvider(member)
        guard !providers.contains(where: { $0.issuer == provider.issuer }),
          provider.issuer != LocalIssuer.issuer
        else { throw .init("issuer", "is taken already") }
        providers.append(provider)
      } catch {
        throw .init(error.member.isEmpty ? path : "\(path).\(error.member)", error.reason)
      }
    }
    return providers
  }

  private init(_ json: JSONValue) throws(IdentityConfigurationError) {
    try Self.refuseUnknownMembers(
      of: json,
      except: [
        "issuer", "audience", "jwks_url", "algorithms", "trusts_email", "token_types",
      ])
    guard let issuer = json["issuer"]?.string else { throw .init("issuer", "is not a string") }
    var algorithms = Set(SignatureAlgorithm.allCases)
    if let member = json["algorithms"] {
      let names = try Self.strings(member, called: "algorithms")
      algorithms = Set(names.compactMap(SignatureAlgorithm.init))
      guard algorithms.count == names.count else {
        throw .init("algorithms", "may hold only RS256, ES256 and EdDSA, each once")
      }
    }
    let audience = json["audience"] ?? .null
    let audiences: [String]
    if let only = audience.string {
      audiences = [only]
    } else {
      audiences = try Self.strings(audience, called: "audience")
    }
    let url = json["jwks_url"]
    guard url == nil || url?.string != nil else { throw .init("jwks_url", "is not a string") }
    try self.init(
      issuer: issuer, audiences: audiences, jwksURL: url?.string, algorithms: algorithms,
      trustsEmail: try Self.flag(json["trusts_email"], called: "trusts_email"),
      tokenTypes: try Self.types(json["token_types"]))
  }

  private static func flag(
    _ json: JSONValue?, called member: String
  ) throws(IdentityConfigurationError) -> Bool {
    switch json {
    case nil: false
    case .bool(let flag): flag
    default: throw .init(member, "is not true or false")
    }
  }

  private static func types(
    _ json: JSONValue?
  ) throws(IdentityConfigurationError) -> Set<String?> {
    guard let json else { return [accessTokenType] }
    var types: Set<String?> = []
    for item in json.array ?? [] {
      let type: String?
      switch item {
      case .null: type = nil
      // At most what a media type's name has (RFC 6838, section 4.2).
      case .string(let text)
      where !text.isEmpty && text.utf8.count <= 127 && text.utf8.allSatisfy({ 0x21...0x7E ~= $0 }):
        type = UnverifiedToken.typeName(text)
      default: throw .init("token_types", "may hold only types such as at+jwt, and null")
      }
      guard types.insert(type).inserted else {
        throw .init("token_types", "holds \(type ?? "null") twice")
      }
    }
    guard json.array != nil else { throw .init("token_types", "is not an array") }
    return types
  }

  private static func strings(
    _ json: JSONValue, called member: String
  ) throws(IdentityConfigurationError) -> [String] {
    let strings = json.array?.compactMap(\.string)
    guard let strings, strings.count == json.array?.count else {
      throw .init(member, "is not an array of strings")
    }
    return strings
  }

  private static func refuseUnknownMembers(
    of json: JSONValue, except known: Set<String>
  ) throws(IdentityConfigurationError) {
    guard let object = json.object else { throw .init("", "is not an object") }
    if let unknown = object.keys.filter({ !known.contains($0) }).min() {
      throw .init(unknown, "is unknown; known are \(known.sorted().joined(separator: ", "))")
    }
  }
}
