import HTTPTypes
import Hummingbird
import NIOCore

/// `/openapi.yaml`: the contract, as it stands in the repository.
struct DocumentRoutes: RouteGroup {
  func add(to router: APIRouter) {
    let body = ByteBuffer(bytes: PackageResources.openapi_yaml)
    router.get("/openapi.yaml") { _, _ in
      Reply(body: body, contentType: HTTPField(name: .contentType, value: "application/yaml"))
    }
  }
}
