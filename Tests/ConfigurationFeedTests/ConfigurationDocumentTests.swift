import ConfigurationFeed
import Domain
import JSON
import Testing

struct ConfigurationDocumentTests {
  @Test func `the empty document`() throws {
    let empty = ConfigurationDocument()
    #expect(text(empty.bytes()) == #"{"format":1,"position":0,"organizations":{}}"#)
    #expect(try document(text(empty.bytes())) == empty)
  }

  @Test func `a document is read and written, whatever the order and the white space`() throws {
    let read = try document(
      """
      { "organizations" : {
          "\(organization2)": {"plan": "free"},
          "\(organization1)":
          {"projects": {"\(project2)": { "environment":"live" }, "\(project1)": {}}, "plan":"plus"} } ,
        "later": [1, {"x": "}"}], "position": 7,\t"format": 1 }\r\n
      """)
    #expect(
      text(read.bytes())
        == #"{"format":1,"position":7,"later":[1,{"x":"}"}],"organizations":{"#
        + #""\#(organization1)":{"projects":{"\#(project1)":{},"\#(project2)":{"environment":"live"}},"plan":"plus"},"#
        + #""\#(organization2)":{"projects":{},"plan":"free"}}}"#)
    #expect(try document(text(read.bytes())) == read)
    #expect(read.project(project2, of: organization1).map(text) == #"{"environment":"live"}"#)
    #expect(read.settings(of: organization1).map(text) == #"{"plan":"plus"}"#)
    #expect(read.project(project1, of: organization2) == nil)
    #expect(read.projectCount == 2)
  }

