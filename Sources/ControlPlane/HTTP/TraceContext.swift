/// The caller's place in a distributed trace: `traceparent` of W3C Trace Context, level 1.
package struct TraceContext: Equatable, Sendable {
  /// 32 lower-case hexadecimal digits, not all zero.
  package let traceID: String
  /// The caller's span: 16 lower-case hexadecimal digits, not all zero.
  package let parentID: String
  package let isSampled: Bool

  /// Reads a `traceparent` (§3.2). Nil when malformed: the specification says to go on as if there
  /// were none. A later version than 00 is read by its known prefix, version ff never.
  package init?(_ header: String) {
    let bytes = Array(header.utf8)
    let dashes = [2, 35, 52].allSatisfy { bytes.count > $0 && bytes[$0] == UInt8(ascii: "-") }
    guard bytes.count >= 55, dashes,
      let version = Self.hex(bytes[0..<2]), version != "ff",
      version == "00" ? bytes.count == 55 : bytes.count == 55 || bytes[55] == UInt8(ascii: "-"),
      let traceID = Self.hex(bytes[3..<35]), traceID.contains(where: { $0 != "0" }),
      let parentID = Self.hex(bytes[36..<52]), parentID.contains(where: { $0 != "0" }),
      let flags = Self.hex(bytes[53..<55]).flatMap({ UInt8($0, radix: 16) })
    else { return nil }
    self.traceID = traceID
    self.parentID = parentID
    isSampled = flags & 1 == 1
  }

  private static func hex(_ bytes: ArraySlice<UInt8>) -> String? {
    let isHex = bytes.allSatisfy {
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
    }
    return isHex ? String(decoding: bytes, as: UTF8.self) : nil
  }
}
