import COpenAPI
import HTTPTypes
import Hummingbird
import NIOCore

/// `/openapi.yaml`: the contract, as it stands in the repository.
struct DocumentRoutes: RouteGroup {
  func add(to router: APIRouter) {
    let document = UnsafeRawBufferPointer(
      start: openapi_document(), count: openapi_document_size())
    let body = ByteBuffer(bytes: document)
    router.get("/openapi.yaml") { _, _ in
      Reply(body: body, contentType: HTTPField(name: .contentType, value: "application/yaml"))
    }
  }
}
