import FoundationEssentials
import FuzzTargets
import Support
import Testing

/// The inputs of `make fuzz` in an ordinary build: the seeds, and everything that once ended a process.
@Suite struct CorpusTests {
  @Test(arguments: FuzzTarget.all.map(\.name))
  func `every input of the corpus is read or refused`(name: String) throws {
    let target = try #require(FuzzTarget.named(name))
    let folder = "Tests/Fuzz/corpus/\(name)"
    let files = try Repository.list(folder)
    #expect(!files.isEmpty, "a target has seeds")
    for file in files { mutate(try Repository.read("\(folder)/\(file)"), target) }
  }

  /// The input, what it begins with, and what it is with one byte changed.
  private func mutate(_ input: [UInt8], _ target: FuzzTarget) {
    target.body(input)
    for end in input.indices.prefix(512) { target.body(Array(input[..<end])) }
    for place in input.indices.prefix(256) {
      for byte: UInt8 in [0x00, 0x0A, 0x20, 0x22, 0x2A, 0x2D, 0x30, 0x39, 0x5C, 0x7F, 0x80, 0xFF] {
        var changed = input
        changed[place] = byte
        target.body(changed)
      }
    }
  }

  @Test func `every folder of the corpus is some target's`() throws {
    #expect(try Set(Repository.list("Tests/Fuzz/corpus")) == Set(FuzzTarget.all.map(\.name)))
  }
}
