import FoundationEssentials
package import JSON
import Yams

/// `openapi.yaml`, as far as tests hold the server against it.
package struct Contract: Sendable {
  /// One operation of the contract.
  package struct Operation: Sendable {
    package let id: String
    package let method: String
    /// With its parameters in braces.
    package let path: String
    package let value: JSONValue
    /// Whether it asks for a token.
    package let isSecured: Bool

    /// Whether it belongs to one workspace.
    package var isTenant: Bool { path.contains("{organization}") }

    /// What it needs: `none`, `authenticated`, `person`, `platform-admin`, or a permission in the workspace.
    package var permission: String { value["x-permission"]?.string ?? "" }

    /// Whether it keeps nothing of what it is sent in the log, and so knows no dry run.
    package var isReadOnly: Bool {
      method == "GET" || permission == "gateway" || value["x-read-only"] == .bool(true)
    }

    /// Whether it is about one project of the workspace.
    package var isOfOneProject: Bool { path.contains("{project}") }

    /// Whether it can be read as it was at an earlier moment.
    package var takesAsOf: Bool {
      (value["parameters"]?.array ?? []).contains {
        $0["$ref"] == .string("#/components/parameters/AsOf") || $0["name"] == .string("as_of")
      }
    }

    /// Whether only a person can do it, whatever role a service token has.
    package var isForPersons: Bool { value["x-person"] == .bool(true) }

    /// Whether platform admins may, who are no members.
    package var isForPlatformAdmins: Bool { value["x-platform-admin"] == .bool(true) }
  }

  package static let current = Result { try Contract(yaml: Repository.read("openapi.yaml")) }

  package let operations: [Operation]
  private let schema: JSONSchema

  /// Reads a contract.
  ///
  /// - Throws: when it is not YAML.
  package init(yaml: [UInt8]) throws {
    let node = try Yams.compose(yaml: String(decoding: yaml, as: UTF8.self))
    let document = node.map { JSONValue($0) } ?? .null
    schema = JSONSchema(document: document)
    let methods: Set = ["get", "put", "post", "patch", "delete"]
    operations = (document["paths"]?.object ?? [:]).sorted { $0.key < $1.key }.flatMap {
      path, item in
      (item.object ?? [:]).filter { methods.contains($0.key) }.sorted { $0.key < $1.key }.map {
        Operation(
          id: $1["operationId"]?.string ?? "", method: $0.uppercased(), path: path, value: $1,
          isSecured: $1["security"]?.array?.isEmpty != true)
      }
    }
  }

  /// What is wrong with a reply; empty when the contract knows it.
  package func violations(_ method: String, _ target: String, _ reply: HTTPReply) -> [String] {
    let method = method == "HEAD" ? "GET" : method
    let path = target.prefix { $0 != "?" }
    let operation = operations.first { $0.method == method && Self.path(path, matches: $0.path) }
    let global = schema.document["x-signalbox-global-responses"]
    let status = "\(reply.status)"
    let described =
      operation?.value["responses"]?[status] ?? global?[status]
      ?? (operation == nil && status == "404" ? Self.notFound : nil)
    guard let response = described.map(schema.resolved) else {
      return ["\(method) \(target): \(status) is not in the contract"]
    }
    return (headers(response["headers"], reply) + content(response["content"], reply))
      .map { "\(method) \(target) → \(status) \($0)" }
  }

  private static let notFound = JSONValue.object([
    "$ref": .string("#/components/responses/NotFound")
  ])

  private func headers(_ headers: JSONValue?, _ reply: HTTPReply) -> [String] {
    (headers?.object ?? [:]).flatMap { name, value -> [String] in
      let header = schema.resolved(value)
      guard let text = reply[name] else {
        return header["required"] == .bool(true) ? ["lacks the header \(name)"] : []
      }
      let rule = header["schema"] ?? .null
      let isNumber = schema.resolved(rule)["type"] == .string("integer")
      let number = isNumber ? Int64(text).map { JSONValue.integer($0) } : nil
      return schema.violations(number ?? .string(text), of: rule, at: name)
    }
  }

  private func content(_ content: JSONValue?, _ reply: HTTPReply) -> [String] {
    guard let content = content?.object else {
      return reply.body.isEmpty ? [] : ["has a body that the contract does not know"]
    }
    let type = String((reply["content-type"] ?? "").prefix { $0 != ";" })
    guard let media = content[type] else { return ["has the undescribed type '\(type)'"] }
    guard let rule = media["schema"], type.hasSuffix("json") else { return [] }
    guard !reply.body.isEmpty else { return [] }
    if type == "application/x-ndjson" {
      let lines = reply.body.split(separator: UInt8(ascii: "\n"))
      return lines.flatMap { line in
        (try? JSONValue.parse(Array(line))).map { schema.violations($0, of: rule) } ?? [
          "is not JSON"
        ]
      }
    }
    do {
      return schema.violations(try JSONValue.parse(reply.body), of: rule)
    } catch {
      return ["is not JSON: \(error)"]
    }
  }

  private static func path(_ path: Substring, matches template: String) -> Bool {
    let (path, template) = (path.split(separator: "/"), template.split(separator: "/"))
    return path.count == template.count
      && zip(path, template).allSatisfy { segment($0, matches: $1) }
  }

  /// A parameter may have a verb behind it, which another one's value never ends in: ids have no colons.
  private static func segment(_ segment: Substring, matches template: Substring) -> Bool {
    guard template.first == "{", let end = template.lastIndex(of: "}") else {
      return segment == template
    }
    let verb = template[template.index(after: end)...]
    return verb.isEmpty ? !segment.contains(":") : segment.hasSuffix(verb)
  }
}

extension JSONValue {
  /// What YAML 1.2's core schema makes of a node, without dates.
  fileprivate init(_ node: Node) {
    switch node {
    case .mapping(let mapping):
      let members = mapping.map { ($0.key.string ?? "", JSONValue($0.value)) }
      self = .object(Dictionary(members) { $1 })
    case .sequence(let sequence): self = .array(sequence.map { JSONValue($0) })
    case .scalar(let scalar):
      if scalar.style != .plain {
        self = .string(scalar.string)
      } else if let number = Int64(scalar.string) {
        self = .integer(number)
      } else {
        switch scalar.string {
        case "true": self = .bool(true)
        case "false": self = .bool(false)
        case "null", "~", "": self = .null
        default: self = .string(scalar.string)
        }
      }
    case .alias: self = .null
    }
  }
}
