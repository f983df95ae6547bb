import JSON

extension IdentityProvider {
  /// Reads the configuration of all issuers:
  ///
  ///     {"providers": [{"issuer": "https://id.example.com", "audience": "signalbox",
  ///                     "jwks_url": "https://id.example.com/keys", "algorithms": ["ES256"]}]}
  ///
  /// `audience` may be an array; `jwks_url` and `algorithms` may be left out. Unknown members are refused.
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
      of: json, except: ["issuer", "audience", "jwks_url", "algorithms"])
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
      issuer: issuer, audiences: audiences, jwksURL: url?.string, algorithms: algorithms)
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
      throw .init(unknown, "is unknown")
    }
  }
}
