import CLibPQ

/// Where and how to connect, in libpq's own terms: TLS and its checks are libpq's.
///
/// Source of keywords: PostgreSQL 15 documentation, 34.1.2 Parameter Key Words. What is not given
/// comes from libpq's environment variables and defaults.
package struct ConnectionOptions: Sendable, CustomStringConvertible, CustomReflectable {
  private var values = [
    "application_name": "signalbox",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "2000",
    // Only with it does every text arrive in the one encoding that String has.
    "client_encoding": "UTF8",
  ]
  /// Statements that are run on every new session, such as `SET ROLE …`.
  package var setup: [String] = []
  /// For everything until a session can be used, `setup` included; looking up a name is not.
  package var connectTimeout: Duration = .seconds(5)

  /// libpq's defaults: nothing but what its environment variables say.
  package init() {}

  /// Reads a `postgres://` URL or a `key=value` string.
  ///
  /// Throws ``PostgresError/Kind/misuse``, without repeating the string, when libpq refuses it.
  package init(_ conninfo: String) throws(PostgresError) {
    var message: UnsafeMutablePointer<CChar>?
    guard let parsed = PQconninfoParse(conninfo, &message) else {
      // libpq's message quotes the string, and so perhaps a password.
      PQfreemem(message)
      throw PostgresError(.misuse, reason: "not a connection string that libpq understands")
    }
    defer { PQconninfoFree(parsed) }
    var option = parsed
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val {
        values[String(cString: keyword)] = String(cString: value)
      }
      option += 1
    }
    values["client_encoding"] = "UTF8"
    if let seconds = values["connect_timeout"].flatMap(Int.init), seconds > 0 {
      connectTimeout = .seconds(seconds)
    }
  }

  /// The value of a libpq keyword such as `dbname`.
  package subscript(keyword: String) -> String? {
    get { values[keyword] }
    set { values[keyword] = newValue }
  }

  package var applicationName: String {
    get { values["application_name"] ?? "" }
    set { values["application_name"] = newValue }
  }

  /// Names the database, whoever connects to it and how.
  package var databaseName: String { describe(["host", "hostaddr", "port", "dbname"]) }

  /// Names the server, database and user; never a password.
  package var description: String {
    describe(["host", "hostaddr", "port", "dbname", "user", "sslmode"])
  }

  private func describe(_ keywords: [String]) -> String {
    keywords.compactMap { keyword in values[keyword].map { "\(keyword)=\($0)" } }
      .joined(separator: " ")
  }

  package var customMirror: Mirror { Mirror(self, children: ["description": description]) }

  /// Calls libpq's function that takes arrays of keywords and values.
  func withKeywordsAndValues<Result>(
    _ body: (
      UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<UnsafePointer<CChar>?>
    ) -> Result
  ) -> Result {
    let pairs = Array(values)
    let keywords = pairs.map { UnsafePointer<CChar>(copy($0.key)) } + [nil]
    let contents = pairs.map { UnsafePointer<CChar>(copy($0.value)) } + [nil]
    defer { for pointer in keywords + contents { pointer?.deallocate() } }
    return body(keywords, contents)
  }

  private func copy(_ text: String) -> UnsafePointer<CChar> {
    let bytes = text.utf8CString
    let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    bytes.withUnsafeBufferPointer { pointer.initialize(from: $0.baseAddress!, count: $0.count) }
    return UnsafePointer(pointer)
  }
}
