"""Makes operations: adds the parameters and replies that follow by rule to those that a part lists."""

from components import dry_run, secret
from parts import Mapping

METHODS = ("get", "post", "put", "patch", "delete")
KEYS = ("operationId", "summary", "description", "parameters", "requestBody", "responses", "links")
# The reply that stands for a status, where an operation names no other one.
PROBLEMS = {
    "304": "NotModified", "400": "BadRequest", "401": "Unauthenticated", "403": "Forbidden", "404": "NotFound",
    "406": "NotAcceptable", "412": "PreconditionFailed", "413": "PayloadTooLarge", "415": "UnsupportedMediaType",
    "422": "Invalid", "428": "PreconditionRequired", "429": "TooManyRequests", "503": "Unavailable"}
# The 409 of a change: a removal works on what is archived too, and a patch or a put has no idempotency key.
CONFLICTS = {"post": "Conflict", "put": "ArchivedConflict", "patch": "ArchivedConflict", "delete": "IdempotencyConflict"}
# The 403 of an operation that belongs to no workspace, by what it needs.
FORBIDDEN = {"authenticated": "DataPlaneOnly", "person": "PersonRequired", "platform-admin": "PlatformRequired",
             "gateway": "GatewayRequired", "none": None}
# The header fields of a reply to what creates something.
CREATED = {"Location": "Location", "ETag": "ETag", "Signalbox-Position": "Position",
           "Idempotency-Replayed": "IdempotencyReplayed"}
REPLAYED = {"Idempotency-Replayed": "IdempotencyReplayed"}
CONDITIONS = ("IfMatch", "IfMatchToReplace", "IfNoneMatch")