  @Test(arguments: [
    ("", JSONSyntaxError(kind: .prematureEnd, line: 1, column: 1)),
    ("{", .init(kind: .prematureEnd, line: 1, column: 2)),
    (#"{"format":1"#, .init(kind: .prematureEnd, line: 1, column: 12)),
    (#"{"format":1,}"#, .init(kind: .syntax, line: 1, column: 13)),
    (#"{"format" 1}"#, .init(kind: .syntax, line: 1, column: 11)),
    (#"{"format":1,"format":1}"#, .init(kind: .duplicateKey, line: 1, column: 22)),
    ("{\"format\":1,\n \"x\":[1 2]}", .init(kind: .syntax, line: 2, column: 9)),
    ("{\"format\":1,\"é\":tru}", .init(kind: .syntax, line: 1, column: 19)),
    (#"{"format":1,"position":1}}"#, .init(kind: .trailingData, line: 1, column: 26)),
    (#"{"format":1,"x\#u{0}":1}"#, .init(kind: .syntax, line: 1, column: 15)),
  ])
  func `what is not JSON is refused where it is wrong`(json: String, error: JSONSyntaxError) {
    #expect(throws: ConfigurationError.syntax(error)) { try document(json) }
  }

  @Test(arguments: [
    ("[]", "", "must be an object"),
    (#"{"format":1}"#, "/position", "is required"),
    (#"{"format":1,"position":-1}"#, "/position", "must be an integer that is not negative"),
    (#"{"format":1,"position":1,"organizations":[]}"#, "/organizations", "must be an object"),
    (
      #"{"format":1,"position":1,"organizations":{"org_x":{}}}"#, "/organizations",
      "the members' names must be ids that start with org_"
    ),
    (
      #"{"format":1,"position":1,"organizations":{"\#(organization1)":null}}"#,
      "/organizations/\(organization1)", "must be an object"
    ),
    (
      #"{"format":1,"position":1,"organizations":{"\#(organization1)":{"projects":{"\#(project1)":1}}}}"#,
      "/organizations/\(organization1)/projects/\(project1)", "must be an object"
    ),
    (
      #"{"format":1,"position":1,"organizations":{"\#(organization1)":{"projects":{"\#(project1)":{"a":{"b":null}}}}}}"#,
      "/organizations/\(organization1)/projects/\(project1)/a/b",
      "must not be null: what there is none of is absent"
    ),
  ])
  func `what is no document is refused with its place`(
    json: String, pointer: String, reason: String
  ) {
    #expect(throws: ConfigurationError.invalid(pointer: pointer, reason: reason)) {
      try document(json)
    }
  }

  @Test(arguments: [
    #"{"position":1}"#, #"{"format":2,"position":1}"#, #"{"format":"1","position":1}"#,
  ])
  func `another format is refused`(json: String) {
    #expect(throws: ConfigurationError.unknownFormat) { try document(json) }
  }

  @Test func `every prefix of a document is refused`() throws {
    var random = SeededGenerator(state: 3)
    let bytes = tree(random.organizations(), at: 5).bytes()
    for count in bytes.indices {
      #expect(throws: ConfigurationError.self) {
        try ConfigurationDocument(parsing: Array(bytes[..<count]))
      }
    }
  }

  @Test func `a document with one byte changed is read as JSON is read, or refused`() throws {
    var random = SeededGenerator(state: 4)
    let bytes = tree(random.organizations(), at: 5).bytes()
    for _ in 0..<1_000 {
      var changed = bytes
      changed[Int.random(in: 0..<bytes.count, using: &random)] =
        Array(#"{}[]",: 0a\"#.utf8).randomElement(using: &random)!
      if let read = try? ConfigurationDocument(parsing: changed) {
        var whole = try JSONObject(parsing: changed)
        if !whole.contains("organizations") { whole.set("organizations", JSONObject()) }
        #expect(try JSONObject(parsing: read.bytes()) == normalized(whole))
      }
    }
  }

  @Test func `random patches: the same as a merge of the whole tree`() throws {
    var random = SeededGenerator(state: 7)
    var organizations = random.organizations()
    var whole = tree(organizations, at: 1)
    var read = try ConfigurationDocument(parsing: whole.bytes())
    for position in Int64(2)..<2_000 {
      let next = random.organizations()
      for (id, json) in next where random.chance(2) { organizations[id] = json }
      for id in organizations.keys where next[id] == nil && random.chance(4) {
        organizations[id] = nil
      }
      let target = tree(organizations, at: position)
      let patch = MergePatch.difference(from: whole, to: target)
      try read.apply(patch.bytes(), at: position)
      whole = MergePatch.apply(patch, to: whole)
      #expect(whole == target)
      if position % 50 == 0 {
        #expect(try JSONObject(parsing: read.bytes()) == whole)
        #expect(try ConfigurationDocument(parsing: whole.bytes()) == read)
      }
    }
    #expect(try ConfigurationDocument(parsing: whole.bytes()) == read)
  }

  @Test func `null removes: a project, all projects, an organization, all`() throws {
    var read = try document(
      #"{"format":1,"position":1,"organizations":{"\#(organization1)":{"plan":"plus","projects":{"\#(project1)":{},"\#(project2)":{}}},"\#(organization2)":{}}}"#
    )
    func apply(_ patch: String) throws { try read.apply(Array(patch.utf8), at: read.position + 1) }
    try apply(#"{"organizations":{"\#(organization1)":{"projects":{"\#(project1)":null}}}}"#)
    #expect(read.projectIDs(of: organization1) == [project2])
    try apply(#"{"organizations":{"\#(organization1)":{"projects":null,"plan":null}}}"#)
    #expect(read.projectIDs(of: organization1) == [])
    #expect(read.settings(of: organization1).map(text) == "{}")
    try apply(#"{"organizations":{"\#(organization1)":null}}"#)
    #expect(Set(read.organizationIDs) == [organization2])
    try apply(#"{"organizations":null}"#)
    #expect(read == ConfigurationDocument(position: 5))
  }

  @Test func `a patch of what is not there makes it, without its nulls`() throws {
    var read = ConfigurationDocument()
    try read.apply(
      Array(
        #"{"position":9,"organizations":{"\#(organization1)":{"plan":"plus","x":{"y":null},"projects":{"\#(project1)":{"a":null,"b":1},"\#(project2)":null}}}}"#
          .utf8),
      at: 9)
    #expect(
      text(read.bytes())
        == #"{"format":1,"position":9,"organizations":{"\#(organization1)":{"projects":{"\#(project1)":{"b":1}},"plan":"plus","x":{}}}}"#
    )
  }

  @Test(arguments: [
    (
      #"{"organizations":[]}"#,
      ConfigurationError.invalid(pointer: "/organizations", reason: "must be an object")
    ),
    (#"{"format":2}"#, .unknownFormat),
    (#"{"format":null}"#, .unknownFormat),
    (
      #"{"position":3}"#,
      .invalid(pointer: "/position", reason: "must be the position of the change")
    ),
    ("{", .syntax(JSONSyntaxError(kind: .prematureEnd, line: 1, column: 1))),
    ("[]", .syntax(JSONSyntaxError(kind: .syntax, line: 1, column: 1))),
    (
      #"{"organizations":{"\#(organization2)":{"plan":"free"},"\#(organization1)":{"projects":{"\#(project1)":{"a":1},"\#(project2)":7}}}}"#,
      .invalid(
        pointer: "/organizations/\(organization1)/projects/\(project2)", reason: "must be an object"
      )
    ),
    (
      #"{"organizations":{"\#(organization1)":{"projects":{"\#(project1)":{"a":[null]}}}}}"#,
      .invalid(
        pointer: "/organizations/\(organization1)/projects/\(project1)/a/0",
        reason: "must not be null: what there is none of is absent")
    ),
  ])
  func `a patch that cannot be applied changes nothing`(
    patch: String, error: ConfigurationError
  ) throws {
    var read = try document(
      #"{"format":1,"position":1,"organizations":{"\#(organization1)":{"projects":{"\#(project1)":{}}}}}"#
    )
    let before = read
    let thrown = #expect(throws: ConfigurationError.self) {
      try read.apply(Array(patch.utf8), at: 2)
    }
    if case .syntax(let syntax) = thrown, case .syntax(let expected) = error {
      #expect(syntax.kind == expected.kind)
    } else {
      #expect(thrown == error)
    }
    #expect(read == before)
  }

  @Test(arguments: [Int64(0), 4, 5])
  func `a patch that is not newer is refused`(position: Int64) {
    var read = ConfigurationDocument(position: 5)
    #expect(throws: ConfigurationError.notNewer(than: 5)) {
      try read.apply(Array("{}".utf8), at: position)
    }
  }

  @Test func `organizations that are stored elsewhere are put in their places`() throws {
    var random = SeededGenerator(state: 12)
    let organizations = random.organizations()
    var built = ConfigurationDocument()
    for (id, json) in organizations { try built.set(id, to: json, at: 3) }
    #expect(try ConfigurationDocument(parsing: tree(organizations, at: 3).bytes()) == built)
    for id in organizations.keys { try built.set(id, to: nil, at: 4) }
    #expect(built == ConfigurationDocument(position: 4))
  }

  @Test func `a copy does not change with the original`() throws {
    var random = SeededGenerator(state: 13)
    let copy = try ConfigurationDocument(parsing: tree(random.organizations(), at: 1).bytes())
    let bytes = copy.bytes()
    var original = copy
    try original.apply(Array(#"{"organizations":null}"#.utf8), at: 2)
    #expect(copy.bytes() == bytes)
  }

  /// With the members that a document always has.
  private func normalized(_ whole: JSONObject) -> JSONObject {
    var whole = whole
    var organizations = whole.object("organizations") ?? JSONObject()
    for name in organizations.names {
      var organization = organizations.object(name) ?? JSONObject()
      if !organization.contains("projects") { organization.set("projects", JSONObject()) }
      organizations.set(key: name, organization)
    }
    whole.set("organizations", organizations)
    return whole
  }
}
