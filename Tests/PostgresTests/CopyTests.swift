import FoundationEssentials
import Testing

@testable import Postgres

struct CopyTests {
  @Test func `binary rows copied in are the rows copied out`() async throws {
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TABLE t (id uuid, n int8, name text)")
      let ids = (0..<10_000).map { _ in UUID() }
      let copied = try await connection.run(deadline: soon()) { session in
        var next = 0
        var copy = BinaryCopy()
        return try session.copyIn("COPY t FROM STDIN (FORMAT binary)", deadline: soon()) {
          guard next <= ids.count else { return nil }
          while next < ids.count, copy.count < 10_000 {
            copy.append(row: ids[next], next, next % 7 == 0 ? nil as String? : "name \(next)")
            next += 1
          }
          if next == ids.count {
            next += 1
            return copy.take() + BinaryCopy.trailer
          }
          return copy.take()
        }
      }
      #expect(copied == ids.count)
      let rows = try await connection.execute("SELECT id, n, name FROM t ORDER BY n")
      for (n, row) in rows.enumerated() {
        let (id, number, name) = try row.decode((UUID, Int, String?).self)
        #expect(id == ids[n] && number == n && name == (n % 7 == 0 ? nil : "name \(n)"))
      }
      let (count, text) = try await connection.run(deadline: soon()) { session in
        var text: [UInt8] = []
        let count = try session.copyOut(
          "COPY (SELECT n FROM t ORDER BY n LIMIT 3) TO STDOUT", deadline: soon()
        ) { text += $0 }
        return (count, text)
      }
      #expect(count == 3)
      #expect(text == Array("0\n1\n2\n".utf8))
    }
  }

  /// When the rest of a chunk went out in between, nobody was to wait for an answer that does not come.
  @Test func `a copy of large chunks never waits for nothing`() async throws {
    let chunk = Array(String(repeating: "123456789012345\n", count: 16_384).utf8)
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TEMPORARY TABLE t (n int8)")
      for _ in 0..<100 {
        let copied = try await connection.run(deadline: soon()) { session in
          var left = 5
          return try session.copyIn("COPY t FROM STDIN", deadline: soon()) {
            left -= 1
            return left >= 0 ? chunk : nil
          }
        }
        #expect(copied == 5 * 16_384)
        try await connection.execute("TRUNCATE t")
      }
    }
  }

  @Test func `a source that fails copies nothing and leaves the session usable`() async throws {
    struct Broken: Error {}
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TABLE t (n int8)")
      let backend = try await connection.backend()
      await #expect(throws: Broken.self) {
        try await connection.run(deadline: soon()) { session in
          var sent = 0
          try session.copyIn("COPY t FROM STDIN", deadline: soon()) {
            sent += 1
            if sent > 3 { throw Broken() }
            return Array("\(sent)\n".utf8)
          }
        }
      }
      #expect(try await connection.execute("SELECT FROM t").isEmpty)
      #expect(try await connection.backend() == backend)
    }
  }

  @Test func `bad rows and bad statements are the server's errors`() async throws {
    try await TestServer.withConnection { connection, _ in
      try await connection.execute("CREATE TABLE t (n int8)")
      let bad = try await kind {
        try await connection.run(deadline: soon()) { session in
          var chunks = [Array("no number\n".utf8)]
          return try session.copyIn("COPY t FROM STDIN", deadline: soon()) { chunks.popLast() }
        }
      }
      #expect(bad == .server(SQLState(rawValue: "22P02")))
      let missing = try await kind {
        try await connection.run(deadline: soon()) { session in
          try session.copyOut("COPY missing TO STDOUT", deadline: soon()) { _ in }
        }
      }
      #expect(missing == .server(.undefinedTable))
      #expect(try await connection.execute("SELECT 1").count == 1)
    }
  }
}
