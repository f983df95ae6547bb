import Domain

extension ExchangeContext {
  /// The id that stands in the path for a parameter of its template.
  ///
  /// - Throws: a ``Problem`` of 404 when what stands there can be no such id: then there is nothing that has it.
  func id<Entity: Identified>(
    _ parameter: String, of type: Entity.Type = Entity.self
  ) throws(Problem) -> TypeID<Entity> {
    guard let id = pathParameters[parameter].flatMap(TypeID<Entity>.init) else {
      throw Problem(.notFound)
    }
    return id
  }
}
