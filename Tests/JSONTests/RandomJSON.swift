import JSON

/// SplitMix64: the same numbers on every run, so that a failure can be looked into.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

extension SeededGenerator {
  /// Any value that JSON can carry, control characters and U+0000 included.
  mutating func value(depth: Int) -> JSONValue {
    switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &self) {
    case 0: .null
    case 1: .bool(.random(using: &self))
    case 2: .integer(Int64(bitPattern: next()) >> Int64.random(in: 0..<64, using: &self))
    case 3: .real(finiteReal())
    case 4, 5: .string(text(allowsNUL: true))
    case 6: .array((0..<Int.random(in: 0..<6, using: &self)).map { _ in value(depth: depth - 1) })
    default:
      .object(
        Dictionary(
          (0..<Int.random(in: 0..<6, using: &self)).map { _ in
            (text(allowsNUL: false), value(depth: depth - 1))
          }, uniquingKeysWith: { first, _ in first }))
    }
  }

  private mutating func finiteReal() -> Double {
    let real = Double(bitPattern: next())
    return real.isFinite ? real : 0.5
  }

  private mutating func text(allowsNUL: Bool) -> String {
    var text = ""
    for _ in 0..<Int.random(in: 0..<12, using: &self) {
      let limits: [ClosedRange<UInt32>] = [0...0x22, 0x23...0x7F, 0x80...0xD7FF, 0xE000...0x10FFFF]
      let limit = limits[Int.random(in: 0..<4, using: &self)]
      guard let scalar = Unicode.Scalar(UInt32.random(in: limit, using: &self)) else { continue }
      if allowsNUL || scalar.value != 0 { text.unicodeScalars.append(scalar) }
    }
    return text
  }
}

func string(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
