#!/usr/bin/env python3
"""Makes openapi.yaml of the parts in contract/. A part says what is a choice; this adds what is a rule.

usage: bundle.py             fails unless openapi.yaml is what the parts make
       bundle.py --write     writes openapi.yaml

README.md beside this file tells how a part is written.
"""

import sys
from pathlib import Path

from parts import ContractError, Mapping, dump, read
from schemas import Schemas

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "openapi.yaml"
STALE = f"{DOCUMENT.name} is not what contract/ makes: run `make bundle`, and commit both"
METHODS = ("get", "post", "put", "patch", "delete")
SECTIONS = ("tag", "paths", "webhooks", "ids", "parameters", "headers", "changes", "responses", "problems", "schemas")
# What only common.yaml has.
COMMON = ("openapi", "info", "servers", "security", "tags", "x-signalbox-global-responses", "securitySchemes")
OPERATION = ("operationId", "summary", "description", "parameters", "requestBody", "responses", "links")
# The reply that stands for a status, where an operation names no other one.
PROBLEMS = {
    "304": "NotModified", "400": "BadRequest", "401": "Unauthenticated", "403": "Forbidden", "404": "NotFound",
    "406": "NotAcceptable", "412": "PreconditionFailed", "413": "PayloadTooLarge",
    "415": "UnsupportedMediaType", "422": "Invalid", "428": "PreconditionRequired", "429": "TooManyRequests",
    "503": "Unavailable"}
# The 409 of a change: a removal works on what is archived too, and a patch or a put has no idempotency key.
CONFLICTS = {"post": "Conflict", "put": "ArchivedConflict", "patch": "ArchivedConflict", "delete": "IdempotencyConflict"}
# The 403 of an operation that belongs to no workspace, by what it needs.
FORBIDDEN = {"authenticated": "DataPlaneOnly", "person": "PersonRequired", "platform-admin": "PlatformRequired",
             "gateway": "GatewayRequired"}
# The header fields of a reply besides X-Request-Id. A value is the name of a header component.
PROBLEM_HEADERS = {
    401: {"WWW-Authenticate": "WWWAuthenticate"}, 405: {"Allow": "Allow"}, 412: {"ETag": "ETag"},
    429: {"RateLimit-Policy": "RateLimitPolicy", "RateLimit": "RateLimit", "Retry-After": "RetryAfter"},
    503: {"Retry-After": "RetryAfter"}}
CHANGED = {"ETag": "ChangedETag", "Signalbox-Position": "ChangedPosition", "Idempotency-Replayed": "IdempotencyReplayed"}
CREATED = {"Location": "Location", "ETag": "ETag", "Signalbox-Position": "Position",
           "Idempotency-Replayed": "IdempotencyReplayed"}
CONDITIONS = ("IfMatch", "IfMatchToReplace", "IfNoneMatch")


