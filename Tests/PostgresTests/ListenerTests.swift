import Testing

@testable import Postgres

struct ListenerTests {
  @Test func `notifications arrive in order, and a reconnect is told`() async throws {
    try await TestServer.withConnection { connection, options in
      let listener = Listener(options: options, channels: ["news", "odd \"name"])
      var events = listener.events.makeAsyncIterator()
      #expect(await events.next() == .reconnected)
      for n in 0..<100 { try await connection.execute("SELECT pg_notify('news', \("\(n)"))") }
      for n in 0..<100 {
        #expect(await events.next() == .notification(channel: "news", payload: "\(n)"))
      }
      try await connection.execute(
        """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%listener'
        """)
      #expect(await events.next() == .reconnected)
      try await connection.execute("SELECT pg_notify('odd \"name', 'after')")
      #expect(await events.next() == .notification(channel: "odd \"name", payload: "after"))
      await listener.close()
      #expect(await events.next() == nil)
    }
  }

  @Test func `a consumer that falls behind is told that it missed something`() async throws {
    try await TestServer.withConnection { connection, options in
      let listener = Listener(options: options, channels: ["flood"])
      var events = listener.events.makeAsyncIterator()
      #expect(await events.next() == .reconnected)
      try await connection.execute(
        "SELECT pg_notify('flood', n::text) FROM generate_series(1, 3000) AS n")
      try await Task.sleep(for: .milliseconds(500))
      var received = 0
      var isTold = false
      while !isTold, let event = await events.next() {
        if event == .reconnected { isTold = true } else { received += 1 }
      }
      #expect(isTold)
      #expect(received >= 1000 && received < 3000)
      await listener.close()
    }
  }
}
