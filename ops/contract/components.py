"""Makes the parts of the document that operations share and refer to: parameters, header fields, bodies and replies."""

from parts import ContractError, Mapping
from schemas import Schemas

# The header fields of a reply besides X-Request-Id. A value is the name of a header component.
PROBLEM_HEADERS = {
    401: {"WWW-Authenticate": "WWWAuthenticate"}, 405: {"Allow": "Allow"}, 412: {"ETag": "ETag"},
    429: {"RateLimit-Policy": "RateLimitPolicy", "RateLimit": "RateLimit", "Retry-After": "RetryAfter"},
    503: {"Retry-After": "RetryAfter"}}
CHANGED = {"ETag": "ChangedETag", "Signalbox-Position": "ChangedPosition", "Idempotency-Replayed": "IdempotencyReplayed"}


class Components:
    """All components but schemas, which `schemas` has. `sources` knows where each is written."""

    def __init__(self):
        self.schemas, self.sources, self.wanted = Schemas(), {}, []
        self.made = {kind: {} for kind in ("parameters", "headers", "links", "responses")}
        # The name of the parameter for each id in a path, such as `rules/{rule}`.
        self.ids_in_paths = {}

    def add_all(self, part):
        """Everything that a part shares."""
        for name, id in part.get("ids", {}).items():
            self.schemas.add_id(name, id.only(("prefix", "example", "path", "description")))
            if "path" in id:
                parameter = {key: id.require(key) for key in ("path", "description")} | {"schema": f"{name}Id"}
                self.add_parameter(name, parameter, id.place())
        for name, schema in part.get("schemas", {}).items():
            self.schemas.add(name, schema, part["schemas"].place(name))
        for name, parameter in part.get("parameters", {}).items():
            self.add_parameter(name, parameter, part["parameters"].place(name))
        makers = {"headers": self.header, "changes": self.change, "problems": self.problem, "responses": self.reply}
        for section, make in makers.items():
            for name, written in part.get(section, {}).items():
                place = part[section].place(name)
                if section == "changes":
                    written = Mapping.described(written, schema=name.removesuffix("Changed"))
                self.add("headers" if section == "headers" else "responses", name, make(written, place), place)

    def add(self, kind, name, value, place):
        if name in self.made[kind]:
            raise ContractError(f"{place}: {name} is already in {self.sources[kind, name]}")
        self.made[kind][name], self.sources[kind, name] = value, place

    def add_parameter(self, name, parameter, place):
        self.add("parameters", name, self.parameter(parameter, place), place)
        paths = parameter.get("path", [])
        self.ids_in_paths |= dict.fromkeys([paths] if isinstance(paths, str) else paths, name)

    def reference(self, kind, name, place):
        self.wanted.append((kind, name, place))
        return {"$ref": f"#/components/{kind}/{name}"}

    def all(self):
        """All components by kind, when everything that is referred to is there."""
        for kind, name, place in self.wanted:
            if name not in self.made[kind]:
                raise ContractError(f"{place}: there is no '{name}' among the {kind}")
        schemas = self.schemas.all()
        self.sources |= {("schemas", name): place for name, place in self.schemas.sources.items()}
        return {**self.made, "schemas": schemas}

    def parameter(self, parameter, place):
        """The name of a shared parameter, or one of its own, whose name is under `query`, `header` or `path`."""
        if isinstance(parameter, str):
            return self.reference("parameters", parameter, place)
        where = next((key for key in ("query", "header", "path") if key in parameter), None)
        if where is None or "schema" not in parameter:
            raise ContractError(f"{place}: a parameter has a schema, and its name under 'query', 'header' or 'path'")
        name = parameter[where] if isinstance(parameter[where], str) else parameter[where][0]
        result = {"name": name.rpartition("{")[2].rstrip("}"), "in": where}
        result |= {"required": True} if where == "path" else {}
        result |= {key: value for key, value in parameter.items() if key not in (where, "schema")}
        return result | {"schema": self.schemas.schema(parameter["schema"], place)}

    def header(self, header, place):
        if isinstance(header, str):
            return self.reference("headers", header, place)
        return header | {"schema": self.schemas.schema(header.require("schema"), place)}

    def body(self, method, body, place):
        """The name of a schema, with `?` if the body may be absent; or `content` by type."""
        if not isinstance(body, str):
            return body | {"content": self.content(body.require("content"))}
        types = ("application/merge-patch+json", "application/json") if method == "patch" else ("application/json",)
        media = {"schema": self.schemas.schema(body.removesuffix("?"), place)}
        return {"required": not body.endswith("?"), "content": {type: dict(media) for type in types}}

    def content(self, content):
        """By type, a schema, or a mapping with a `schema` and its examples."""
        media = {type: one if isinstance(one, Mapping) and "schema" in one else {"schema": one}
                 for type, one in content.items()}
        return {type: one | {"schema": self.schemas.schema(one["schema"], content.place(type))}
                for type, one in media.items()}

    def reply(self, reply, place, fields={}):
        """A reply with the header fields that rules ask for, and its own. `null` takes one away."""
        reply.only(("description", "headers", "schema", "content"))
        is_page = isinstance(reply.get("schema"), str) and reply["schema"].endswith("Page")
        fields = {"X-Request-Id": "RequestId"} | fields | reply.get("headers", {})
        result = {
            "description": reply.get("description") or ("One page." if is_page else reply.require("description")),
            "headers": {name: self.header(value, place) for name, value in fields.items() if value is not None}}
        if "schema" in reply:
            result["content"] = {"application/json": {"schema": self.schemas.schema(reply["schema"], place)}}
        elif "content" in reply:
            result["content"] = self.content(reply["content"])
        return result

    def change(self, change, place):
        """The reply to a change: the resource as it is now, or the dry run."""
        of = change.only(("description", "schema", "dry_run", "headers")).require("schema")
        either = [self.schemas.schema(one, place) for one in (of, change.get("dry_run", dry_run(of)))]
        reply = Mapping.described(change.require("description"), headers=change.get("headers", {}))
        reply = self.reply(reply, place, CHANGED | secret(of, "NoStoreOrNot"))
        return reply | {"content": {"application/json": {"schema": {"oneOf": either}}}}

    def problem(self, problem, place):
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
        reply = Mapping.described(problem.require("description"), headers=problem.get("headers", {}))
        return self.reply(reply, place, PROBLEM_HEADERS.get(status, {})) | {"content": {"application/problem+json": media}}


def dry_run(schema):
    """The name of the schema that a dry run replies with."""
    return f"{schema.removeprefix('Issued')}DryRun"


def secret(schema, header):
    """What is issued shows a secret, which no cache may keep."""
    return {"Cache-Control": header} if schema.startswith("Issued") else {}
