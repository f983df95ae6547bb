import CJansson

extension JSONNode {
  /// Compact JSON in UTF-8, to the byte what `json_dumpb` writes with `JSON_COMPACT` (and
  /// `JSON_SORT_KEYS`), which a test holds it to.
  ///
  /// Written here because jansson decodes every character, and formats the address of every
  /// container to look for cycles (our values cannot form one): that took several times as long.
  func bytes(sortingKeys: Bool) -> [UInt8] {
    var writer = JSONWriter(sortingKeys: sortingKeys)
    writer.write(pointer)
    return writer.bytes()
  }
}

/// Each `write` first makes room for the most that it can need, and then stores without checking.
private struct JSONWriter: ~Copyable {
  private let sortingKeys: Bool
  private var start: UnsafeMutablePointer<UInt8>
  private var count = 0
  private var capacity = 1024

  init(sortingKeys: Bool) {
    self.sortingKeys = sortingKeys
    start = .allocate(capacity: capacity)
  }

  deinit { start.deallocate() }

  func bytes() -> [UInt8] { [UInt8](UnsafeBufferPointer(start: start, count: count)) }

  mutating func write(_ node: UnsafeMutablePointer<json_t>) {
    switch node.pointee.type {
    case JSON_OBJECT: writeObject(node)
    case JSON_ARRAY: writeArray(node)
    case JSON_STRING:
      writeString(
        UnsafeRawBufferPointer(start: json_string_value(node), count: json_string_length(node)))
    case JSON_INTEGER: writeInteger(Int64(json_integer_value(node)))
    case JSON_REAL: writeReal(node)
    case JSON_TRUE: writeLiteral("true")
    case JSON_FALSE: writeLiteral("false")
    default: writeLiteral("null")
    }
  }

  private mutating func writeObject(_ object: UnsafeMutablePointer<json_t>) {
    writeLiteral("{")
    if sortingKeys {
      var members: [(name: UnsafeRawBufferPointer, value: UnsafeMutablePointer<json_t>)] = []
      members.reserveCapacity(json_object_size(object))
      forEachMember(of: object) { members.append(($0, $1)) }
      members.sort { $0.name.lexicographicallyPrecedes($1.name) }
      for member in members { writeMember(member.name, member.value) }
    } else {
      forEachMember(of: object) { writeMember($0, $1) }
    }
    close("}")
  }

  private mutating func writeMember(
    _ name: UnsafeRawBufferPointer, _ value: UnsafeMutablePointer<json_t>
  ) {
    writeString(name)
    writeLiteral(":")
    write(value)
    writeLiteral(",")
  }

  private mutating func writeArray(_ array: UnsafeMutablePointer<json_t>) {
    writeLiteral("[")
    for index in 0..<json_array_size(array) {
      guard let element = json_array_get(array, index) else { fatalError("jansson: index") }
      write(element)
      writeLiteral(",")
    }
    close("]")
  }

  /// Ends a container, in place of the comma after its last element.
  private mutating func close(_ bracket: StaticString) {
    if start[count - 1] == UInt8(ascii: ",") { count -= 1 }
    writeLiteral(bracket)
  }

  private mutating func writeString(_ text: UnsafeRawBufferPointer) {
    makeRoom(for: 6 * text.count + 2)  // all of them `\u00XX`, in quotation marks
    store(UInt8(ascii: "\""))
    for byte in text {
      if byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") {
        store(byte)
      } else {
        storeEscape(byte)
      }
    }
    store(UInt8(ascii: "\""))
  }

  private mutating func storeEscape(_ byte: UInt8) {
    store(UInt8(ascii: "\\"))
    switch byte {
    case 0x08: store(UInt8(ascii: "b"))
    case 0x09: store(UInt8(ascii: "t"))
    case 0x0A: store(UInt8(ascii: "n"))
    case 0x0C: store(UInt8(ascii: "f"))
    case 0x0D: store(UInt8(ascii: "r"))
    case 0x00..<0x20:
      let digit = byte & 0x0F
      store(UInt8(ascii: "u"))
      store(UInt8(ascii: "0"))
      store(UInt8(ascii: "0"))
      store(UInt8(ascii: "0") + byte >> 4)
      store(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "A") + digit - 10)
    default: store(byte)
    }
  }

  private mutating func writeInteger(_ value: Int64) {
    makeRoom(for: 20)  // a sign and 19 digits
    if value < 0 { store(UInt8(ascii: "-")) }
    let first = count
    var rest = value.magnitude
    repeat {
      store(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    } while rest > 0
    var digits = UnsafeMutableBufferPointer(start: start + first, count: count - first)
    digits.reverse()
  }

  private mutating func writeReal(_ real: UnsafeMutablePointer<json_t>) {
    makeRoom(for: 32)  // `%.17g` writes at most 24: sign, point, "e-308" and 17 digits
    count += (start + count).withMemoryRebound(to: CChar.self, capacity: 32) {
      json_dumpb(real, $0, 32, Int(JSON_ENCODE_ANY))
    }
  }

  private mutating func writeLiteral(_ text: StaticString) {
    makeRoom(for: text.utf8CodeUnitCount)
    (start + count).initialize(from: text.utf8Start, count: text.utf8CodeUnitCount)
    count += text.utf8CodeUnitCount
  }

  private mutating func store(_ byte: UInt8) {
    start[count] = byte
    count += 1
  }

  private mutating func makeRoom(for more: Int) {
    guard capacity - count < more else { return }
    capacity = max(2 * capacity, count + more)
    let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    larger.initialize(from: start, count: count)
    start.deallocate()
    start = larger
  }
}
