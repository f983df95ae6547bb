/// Builds a one-dimensional array parameter without an intermediate array of values.
///
/// Made for `INSERT … SELECT * FROM unnest($1, $2, …)`, where one statement carries a whole batch.
/// Source: PostgreSQL 15, `array_send` in `src/backend/utils/adt/arrayfuncs.c`.
package struct ArrayBuilder<Element: PostgresEncodable>: Sendable {
  package private(set) var count = 0
  private var hasNull = false
  private var elements: [UInt8] = []

  package init() {}

  /// - Parameter count: how many elements are expected.
  package mutating func reserveCapacity(_ count: Int) {
    elements.reserveCapacity(ArrayFormat.headerSize + count * 20)
  }

  package mutating func append(_ element: Element?) {
    count += 1
    guard let element else {
      hasNull = true
      elements.append(bigEndian: Int32(-1))
      return
    }
    let start = elements.count
    elements.append(bigEndian: Int32(0))
    element.encode(into: &elements)
    elements.store(bigEndian: Int32(elements.count - start - 4), at: start)
  }

  package var parameter: Parameter {
    var bytes: [UInt8] = []
    encode(into: &bytes)
    return Parameter(oid: Element.arrayOID, bytes: bytes)
  }

  func encode(into bytes: inout [UInt8]) {
    bytes.reserveCapacity(bytes.count + ArrayFormat.headerSize + elements.count)
    bytes.append(bigEndian: Int32(count == 0 ? 0 : 1))
    bytes.append(bigEndian: Int32(hasNull ? 1 : 0))
    bytes.append(bigEndian: Element.oid)
    guard count > 0 else { return }
    bytes.append(bigEndian: Int32(count))
    bytes.append(bigEndian: ArrayFormat.lowerBound)
    bytes += elements
  }
}

enum ArrayFormat {
  /// Dimensions, null flag, element type, then one dimension's length and lower bound.
  static let headerSize = 20
  static let lowerBound: Int32 = 1
}

extension [UInt8] {
  fileprivate mutating func store(bigEndian value: Int32, at offset: Int) {
    withUnsafeMutableBytes {
      $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Int32.self)
    }
  }
}
