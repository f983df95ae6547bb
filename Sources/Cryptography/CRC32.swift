/// The cyclic redundancy check of zlib, PNG and Ethernet (polynomial 0x04C11DB7, reflected): finds
/// typing errors in a key before the database is asked. It authenticates nothing.
package enum CRC32 {
  package static func checksum(_ bytes: [UInt8]) -> UInt32 {
    var sum: UInt32 = ~0
    for byte in bytes { sum = table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ (sum >> 8) }
    return ~sum
  }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { rest, _ in
      rest & 1 == 1 ? (rest >> 1) ^ 0xEDB8_8320 : rest >> 1
    }
  }
}
