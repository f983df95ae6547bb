import Domain
import FoundationEssentials
import Hummingbird
import Postgres

/// `/v1/organizations/{organization}/projects`: create, get, list, change, archive, and the panic mode.
struct ProjectRoutes: RouteGroup {
  let services: Services

  func add(to router: APIRouter) {
    let projects = "/v1/organizations/{organization}/projects"
    router.post("\(projects)", use: create)
    router.get("\(projects)", use: list)
    router.get("\(projects)/{project}", use: get)
    router.patch("\(projects)/{project}", use: change)
    router.post("\(projects)/{project}/archive", use: archive)
    router.put("\(projects)/{project}/panic-mode", use: setPanicMode)
  }

  private func create(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .projectWrite, ifMatch: .ignored)
    let payload = try CreateProjectPayload(context.body)
    let id = ProjectID(Identifiers.next())
    return try await change.carryOut(
      .project(.create(id, name: payload.name, environment: payload.environment)))
  }

  private func list(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .projectRead)
    let organization = member.organizationID
    let query = QueryReader(request)
    let environment = query.choice("environment", of: Project.Environment.self)
    let archived = query.choice("archived", of: Flag.self)?.isTrue
    let moment = query.asOf()
    let page = try Page(
      query,
      scope: """
        projects \(organization) \(environment?.rawValue ?? "") \(archived.debugDescription) \
        \(moment.debugDescription)
        """, sealer: services.cursors)
    let rows: [ProjectRow]
    if let moment {
      let past = try await WorkspaceHistory.workspace(
        organization, asOf: moment, member.reads)
      rows = past.projects(
        of: organization, environment: environment, archived: archived,
        among: member.projectIDs, after: page.afterID, limit: Int(page.fetchLimit))
    } else {
      rows = try await member.reads.rows(
        ProjectTable.list(
          in: organization, environment: environment, archived: archived,
          among: member.projectIDs, after: page.afterID.map { ProjectID($0) },
          limit: page.fetchLimit)
      ).map { try ProjectRow($0) }
    }
    return page.reply(rows) {
      $0.project.json(id: $0.id, organizationID: organization)
    } place: {
      $0.id.uuid.place
    }
  }

  private func get(request: Request, context: APIContext) async throws -> Reply {
    let member = try await services.authorizer.member(request, context, may: .projectRead)
    let organization = member.organizationID
    let id = try context.id("project", of: Project.self)
    let moment = try QueryReader.asOf(request)
    if let moment {
      let past = try await WorkspaceHistory.workspace(
        organization, asOf: moment, member.reads)
      guard let project = past.projects[id] else { throw Problem(.notFound) }
      return try project.rendered(id, organization).reply(to: request)
    }
    let found = try await member.resource(
      .projects, id.uuid, ProjectTable.find(id, in: organization)
    ) { try ProjectRow($0).project.rendered(id, organization) }
    return try found.reply(to: request)
  }

  private func change(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .projectWrite, ifMatch: .required)
    let id = try context.id("project", of: Project.self)
    let payload = try ChangeProjectPayload(context.body)
    return try await change.carryOut(
      .project(
        .change(
          id, name: payload.name, thresholds: payload.thresholds, budgets: payload.budgets)))
  }

  private func archive(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .projectWrite, ifMatch: .required)
    let id = try context.id("project", of: Project.self)
    try NoPayload.check(context.body)
    return try await change.carryOut(.project(.archive(id)))
  }

  /// Takes no If-Match: stopping traffic never waits for anybody.
  private func setPanicMode(request: Request, context: APIContext) async throws -> Reply {
    let change = try await ChangeRequest(
      request, context, services, may: .panicModeWrite, ifMatch: .ignored)
    let id = try context.id("project", of: Project.self)
    let payload = try PanicModePayload(context.body, now: change.time)
    return try await change.carryOut(
      .project(
        .setPanicMode(
          id, enabled: payload.enabled, reason: payload.reason, until: payload.until)))
  }
}

extension Reads {
  /// A project, for features that stand on one.
  ///
  /// - Throws: a ``Problem`` of 404 when there is none.
  func project(_ id: ProjectID, in organization: OrganizationID) async throws -> Project {
    guard let row = try await rows(ProjectTable.find(id, in: organization)).first else {
      throw Problem(.notFound)
    }
    return try ProjectRow(row).project
  }
}

extension Project {
  fileprivate func rendered(_ id: ProjectID, _ organization: OrganizationID) -> RenderedResource {
    RenderedResource(json(id: id, organizationID: organization), version: version)
  }
}

extension Workspace {
  /// What ``ProjectTable/list(in:environment:archived:among:after:limit:)`` would have found at this state.
  fileprivate func projects(
    of organization: OrganizationID, environment: Project.Environment?, archived: Bool?,
    among ids: Set<ProjectID>?, after: UUID?, limit: Int
  ) -> [ProjectRow] {
    projects
      .filter { id, project in
        (after.map { id.uuid < $0 } ?? true)
          && (ids?.contains(id) ?? true)
          && (environment.map { $0 == project.environment } ?? true)
          && (archived.map { $0 == (project.archivedAt != nil) } ?? true)
      }
      .sorted { $0.key.uuid > $1.key.uuid }
      .prefix(limit)
      .map { ProjectRow(organizationID: organization, id: $0.key, project: $0.value) }
  }
}
