/// What the parameters of a path template stand for in one request.
package struct PathParameters: Sendable {
  private let names: [String]
  private let values: [String]

  /// One value for each name.
  init(names: [String] = [], values: [String] = []) {
    self.names = names
    self.values = values
  }

  /// Nil when the template has no parameter of this name.
  package subscript(name: String) -> String? {
    for (place, known) in names.enumerated() where known == name { return values[place] }
    return nil
  }
}
