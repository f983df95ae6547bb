import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import NIOFoundationCompat

// The names of everybody's JSON are written in snake case.

extension Response {
  init(
    _ value: some Encodable, status: HTTPResponse.Status = .ok, type: String = "application/json",
    headers: HTTPFields = [:]
  ) throws {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.dateEncodingStrategy = .iso8601
    var headers = headers
    headers[.contentType] = type
    self.init(
      status: status, headers: headers,
      body: ResponseBody(byteBuffer: ByteBuffer(data: try encoder.encode(value))))
  }
}

extension Decodable {
  /// Nil when it is none.
  init?(json: ByteBuffer) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let value = try? decoder.decode(Self.self, from: Data(json.readableBytesView)) else {
      return nil
    }
    self = value
  }
}