class Operations:
    """The operations of all parts, which refer to components."""

    def __init__(self, parts, components):
        self.components, self.sources, self.by_id = components, {}, {}
        self.paths = {}
        for part in parts:
            for path, item in part.get("paths", {}).items():
                for method, operation in item.only(METHODS).items():
                    self.by_id[operation.require("operationId")] = (path, method, operation)
        for part in parts:
            for path, item in part.get("paths", {}).items():
                if path in self.paths:
                    part["paths"].fail(path, "is in another part, too")
                self.paths[path] = self._path(path, item, part)

    def _path(self, path, item, part):
        place, names = part["paths"].place(path), []
        for before, segment in zip(path.split("/"), path.split("/")[1:]):
            if segment.startswith("{"):
                key = f"{before}/{segment.partition(':')[0]}"
                if key not in self.components.ids_in_paths:
                    part["paths"].fail(path, f"no parameter has the path '{key}'")
                names.append(self.components.ids_in_paths[key])
        result = {"parameters": [self.components.parameter(name, place) for name in (*names, "RequestId")]}
        for method, operation in item.items():
            self.sources[path, method] = item.place(method)
            result[method] = self._operation(path, method, operation.only(KEYS), part.require("tag"))
        return result

    def _operation(self, path, method, written, tag):
        permission = written.require("x-permission")
        if "{organization}" not in path and permission not in FORBIDDEN:
            written.fail("x-permission", f"'{permission}' is a permission in a workspace, and the path names none")
        change = method != "get" and not written.get("x-read-only") and permission not in ("none", "gateway")
        parameters = self._parameters(method, written, change)
        result = {"operationId": written["operationId"], "tags": [tag]}
        result |= {key: written.require(key) for key in ("summary", "description")}
        result |= {key: value for key, value in written.items() if key.startswith("x-")}
        if permission == "none":
            result["security"] = []
        if parameters:
            result["parameters"] = [self.components.parameter(one, written.place("parameters")) for one in parameters]
        if "requestBody" in written:
            result["requestBody"] = self.components.body(method, written["requestBody"], written.place("requestBody"))
        result["responses"] = self._responses(path, method, written, permission, change, parameters)
        if "links" in written:
            result["responses"]["201"]["links"] = self._links(path, written)
        return result

    def _parameters(self, method, written, change):
        """The parameters that the part lists, and those that a change, a page or a patch has; conditions come last."""
        own = [one for some in written.get("parameters", []) for one in (some if isinstance(some, list) else [some])]
        reply = written.require("responses").get("200")
        name = reply.get("schema") if isinstance(reply, Mapping) else None
        if method == "get" and isinstance(name, str) and name.isalnum() and "Cursor" not in own:
            schema = self.components.schemas.named(name, reply.place("schema"))
            own += ["Limit", "Cursor"] if "next_cursor" in schema.get("properties", {}) else []
        if method == "patch":
            own.append("IfMatch")
        key = ["IdempotencyKey"] if change and method in ("post", "delete") else []
        return [*(["DryRun"] if change else []), *(one for one in own if one not in CONDITIONS), *key,
                *(one for one in own if one in CONDITIONS)]

    def _responses(self, path, method, written, permission, change, parameters):
        """The replies that the part lists, and those that follow from what the operation takes."""
        replies, secured, has_body = written["responses"], permission != "none", "requestBody" in written
        reads_if = "IfNoneMatch" in parameters
        changes_if = "IfMatch" in parameters or "IfMatchToReplace" in parameters
        occurs = {
            "304": reads_if, "400": has_body or "IdempotencyKey" in parameters or reads_if or changes_if,
            "401": secured, "403": secured, "404": "{" in path, "406": path.startswith("/v1/"), "409": change,
            "412": changes_if, "413": has_body, "415": has_body, "422": path.startswith("/v1/"), "428": changes_if,
            "429": secured, "503": secured}
        usual = PROBLEMS | {"409": CONFLICTS.get(method)}
        if "{organization}" not in path:
            usual["403"] = FORBIDDEN[permission]
        derived = {status: usual[status] for status, does in occurs.items() if does}
        headers = {"200": {"ETag": "ETag"} if reads_if else {}}
        if "201" in replies:
            created = replies["201"].require("schema")
            derived["200"] = Mapping.described("The dry run; nothing was kept.", schema=dry_run(created))
            headers = {"200": REPLAYED, "201": CREATED | secret(created, "NoStore")}
        if method == "delete" and "200" not in replies:
            derived |= {"200": "RemovalDryRun", "204": "Removed"}
        return {
            status: self._response(reply, usual.get(status), headers.get(status, {}), replies.place(status))
            for status, reply in sorted((derived | replies).items())}

    def _response(self, reply, usual, headers, place):
        """A reply: the name of one, a description in place of the usual one's, both, or what is in it."""
        if isinstance(reply, str) and " " in reply:
            reply = {"$ref": usual, "description": reply}
        if isinstance(reply, str):
            return self.components.reference("responses", reply, place)
        if "$ref" in reply:
            return {**reply, **self.components.reference("responses", reply["$ref"], place)}
        return self.components.reply(reply, place, headers)

    def _links(self, path, written):
        """What can be done with what was created. The ids come from the reply's body."""
        result, created = {}, written["responses"]["201"]["schema"]
        for id, link in written["links"].items():
            place, link = written["links"].place(id), Mapping.described(link)
            if id not in self.by_id:
                written["links"].fail(id, "there is no such operation")
            target, method, operation = self.by_id[id]
            members, parameters = self.components.schemas.named(created, place)["properties"], {}
            for one in (segment[1:].partition("}")[0] for segment in target.split("/") if segment.startswith("{")):
                is_above = f"{{{one}}}" in path or f"{one}_id" in members
                parameters[f"path.{one}"] = f"$response.body#/{one}_id" if is_above else "$response.body#/id"
            if method == "patch" or "IfMatch" in operation.get("parameters", []):
                parameters["header.If-Match"] = "$response.header.ETag"
            name = id[0].upper() + id[1:]
            self.components.add("links", name, {
                "operationId": id, "description": link.require("description"),
                "parameters": parameters | link.get("parameters", {})}, place)
            result[id] = self.components.reference("links", name, place)
        return result

    def webhook(self, written, tag):
        """What a receiver of webhooks is sent. Nothing follows by rule."""
        written.only((*KEYS, "security"))
        parameters = [self.components.parameter(one, written.place("parameters")) for one in written["parameters"]]
        body = self.components.body("post", written["requestBody"], written.place("requestBody"))
        return {"operationId": written["operationId"], "tags": [tag], **written, "parameters": parameters, "requestBody": body}
