extension UInt8 {
  /// The small letter of a capital of ASCII; every other byte as it is.
  package var asciiLowercased: UInt8 {
    UInt8(ascii: "A")...UInt8(ascii: "Z") ~= self ? self | 0x20 : self
  }
}

extension String {
  /// The same text with small letters in the place of ASCII's capitals. Other alphabets stay as they are: names that
  /// upstreams read in any case are ASCII, and the result must not depend on a version of Unicode.
  package var asciiLowercased: String {
    utf8.contains { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }
      ? String(decoding: utf8.map(\.asciiLowercased), as: UTF8.self) : self
  }
}
