"""Makes the schemas of the contract from what the parts say, and those of pages and dry runs from the schemas that they hold."""

from parts import ContractError, Mapping

TYPES = {"string", "integer", "number", "boolean", "object", "null"}
# In the order in which the document has them.
KEYWORDS = (
    "$ref", "description", "title", "type", "format", "const", "enum", "default", "minimum", "maximum", "minLength",
    "maxLength", "pattern", "contentMediaType", "contentSchema", "minItems", "maxItems", "uniqueItems", "items",
    "allOf", "anyOf", "oneOf", "additionalProperties", "required", "properties", "example", "examples")
TYPE_ID = "_[0-7][0-9a-hjkmnp-tv-z]{25}$"


class Schemas:
    """Every schema that has a name. One is made when somebody asks for it; `wanted` has those that somebody refers to."""

    def __init__(self):
        self.written, self.made, self.wanted, self.sources = {}, {}, [], {}

    def add(self, name, schema, place):
        if name in self.written:
            raise ContractError(f"{place}: {name} is already in {self.sources[name]}")
        self.written[name], self.sources[name] = schema, place

    def add_id(self, name, id):
        """The schema of a TypeID, from its prefix and an example."""
        schema = {"type": "string", "pattern": f"^{id.require('prefix')}{TYPE_ID}", "examples": [id.require("example")]}
        self.add(f"{name}Id", Mapping(schema), id.place())

    def all(self):
        """All schemas that are written, each followed by the page and the dry run that are derived from it."""
        for name, place in list(self.sources.items()):
            self.named(name, place)
        # The list grows meanwhile: pages and dry runs refer to others.
        for name, place in self.wanted:
            self.named(name, place)
        derived = [[name, f"{name}Page", f"{name}DryRun"] for name in self.written]
        return {name: self.made[name] for names in derived for name in names if name in self.made}

    def named(self, name, place):
        """A schema by its name."""
        if name not in self.made:
            self.made[name] = None
            written = self.written.get(name, Mapping())
            self.sources.setdefault(name, place)
            is_derived = isinstance(written, Mapping) and set(written) <= {"of", "examples"}
            if is_derived and name.endswith("Page"):
                self.made[name] = self._page(name, written, place)
            elif is_derived and name.endswith("DryRun"):
                self.made[name] = self._dry_run(name, written, place)
            elif name in self.written:
                self.made[name] = self.schema(written, place)
            else:
                raise ContractError(f"{place}: there is no schema '{name}'")
        if self.made[name] is None:
            raise ContractError(f"{place}: {name} extends itself")
        return self.made[name]

    def schema(self, written, place):
        """A schema: a name or a type, alternatives with `|` between them, a list with what its items are, or keywords."""
        if isinstance(written, str):
            either = [self._one(name, place) for name in written.split(" | ")]
            return either[0] if len(either) == 1 else {"oneOf": either}
        if isinstance(written, list):
            return {"type": "array", "items": self.schema(written[0], place)}
        result = {}
        for key, value in written.only((*KEYWORDS, "members", "extends")).items():
            at = written.place(key)
            if key == "$ref":
                result |= self._one(value, at)
            elif key == "items" or key == "additionalProperties" and not isinstance(value, bool):
                result[key] = self.schema(value, at)
            elif key in ("allOf", "anyOf", "oneOf"):
                result[key] = [self.schema(one, at) for one in value]
            elif key == "properties":
                result[key] = {name: self.schema(one, value.place(name)) for name, one in value.items()}
            elif key not in ("members", "extends"):
                result[key] = value
        if "members" in written:
            result = self._object(written, place) | result
        if "extends" in written and "examples" in written:
            result["examples"] = [self.filled(one, written["extends"], result, place) for one in written["examples"]]
        return dict(sorted(result.items(), key=lambda item: KEYWORDS.index(item[0]) if item[0] in KEYWORDS else -1))

    def _one(self, name, place):
        if name in TYPES:
            return {"type": name}
        if not isinstance(name, str) or not name.isalnum():
            raise ContractError(f"{place}: '{name}' is not the name of a schema")
        self.wanted.append((name, place))
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, written, place):
        """An object that has these members and no others, and those of the schema that it extends. `?` is for optional."""
        base = {"type": "object", "additionalProperties": False}
        if "extends" in written:
            base = {key: value for key, value in self.named(written["extends"], place).items()
                    if key not in ("description", "examples")}
        members = written["members"]
        properties = {name.removesuffix("?"): self.schema(one, members.place(name)) for name, one in members.items()}
        required = dict.fromkeys([*base.get("required", []), *(name for name in members if not name.endswith("?"))])
        return (base | ({"required": list(required)} if required else {})
                | {"properties": base.get("properties", {}) | properties})

    def first_example(self, name, place):
        examples = self.named(name, place).get("examples", [])
        return examples[0] if examples and isinstance(examples[0], dict) else {}

    def filled(self, example, name, schema, place):
        """An example; required members that it leaves out are those of the first example of `name`."""
        first = self.first_example(name, place)
        return {key: first[key] for key in schema["required"] if key in first} | example

    def _page(self, name, written, place):
        """A page of a list. Its example holds the first example of an item unless the part has another one."""
        of = written.get("of", name.removesuffix("Page"))
        pages = written.get("examples") or [{"data": [self.first_example(of, place)]}]
        return _closed(
            data={"type": "array", "maxItems": 200, "items": self._one(of, place)},
            next_cursor=self._one("NextCursor", place),
        ) | {"examples": [page | {"next_cursor": page.get("next_cursor")} for page in pages]}

    def _dry_run(self, name, written, place):
        """The reply to a dry run: the events that would be appended, and the resource as it would be."""
        of = written.get("of", name.removesuffix("DryRun"))
        schema = _closed(
            dry_run={"const": True}, events=self._one("PlannedEvents", place), resource=self._one(of, place))
        resource = lambda one: None if of == "null" else self.filled(one, of, self.named(of, place), place)
        examples = [
            {"dry_run": True, "events": one.get("events", []), "resource": resource(one.get("resource", {}))}
            for one in written.get("examples", [])]
        return schema | ({"examples": examples} if examples else {})


def _closed(**properties):
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}
