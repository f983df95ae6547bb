import Domain
import FoundationEssentials
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Postgres

/// `…/request-logs:export`: all records with some filters, streamed.
struct RequestLogExportRoutes: RouteGroup {
  let services: Services

  private static let pageSize: Int64 = 1000
  /// For the whole of it, and for each page.
  private static let time: Duration = .seconds(3600)
  private static let pageTime: Duration = .seconds(10)

  private enum Format: String, CaseIterable {
    case ndjson, csv

    var mediaType: String {
      switch self {
      case .ndjson: "application/x-ndjson"
      case .csv: "text/csv"
      }
    }

    var contentType: String {
      switch self {
      case .ndjson: mediaType
      case .csv: "text/csv; charset=utf-8; header=present"
      }
    }
  }

  func add(to router: APIRouter) {
    router.get("/v1/organizations/{organization}/request-logs:export", use: export)
  }

  private func export(request: Request, context: APIContext) async throws -> Response {
    let member = try await services.authorizer.member(request, context, may: .requestLogRead)
    let query = QueryReader(request)
    let format = query.choice("format", of: Format.self) ?? .ndjson
    let filter = RequestLogTable.Filter(query)
    try query.finish()
    if let accept = request.headers[.accept], !MediaTypes.accepts([format.mediaType], accept) {
      throw Problem(.notAcceptable, "the reply is \(format.mediaType)")
    }
    let work = services.longWork
    let slot = try work.exports.take(for: member.organizationID)
    let start = Pages(
      organization: member.organizationID, filter: filter,
      oldest: try await member.oldestEvidence(services.plans), reads: member.reads, work: work)
    let name = "request-logs-\(member.organizationID).\(format.rawValue)"
    var response = Response(
      status: .ok,
      headers: [
        .contentType: format.contentType, .cacheControl: "no-store",
        .contentDisposition: "attachment; filename=\"\(name)\"",
      ])
    response.body = ResponseBody { writer in
      var pages = start
      defer { slot.release() }
      if format == .csv { try await writer.write(ByteBuffer(string: RequestLogCSV.header)) }
      do {
        while let page = try await pages.next() {
          try await writer.write(Self.lines(page, format, pages.organization, on: work.threads))
        }
      } catch let error as PostgresError {
        // The status is sent already: JSON has a last line for it, CSV has none and ends before its end.
        guard format == .ndjson else { throw error }
        try await writer.write(ByteBuffer(bytes: error.problem.lastLine))
      }
      try await writer.finish(nil)
    }
    return response
  }

  /// Away from the event loop, whose other connections would have to wait, and no longer than the client is there.
  private static func lines(
    _ page: Rows, _ format: Format, _ organization: OrganizationID, on threads: BackgroundThreads
  ) async throws -> ByteBuffer {
    try await withTaskExecutorPreference(threads) {
      var buffer = ByteBuffer()
      for (index, row) in page.enumerated() {
        if index % 64 == 0 { try Task.checkCancellation() }
        let log = try RequestLogRow(row).log.json(organizationID: organization)
        switch format {
        case .ndjson: buffer.writeBytes(log.bytes() + [UInt8(ascii: "\n")])
        case .csv: buffer.writeString(RequestLogCSV.line(log))
        }
      }
      return buffer
    }
  }

  /// One page after the other, so that memory does not grow with what is exported.
  private struct Pages: Sendable {
    let organization: OrganizationID
    let filter: RequestLogTable.Filter
    let oldest: Timestamp
    let reads: Reads
    let work: LongWork

    private var last: RequestLogID?
    private var isOver = false
    private let end = ContinuousClock.now + RequestLogExportRoutes.time

    init(
      organization: OrganizationID, filter: RequestLogTable.Filter, oldest: Timestamp,
      reads: Reads, work: LongWork
    ) {
      self.organization = organization
      self.filter = filter
      self.oldest = oldest
      self.reads = reads
      self.work = work
    }

    mutating func next() async throws -> Rows? {
      guard !isOver else { return nil }
      let query = RequestLogTable.list(
        in: organization, filter, since: oldest, after: last,
        limit: RequestLogExportRoutes.pageSize)
      let rows = try await reads.extended(to: min(end, .now + RequestLogExportRoutes.pageTime))
        .rows(query, over: work.pages)
      isOver = rows.count < Int(RequestLogExportRoutes.pageSize)
      guard let row = rows.last else { return nil }
      last = RequestLogID(try row.decode(UUID.self, column: "log_id"))
      return rows
    }
  }
}