class Bundle:
    """The document that the parts make, and the place where each of its operations and components is written."""

    def __init__(self, folder=ROOT / "contract"):
        parts = [read(path, path.relative_to(folder.parent).as_posix()) for path in sorted(folder.rglob("*.yaml"))]
        common = next((part for part in parts if "openapi" in part), None)
        if common is None:
            raise ContractError(f"{folder.name}: no part has the key 'openapi', as common.yaml must")
        tags = [tag["name"] for tag in common.require("tags")]
        for part in parts:
            part.only(SECTIONS + COMMON if part is common else SECTIONS)
            if part is not common and part.require("tag") not in tags:
                part.fail("tag", f"'{part['tag']}' is not among the tags of {common.file}")
        # The document is in the order of its tags.
        parts.sort(key=lambda part: len(tags) if part is common else tags.index(part["tag"]))
        self.schemas, self.sources, self.wanted = Schemas(), {}, []
        self.components = {kind: {} for kind in ("parameters", "headers", "links", "responses")}
        self.ids_in_paths = {}
        self.operations = {
            operation.require("operationId"): (path, method, operation)
            for part in parts for path, item in part.get("paths", {}).items()
            for method, operation in item.only(METHODS).items()}
        for part in parts:
            self._add_components(part)
        self.document = {key: common[key] for key in COMMON if key in common and key != "securitySchemes"}
        everywhere = common.require("x-signalbox-global-responses")
        self.document["x-signalbox-global-responses"] = {
            status: self._reference("responses", name, everywhere.place(status)) for status, name in everywhere.items()}
        self.document["paths"] = {
            path: self._path(path, item, part) for part in parts for path, item in part.get("paths", {}).items()}
        self.document["webhooks"] = {
            name: {"post": self._webhook(item.require("post"), part["tag"])}
            for part in parts for name, item in part.get("webhooks", {}).items()}
        for kind, name, place in self.wanted:
            if name not in self.components[kind]:
                raise ContractError(f"{place}: there is no '{name}' among the {kind}")
        self.components["schemas"] = self.schemas.all()
        self.sources |= {("components", "schemas", name): place for name, place in self.schemas.sources.items()}
        self.document["components"] = {"securitySchemes": common["securitySchemes"], **self.components}

    def text(self):
        return dump(self.document)

    def source(self, *path):
        """The file and the line of what is at this path of the document, or an empty text."""
        return self.sources.get(tuple(path[:3]), "").partition(": ")[0]

    def _add_components(self, part):
        for name, id in part.get("ids", {}).items():
            self.schemas.add_id(name, id.only(("prefix", "example", "path", "description")))
            if "path" in id:
                parameter = Mapping(path=id["path"], description=id.require("description"), schema=f"{name}Id")
                self._add("parameters", name, self._parameter(parameter, id.place()), id.place(), id["path"])
        for name, schema in part.get("schemas", {}).items():
            self.schemas.add(name, schema, part["schemas"].place(name))
        makers = {"parameters": self._parameter, "headers": self._header, "changes": self._change,
                  "problems": self._problem, "responses": lambda reply, place: self._reply(reply, {}, place)}
        for section, make in makers.items():
            kind = section if section in self.components else "responses"
            for name, value in part.get(section, {}).items():
                place = part[section].place(name)
                if section == "changes":
                    value = _described(value, schema=name.removesuffix("Changed"))
                self._add(kind, name, make(value, place), place, value.get("path", ()) if kind == "parameters" else ())

    def _add(self, kind, name, value, place, paths=()):
        if name in self.components[kind]:
            raise ContractError(f"{place}: {name} is already in {self.sources['components', kind, name]}")
        self.components[kind][name], self.sources["components", kind, name] = value, place
        for path in [paths] if isinstance(paths, str) else paths:
            self.ids_in_paths[path] = name

    def _reference(self, kind, name, place):
        self.wanted.append((kind, name, place))
        return {"$ref": f"#/components/{kind}/{name}"}

    # Operations

    def _path(self, path, item, part):
        place, names = part["paths"].place(path), []
        for before, segment in zip(path.split("/"), path.split("/")[1:]):
            if segment.startswith("{"):
                key = f"{before}/{segment.partition(':')[0]}"
                names.append(self.ids_in_paths.get(key) or part["paths"].fail(path, f"no parameter has the path '{key}'"))
        result = {"parameters": [self._reference("parameters", name, place) for name in (*names, "RequestId")]}
        for method, operation in item.items():
            self.sources["paths", path, method] = item.place(method)
            result[method] = self._operation(path, method, operation.only(OPERATION), part["tag"])
        return result

    def _operation(self, path, method, written, tag):
        permission = written.require("x-permission")
        change = method != "get" and not written.get("x-read-only") and permission not in ("none", "gateway")
        parameters = self._parameters(method, written, change)
        result = {"operationId": written["operationId"], "tags": [tag]}
        result |= {key: written.require(key) for key in ("summary", "description")}
        result |= {key: value for key, value in written.items() if key.startswith("x-")}
        if permission == "none":
            result["security"] = []
        if parameters:
            result["parameters"] = [self._parameter(one, written.place("parameters")) for one in parameters]
        if "requestBody" in written:
            result["requestBody"] = self._body(method, written["requestBody"], written.place("requestBody"))
        result["responses"] = self._responses(path, method, written, permission, change, parameters)
        if "links" in written:
            result["responses"]["201"]["links"] = self._links(path, written)
        return result

    def _parameters(self, method, written, change):
        """The parameters that the part lists, and those that a change, a page or a patch has; conditions come last."""
        own = [one for some in written.get("parameters", []) for one in (some if isinstance(some, list) else [some])]
        reply = written.require("responses").get("200")
        name = reply.get("schema") if isinstance(reply, Mapping) else None
        is_name = isinstance(name, str) and name.isalnum()
        is_page = is_name and "next_cursor" in self.schemas.named(name, reply.place()).get("properties", {})
        if method == "get" and is_page and "Cursor" not in own:
            own += ["Limit", "Cursor"]
        if method == "patch":
            own.append("IfMatch")
        key = ["IdempotencyKey"] if change and method in ("post", "delete") else []
        return ([*(["DryRun"] if change else []), *(one for one in own if one not in CONDITIONS), *key,
                 *(one for one in own if one in CONDITIONS)])

    def _responses(self, path, method, written, permission, change, parameters):
        """The replies that the part lists, and those that follow from what the operation takes."""
        replies, secured = written["responses"], permission != "none"
        unless_modified = "IfNoneMatch" in parameters
        if_matches = not {"IfMatch", "IfMatchToReplace"}.isdisjoint(name for name in parameters if isinstance(name, str))
        statuses = {
            "304": unless_modified, "400": "requestBody" in written or "IdempotencyKey" in parameters,
            "401": secured, "403": secured, "404": "{" in path, "406": path.startswith("/v1/"), "409": change,
            "412": if_matches, "413": "requestBody" in written, "415": "requestBody" in written,
            "422": path.startswith("/v1/"), "428": if_matches, "429": secured, "503": secured}
        statuses["400"] |= unless_modified or if_matches
        usual = PROBLEMS | {"409": CONFLICTS.get(method)}
        if secured and "{organization}" not in path:
            usual["403"] = FORBIDDEN[permission]
        derived = {status: usual[status] for status, occurs in statuses.items() if occurs}
        headers = {"200": {"ETag": "ETag"} if unless_modified else {}}
        if "201" in replies:
            created = replies["201"].require("schema")
            derived["200"] = _described("The dry run; nothing was kept.", schema=_dry_run(created))
            headers = {"200": {"Idempotency-Replayed": "IdempotencyReplayed"}, "201": CREATED | _secret(created, "NoStore")}
        if method == "delete" and "200" not in replies:
            derived |= {"200": "RemovalDryRun", "204": "Removed"}
        return {
            status: self._response(reply, usual.get(status), headers.get(status, {}), replies.place(status))
            for status, reply in sorted((derived | replies).items())}

    def _response(self, reply, usual, headers, place):
        """A reply: the name of one, a description in place of the usual one, both, or what is in it."""
        if isinstance(reply, str) and " " in reply:
            reply = {"$ref": usual, "description": reply}
        if isinstance(reply, str):
            return self._reference("responses", reply, place)
        if "$ref" in reply:
            return {**reply, **self._reference("responses", reply["$ref"], place)}
        return self._reply(reply, headers, place)

    def _links(self, path, written):
        """What can be done with what was created. The target's ids come from the reply's body."""
        result, created = {}, written["responses"]["201"]["schema"]
        for id, link in written["links"].items():
            place, link = written["links"].place(id), _described(link)
            if id not in self.operations:
                written["links"].fail(id, "there is no such operation")
            target, method, operation = self.operations[id]
            name, members = id[0].upper() + id[1:], self.schemas.named(created, place)["properties"]
            parameters = {}
            for one in (segment[1:].partition("}")[0] for segment in target.split("/") if segment.startswith("{")):
                is_above = f"{{{one}}}" in path or f"{one}_id" in members
                parameters[f"path.{one}"] = f"$response.body#/{one}_id" if is_above else "$response.body#/id"
            if method == "patch" or "IfMatch" in operation.get("parameters", []):
                parameters["header.If-Match"] = "$response.header.ETag"
            parameters |= link.get("parameters", {})
            self._add("links", name, {"operationId": id, "description": link["description"], "parameters": parameters}, place)
            result[id] = self._reference("links", name, place)
        return result

    def _webhook(self, written, tag):
        written.only((*OPERATION, "security"))
        return {
            "operationId": written["operationId"], "tags": [tag], **written,
            "parameters": [self._parameter(one, written.place("parameters")) for one in written["parameters"]],
            "requestBody": self._body("post", written["requestBody"], written.place("requestBody"))}

    # What operations take and reply

    def _parameter(self, parameter, place):
        if isinstance(parameter, str):
            return self._reference("parameters", parameter, place)
        where = next((key for key in ("query", "header", "path") if key in parameter), None)
        if where is None:
            raise ContractError(f"{place}: a parameter has a name under 'query', 'header' or 'path'")
        name = parameter[where] if isinstance(parameter[where], str) else parameter[where][0]
        result = {"name": name.rpartition("{")[2].rstrip("}"), "in": where}
        result |= {"required": True} if where == "path" else {}
        result |= {key: value for key, value in parameter.items() if key != where}
        return result | {"schema": self.schemas.schema(parameter.require("schema"), place)}

    def _header(self, header, place):
        if isinstance(header, str):
            return self._reference("headers", header, place)
        return header | {"schema": self.schemas.schema(header.require("schema"), place)}

    def _body(self, method, body, place):
        """The name of a schema, with `?` when the body may be absent; or `content` by type."""
        if not isinstance(body, str):
            return body | {"content": self._content(body.require("content"))}
        types = ("application/merge-patch+json", "application/json") if method == "patch" else ("application/json",)
        media = {"schema": self.schemas.schema(body.removesuffix("?"), place)}
        return {"required": not body.endswith("?"), "content": {type: dict(media) for type in types}}

    def _content(self, content):
        """By type, a schema, or a mapping with a `schema` and its examples."""
        media = {type: one if isinstance(one, Mapping) and "schema" in one else Mapping(schema=one)
                 for type, one in content.items()}
        return {type: one | {"schema": self.schemas.schema(one["schema"], content.place(type))}
                for type, one in media.items()}

    def _reply(self, reply, headers, place):
        reply.only(("description", "headers", "schema", "content"))
        is_page = isinstance(reply.get("schema"), str) and reply["schema"].endswith("Page")
        fields = {"X-Request-Id": "RequestId"} | headers | reply.get("headers", {})
        result = {
            "description": reply.get("description") or ("One page." if is_page else reply.require("description")),
            "headers": {name: self._header(value, place) for name, value in fields.items() if value is not None}}
        if "schema" in reply:
            result["content"] = {"application/json": {"schema": self.schemas.schema(reply["schema"], place)}}
        elif "content" in reply:
            result["content"] = self._content(reply["content"])
        return result

    def _change(self, change, place):
        """The reply to a change: the resource as it is now, or the dry run."""
        of = change.only(("description", "schema", "dry_run", "headers")).require("schema")
        either = [self.schemas.schema(one, place) for one in (of, change.get("dry_run", _dry_run(of)))]
        fields = CHANGED | _secret(of, "NoStoreOrNot") | change.get("headers", {})
        reply = self._reply(_described(change["description"]), fields, place)
        return reply | {"content": {"application/json": {"schema": {"oneOf": either}}}}

    def _problem(self, problem, place):
        """An error. Examples leave out `type`, `status` and `request_id`."""
        problem.only(("status", "description", "headers", "schema", "example", "examples"))
        status, either = problem.require("status"), problem.get("schema", "Problem")
        either = [self.schemas.schema(one, place) for one in ([either] if isinstance(either, str) else either)]
        media = {"schema": either[0] if len(either) == 1 else {"oneOf": either}}
        example = lambda one: one | {
            "type": f"/problems/{one.require('code')}", "status": status, "request_id": "req-01jdexample"}
        if "example" in problem:
            media["example"] = example(problem["example"])
        if "examples" in problem:
            media["examples"] = {
                name: one | {"value": example(one.require("value"))} for name, one in problem["examples"].items()}
        fields = PROBLEM_HEADERS.get(status, {}) | problem.get("headers", {})
        reply = self._reply(_described(problem.require("description")), fields, place)
        return reply | {"content": {"application/problem+json": media}}


def _described(value, **others):
    """A mapping whose description may be all that is written."""
    result = Mapping(others) | ({"description": value} if isinstance(value, str) else value)
    mapping = Mapping(result)
    if isinstance(value, Mapping):
        mapping.file, mapping.path, mapping.line, mapping.lines = value.file, value.path, value.line, value.lines
    return mapping


def _dry_run(schema):
    return f"{schema.removeprefix('Issued')}DryRun"


def _secret(schema, header):
    """What is issued shows a secret, which no cache may keep."""
    return {"Cache-Control": header} if schema.startswith("Issued") else {}


def main(arguments):
    try:
        text = Bundle().text()
    except ContractError as error:
        sys.exit(str(error))
    if arguments == ["--write"]:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif text != DOCUMENT.read_text(encoding="utf-8"):
        sys.exit(STALE)


if __name__ == "__main__":
    main(sys.argv[1:])
