import Domain
import Hummingbird
import JSON
import NIOCore

extension Member {
  /// The membership as callers see it.
  func json(userID: UserID) -> JSONObject {
    var object = JSONObject()
    object.set("user_id", userID.description)
    object.set("role", role.rawValue)
    object.set("version", version)
    object.set("created_at", createdAt.rfc3339)
    object.set("updated_at", updatedAt.rfc3339)
    return object
  }
}

extension MemberProfile {
  /// The membership with whose it is, which only reads tell: the log knows no names.
  var json: JSONObject {
    var object = member.json(userID: userID)
    object.set("name", name)
    object.set("email", email)
    return object
  }
}

/// The body of `PATCH …/members/{user}`.
struct ChangeRolePayload {
  let role: Role

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let role = reader.choice("role", of: Role.self)
    try reader.finish()
    guard let role else { throw Problem(.invalidRequest) }
    self.role = role
  }
}

/// The body of `POST …/transfer-ownership`.
struct TransferOwnershipPayload {
  let userID: UserID

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let userID = reader.id("user_id", of: User.self)
    try reader.finish()
    guard let userID else { throw Problem(.invalidRequest) }
    self.userID = userID
  }
}

extension Role {
  var permissionsJSON: JSONArray {
    var permissions = JSONArray()
    for permission in Permission.allCases where may(permission) {
      permissions.append(permission.rawValue)
    }
    return permissions
  }
}

/// `GET /v1/roles`: the table of permissions by role, as the check goes by it.
enum RolePayloads {
  static let roles: Reply = {
    var data = JSONArray()
    for role in Role.allCases {
      var object = JSONObject()
      object.set("role", role.rawValue)
      object.set("permissions", role.permissionsJSON)
      data.append(object)
    }
    var body = JSONObject()
    body.set("data", data)
    return .json(body.bytes())
  }()
}
