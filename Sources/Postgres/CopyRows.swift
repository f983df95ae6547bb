package import FoundationEssentials

/// Rows for `COPY … FROM STDIN (FORMAT binary)`, written value by value into one buffer: for many rows at a time, none of
/// which costs an allocation. Types must be exactly the table's.
///
/// Source: PostgreSQL 15 documentation, COPY, Binary Format.
package struct CopyRows: Sendable {
  private static let header: [UInt8] =
    Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  private static let trailer: [UInt8] = [0xFF, 0xFF]
  private static let chunkSize = 256 << 10

  private var bytes: [UInt8] = []

  package init() {}

  /// How many bytes there are: where the next row begins.
  package var count: Int { bytes.count }

  package mutating func beginRow(columns: Int) {
    append(bigEndian: Int16(columns))
  }

  package mutating func appendNull() { append(bigEndian: Int32(-1)) }

  package mutating func append(_ uuid: UUID?) {
    guard let uuid else { return appendNull() }
    append(bigEndian: Int32(16))
    withUnsafeBytes(of: uuid.uuid) { bytes.append(contentsOf: $0) }
  }

  package mutating func append(_ number: Int64?) {
    guard let number else { return appendNull() }
    append(bigEndian: Int32(8))
    append(bigEndian: number)
  }

  package mutating func append(_ number: Int32?) {
    guard let number else { return appendNull() }
    append(bigEndian: Int32(4))
    append(bigEndian: number)
  }

  /// `timestamptz`: microseconds since 2000-01-01.
  package mutating func append(_ time: TimestampTZ) {
    append(Int64?(time.microsecondsSinceUnixEpoch - TimestampTZ.postgresEpoch))
  }

  /// `text`, in UTF-8 without U+0000.
  package mutating func append(text: UnsafeRawBufferPointer) {
    append(bigEndian: Int32(text.count))
    bytes.append(contentsOf: text)
  }

  package mutating func append(text: String?) {
    guard var text else { return appendNull() }
    text.withUTF8 { append(text: UnsafeRawBufferPointer($0)) }
  }

  /// `inet`: one address, most significant bit first; IPv4 in the lowest 32 of them.
  package mutating func append(address: UInt128, isIPv4: Bool) {
    let size = isIPv4 ? 4 : 16
    append(bigEndian: Int32(4 + size))
    // Family as PostgreSQL numbers them, length of the prefix, no cidr, length of the address.
    bytes += [isIPv4 ? 2 : 3, UInt8(8 * size), 0, UInt8(size)]
    withUnsafeBytes(of: address.bigEndian) { bytes.append(contentsOf: $0.suffix(size)) }
  }

  /// Takes back what was written behind that place.
  package mutating func removeAll(behind place: Int) {
    bytes.removeLast(bytes.count - place)
  }

  /// Writes the first column of the row that begins there once more.
  package mutating func replaceFirstColumn(ofRowAt place: Int, with uuid: UUID) {
    // Behind the number of columns and the column's length.
    withUnsafeBytes(of: uuid.uuid) { bytes.replaceSubrange(place + 6..<place + 22, with: $0) }
  }

  /// Everything that a copy of some of the rows sends, in pieces.
  ///
  /// - Parameter ranges: where these rows are, in order.
  package func chunks(of ranges: [Range<Int>]) -> () -> [UInt8]? {
    var pieces = ranges.flatMap { range in
      stride(from: range.lowerBound, to: range.upperBound, by: Self.chunkSize).map {
        $0..<min($0 + Self.chunkSize, range.upperBound)
      }
    }[...]
    var isBegun = false
    var isOver = false
    return {
      guard isBegun else {
        isBegun = true
        return Self.header
      }
      if let piece = pieces.popFirst() { return Array(bytes[piece]) }
      defer { isOver = true }
      return isOver ? nil : Self.trailer
    }
  }

  private mutating func append(bigEndian number: some FixedWidthInteger) {
    withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
  }
}
