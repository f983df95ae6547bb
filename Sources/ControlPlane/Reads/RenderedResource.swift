import FoundationEssentials
import Hummingbird
import JSON
import NIOCore

/// A resource in the form in which it is sent, kept so until it changes.
struct RenderedResource: Sendable {
  let version: Int64
  let body: ByteBuffer

  init(_ object: JSONObject, version: Int64) {
    self.version = version
    body = ByteBuffer(bytes: object.bytes())
  }

  /// 200 with the resource, or 304 when the caller has this version already.
  ///
  /// - Throws: a ``Problem`` of 400 when `If-None-Match` is malformed.
  func reply(to request: Request) throws -> Reply {
    let etag = ETag(version: version)
    if try Preconditions(request.headers).isNotModified(etag) { return .notModified(etag) }
    return Reply(body: body, etag: etag)
  }
}

/// One page of a list. A list is asked for one item more than the page holds, which tells whether there is a next page.
struct Page {
  let limit: Int
  private let scope: String
  private let sealer: CursorSealer
  private let after: [UInt8]?

  /// Reads `limit` and `cursor`. The scope names tenant, list and filters: a cursor is good for no other.
  ///
  /// - Throws: a ``Problem`` of 422 when the cursor is not one of this list's.
  init(_ query: QueryReader, scope: String, sealer: CursorSealer) throws {
    limit = query.limit()
    let cursor = query.cursor()
    try query.finish()
    self.scope = scope
    self.sealer = sealer
    after = try cursor.map { try sealer.open($0, scope: scope) }
  }

  /// How many items to ask for.
  var fetchLimit: Int64 { Int64(limit) + 1 }

  /// The id behind which the page begins.
  var afterID: UUID? {
    after.flatMap { $0.count == 16 ? UUID(leading: $0) : nil }
  }

  /// The name behind which the page begins.
  var afterName: String? { after.map { String(decoding: $0, as: UTF8.self) } }

  /// The position behind which the page begins.
  var afterPosition: Int64? {
    guard let after, after.count == 8 else { return nil }
    return after.reduce(0) { $0 << 8 | Int64($1) }
  }

  /// The page, from up to `fetchLimit` items and where each of them stands.
  func reply<Item>(
    _ items: [Item], _ json: (Item) throws -> JSONObject, place: (Item) -> [UInt8]
  ) rethrows -> Reply {
    var data = JSONArray()
    for item in items.prefix(limit) { data.append(try json(item)) }
    var body = JSONObject()
    body.set("data", data)
    let isLast = items.count <= limit
    body.set("next_cursor", isLast ? nil : sealer.seal(place(items[limit - 1]), scope: scope))
    return .json(body.bytes())
  }
}

extension UUID {
  /// The place of what has this id in a list ordered by ids.
  var place: [UInt8] { withUnsafeBytes(of: uuid) { Array($0) } }
}

extension Int64 {
  /// The place of what has this position in a list ordered by positions.
  var place: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}
