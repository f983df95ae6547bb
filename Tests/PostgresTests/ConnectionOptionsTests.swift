import Testing

@testable import Postgres

struct ConnectionOptionsTests {
  @Test(arguments: [
    "postgres://me:s3cret@db.example:6432/app?sslmode=verify-full",
    "host=db.example port=6432 dbname=app user=me password=s3cret sslmode=verify-full",
  ])
  func `both spellings are read, and neither shows the password`(text: String) throws {
    let options = try ConnectionOptions(text)
    #expect(
      options.description
        == "host=db.example port=6432 dbname=app user=me sslmode=verify-full")
    #expect(!"\(options)".contains("s3cret"))
    #expect(options["password"] == "s3cret")
  }

  @Test func `what libpq does not understand is refused without being repeated`() throws {
    let error = #expect(throws: PostgresError.self) {
      try ConnectionOptions("host=x pasword=s3cret")
    }
    #expect(error?.description.contains("s3cret") == false)
    #expect(error?.kind == .misuse)
  }

  @Test func `not even a dump shows the password`() throws {
    let options = try ConnectionOptions("password=s3cret")
    var text = ""
    dump(options, to: &text)
    #expect(!text.contains("s3cret"))
    #expect(!String(reflecting: options).contains("s3cret"))
  }

  @Test func `a statement of the setup that fails is a refusal`() async throws {
    var options = try await TestServer.administrator
    options.setup = ["SET ROLE no_such_role"]
    let connection = Connection(options: options, name: "setup")
    let error = await #expect(throws: PostgresError.self) {
      try await connection.execute("SELECT 1")
    }
    #expect(error?.kind == .connectFailed)
    await connection.close()
  }
}
