import FoundationEssentials
import Support
import Testing

@testable import Domain

@Suite struct TypeIDTests {
  private enum Thing: Identified {
    static let idPrefix = "prefix"
  }

  /// From `valid.yml` of the TypeID specification, version 0.3.
  static let examples = [
    ("prefix_00000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
    ("prefix_00000000000000000000000001", "00000000-0000-0000-0000-000000000001"),
    ("prefix_0000000000000000000000000a", "00000000-0000-0000-0000-00000000000a"),
    ("prefix_0000000000000000000000000g", "00000000-0000-0000-0000-000000000010"),
    ("prefix_00000000000000000000000010", "00000000-0000-0000-0000-000000000020"),
    ("prefix_7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ("prefix_0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
    ("prefix_01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
  ]

  @Test(arguments: examples)
  func `the specification's examples read and write`(text: String, uuid: String) throws {
    let id = try #require(TypeID<Thing>(text))
    #expect(id.uuid == UUID(uuidString: uuid))
    #expect(id.description == text)
  }

  @Test(arguments: [
    "", "_", "prefix", "prefix_", "01h455vb4pex5vsknk084sn02q", "_01h455vb4pex5vsknk084sn02q",
    "other_01h455vb4pex5vsknk084sn02q", "PREFIX_01h455vb4pex5vsknk084sn02q",
    "prefix-01h455vb4pex5vsknk084sn02q", "prefix_prefix_01h455vb4pex5vsknk084sn02q",
    "prefix_01h455vb4pex5vsknk084sn02", "prefix_01h455vb4pex5vsknk084sn02qq",
    "prefix_01H455VB4PEX5VSKNK084SN02Q", "prefix_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "prefix_01h455vb4pex5vsknk084sn02i", "prefix_01h455vb4pex5vsknk084sn02l",
    "prefix_01h455vb4pex5vsknk084sn02o", "prefix_01h455vb4pex5vsknk084sn02u",
    "prefix_01h455vb4pex5vsknk084sn02\u{0}", "prefix_01h455vb4pex5vsknk084sn02é",
    " prefix_01h455vb4pex5vsknk084sn02q", "prefix_01h455vb4pex5vsknk084sn02q ",
    "prefix_01h455vb4pex5vsknk084sn0 q", "prefix_01h455vb4p-x5vsknk084sn02q",
  ])
  func `anything else is no id`(text: String) {
    #expect(TypeID<Thing>(text) == nil)
  }

  @Test func `a project's id is not a user's`() {
    #expect(UserID(assistant.description) == nil)
    #expect(ProjectID(assistant.description) == assistant)
  }

  @Test func `what is written is read again`() {
    var random = SeededGenerator(seed: 20_261_124)
    for _ in 0..<1000 {
      let uuid = UUID.version7(
        at: Timestamp(clamping: .random(in: 0...1 << 50, using: &random)), using: &random)
      #expect(TypeID<Thing>(TypeID<Thing>(uuid).description)?.uuid == uuid)
    }
  }

  @Test func `ids sort like the UUIDs that they stand for`() {
    var random = SeededGenerator(seed: 7)
    let ids = (0..<100).map { _ in
      TypeID<Thing>(
        .version7(
          at: Timestamp(clamping: .random(in: 0...1 << 50, using: &random)), using: &random))
    }
    #expect(ids.sorted { $0.uuid < $1.uuid } == ids.sorted { $0.description < $1.description })
  }
}
