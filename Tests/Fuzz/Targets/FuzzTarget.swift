/// One reader of bytes that come from outside, as libFuzzer and the replay of the corpus call it.
///
/// A body ends the process when the reader traps, or when what it read is not what the reader's documentation promises.
/// Whatever the reader refuses is fine.
package struct FuzzTarget: Sendable {
  /// The corpus is the folder of this name.
  package let name: String
  package let body: @Sendable ([UInt8]) -> Void

  init(_ name: String, _ body: @escaping @Sendable ([UInt8]) -> Void) {
    self.name = name
    self.body = body
  }

  package static let all: [FuzzTarget] =
    documents + values + headers + credentials + bodies

  package static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// Ends the process unless a promise holds: a fuzzer has no other way to learn of it.
func promise(_ holds: Bool, _ what: @autoclosure () -> String) {
  if !holds { fatalError("a promise is broken: \(what())") }
}

extension [UInt8] {
  /// As text, if it is text: what reads strings never sees anything else.
  var text: String? { String(validating: self, as: UTF8.self) }

  /// What lies before the first line feed, and behind it: for targets that read two things.
  var halves: (first: [UInt8], second: [UInt8]) {
    let end = firstIndex(of: UInt8(ascii: "\n")) ?? endIndex
    return (Array(self[..<end]), Array(self[end...].dropFirst()))
  }
}
