import JSON
import Testing

struct FuzzTests {
  @Test func `random bytes are read or refused, never anything else`() throws {
    var random = SeededGenerator(state: 2)
    let alphabet = Array("{}[]\",:\\u0dD8tfnrle-+.1eE \n\u{0}é".utf8) + [0x80, 0xC0, 0xED, 0xFF]
    var readCount = 0
    for _ in 0..<100_000 {
      let bytes = (0..<Int.random(in: 0..<24, using: &random)).map { _ in
        alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
      }
      if try outcome(bytes) { readCount += 1 }
    }
    #expect(readCount > 200)
  }

  @Test func `a valid text with one byte changed is read or refused`() throws {
    var random = SeededGenerator(state: 3)
    for _ in 0..<20_000 {
      var bytes = random.value(depth: 3).canonicalBytes()
      bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
        in: 0...255, using: &random)
      _ = try outcome(bytes)
    }
  }

  @Test func `random values survive writing and reading`() throws {
    var random = SeededGenerator(state: 4)
    for _ in 0..<5_000 {
      let value = random.value(depth: 6)
      #expect(try JSONValue.parse(value.canonicalBytes()) == value)
    }
  }

  @Test func `every prefix of a valid object is refused`() {
    let text = Array(#"{"a":[1,-2.5e3,"\ud83d\ude82é",true,null],"b":{}}"#.utf8)
    for length in text.indices {
      #expect(throws: JSONSyntaxError.self) { try JSONValue.parse(Array(text[..<length])) }
    }
  }

  @Test(arguments: ["1", "-1", "1.", "1e", "1E-", "0.", "1e+"])
  func `numbers of a million digits are read or refused`(start: String) throws {
    let error = #expect(throws: JSONSyntaxError.self) {
      let value = try JSONValue.parse(
        Array((start + String(repeating: "7", count: 1_000_000)).utf8))
      // Those after the point, and those of a negative exponent, only make the number inexact.
      guard case .real(let real) = value, abs(real) < 10 else { return }
      throw JSONSyntaxError(kind: .number, line: 1, column: start.count + 1_000_000)
    }
    #expect(error?.kind == .number)
  }

  @Test func `names that share every prefix and length are stored in linear time`() throws {
    let members = (0..<100_000).map { "\"k\(1_000_000 + $0)\":0" }.joined(separator: ",")
    #expect(try JSONValue.parse(Array("{\(members)}".utf8)).object?.count == 100_000)
  }

  /// Whether the text was read. What was read must be written canonically, once and for all.
  private func outcome(_ bytes: [UInt8]) throws -> Bool {
    do throws(JSONSyntaxError) {
      let canonical = try JSONValue.parse(bytes).canonicalBytes()
      #expect(try JSONValue.parse(canonical).canonicalBytes() == canonical)
      return true
    } catch {
      #expect(error.line >= 1 && error.column >= 1)
      return false
    }
  }
}
