#!/usr/bin/env python3
"""Checks openapi.yaml: that it is what contract/ makes, OpenAPI 3.1 itself, then the house rules of the wire.

usage: validate.py                prints one line for each finding, with the part and the line where it is written;
                                  the exit status is 1 when there are any
       validate.py DOCUMENT       the same for another document, of which it knows no parts
"""

import re
import sys
from collections import Counter
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

import bundle
from parts import ContractError

METHODS = ("get", "put", "post", "patch", "delete")
# Of those that are no DELETE.
REMOVALS = {"declineInvitation"}
# Removals whose reply tells what is left behind.
TELLING_REMOVALS = {"removeMember"}
# What takes a place in the plan, or has to be paid for.
LIMITED = {"createProject", "createInvitation", "resendInvitation", "createRule", "replaceRules", "createApiKey",
           "setProviderKey", "changePlan"}
# What is made by a PUT.
CREATING_PUTS = {"setProviderKey"}
ANSWERS = {"/v1/invitations/accept", "/v1/invitations/decline"}
# What is authenticated by a signature over its body.
SIGNED = {"/v1/secret-scanning/github", "/v1/webhooks/stripe"}
DOCUMENT_URI = "urn:signalbox:contract"


class Contract:
    """The document, with references resolved on the way. `parts` knows where its parts are written."""

    def __init__(self, document, parts=None):
        self.document, self.parts = document, parts
        resource = Resource(contents=document, specification=DRAFT202012)
        self.registry = Registry().with_resource(DOCUMENT_URI, resource)

    def at(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def source(self, *path):
        """The part and the line of what is at a path of the document, to put before a finding."""
        source = self.parts.source(*path) if self.parts else ""
        return f"{source}: " if source else ""

    def operations(self):
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    shared = item.get("parameters", [])
                    yield Operation(self, path, method, item[method], shared)

    def errors(self, schema, value):
        absolute = _with_absolute_references(schema)
        validator = Draft202012Validator(
            absolute, registry=self.registry, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return [error.message for error in validator.iter_errors(value)]


class Operation:
    """One operation, with the facts about it that decide which replies it must list."""

    def __init__(self, contract, path, method, definition, shared):
        self.contract, self.path, self.method, self.definition = contract, path, method, definition
        self.label = f"{contract.source('paths', path, method)}{method.upper()} {path}"
        self.parameters = {
            parameter["name"]: parameter
            for parameter in map(contract.at, shared + definition.get("parameters", []))}
        self.versioned = path.startswith("/v1/")
        self.tenant = "{organization}" in path
        # Evidence has ids of its own by which it is idempotent, and is not in the log.
        self.change = method != "get" and not definition.get("x-read-only") and definition.get("x-permission") != "gateway"
        self.secured = definition.get("security") != []
        self.permission = definition.get("x-permission")
        self.removal = (
            (method == "delete" or definition.get("operationId") in REMOVALS)
            and definition.get("operationId") not in TELLING_REMOVALS)
        self.limited = definition.get("operationId") in LIMITED
        self.names_something = (
            "{token}" in path or "{user}" in path or "stripe-events/{event}" in path
            or "set-aside/{item}" in path or path in ANSWERS)
        self.body = contract.at(definition.get("requestBody"))
        self.responses = {
            status: contract.at(response) for status, response in definition["responses"].items()}

    def expected_statuses(self):
        """Exactly the replies that can occur, from what the operation takes."""
        statuses = {"200"}
        if self.method == "post" and self.definition["operationId"].startswith("create") and self.secured:
            statuses |= {"201"}
        if self.definition["operationId"] in CREATING_PUTS:
            statuses |= {"201"}
        if self.removal:
            statuses |= {"204"}
        if self.limited:
            statuses |= {"402"}
        if self.versioned:
            statuses |= {"406", "422"}
        if self.secured:
            statuses |= {"401", "429", "503"}
        if self.path in SIGNED:
            statuses |= {"429", "503"}
        if self.permission in ("authenticated", "person", "platform-admin", "gateway"):
            statuses |= {"403"}
        if self.versioned and not self.secured or self.names_something:
            statuses |= {"404"}
        if self.tenant:
            statuses |= {"403", "404"}
        if self.body:
            statuses |= {"400", "413", "415"}
        if self.change and self.secured:
            statuses |= {"409"}
        if "Idempotency-Key" in self.parameters:
            statuses |= {"400"}
        if "If-Match" in self.parameters:
            statuses |= {"400", "412", "428"}
        if "If-None-Match" in self.parameters:
            statuses |= {"304", "400"}
        return statuses | {"/readyz": {"503"}, "/problems/{code}": {"404"}}.get(self.path, set())


def document_findings(contract):
    """The document as a whole."""
    references = {
        node["$ref"] for node in _walk(contract.document) if isinstance(node.get("$ref"), str)}
    defined = {
        f"#/components/{kind}/{name}"
        for kind, components in contract.document["components"].items() for name in components}
    if references - defined:
        yield from (f"{reference} is not defined" for reference in sorted(references - defined))
        return
    for error in OpenAPIV31SpecValidator(contract.document).iter_errors():
        yield f"{contract.source(*error.path)}{'/'.join(map(str, error.path))}: {error.message}"
    ids = Counter(operation.definition.get("operationId") for operation in contract.operations())
    yield from (f"operationId {name} is used {count} times" for name, count in ids.items() if count > 1)
    for component in sorted(defined - references):
        if not component.startswith("#/components/securitySchemes/"):
            yield f"{contract.source(*component.split('/')[1:])}{component} is not used"


def operation_findings(operation):
    """What every operation must say of itself."""
    definition = operation.definition
    for key in ("operationId", "summary", "description", "tags"):
        if not definition.get(key):
            yield f"{key} is missing"
    if not re.fullmatch(r"[a-z]+(?:[A-Z][a-z]+)*", definition.get("operationId", "")):
        yield "operationId is not in camelCase"
    declared = {tag["name"] for tag in operation.contract.document["tags"]}
    yield from (f"tag {tag} is not declared" for tag in set(definition["tags"]) - declared)
    permission = operation.permission or ""
    known = {"platform-admin", *operation.contract.document["components"]["schemas"]["Permission"]["enum"]}
    if permission not in (known if operation.tenant else {"none", "authenticated", "person", "platform-admin", "gateway"}):
        yield "x-permission is missing or malformed"
    if operation.secured == (permission == "none"):
        yield "exactly what needs a permission needs a token"
    if operation.secured != (operation.versioned and not operation.path.startswith("/v1/dev/")
                             and operation.path not in SIGNED):
        yield "exactly the operations of /v1 need a token"
    yield from (
        f"parameter {name} is missing" for name in _required_parameters(operation)
        if name not in operation.parameters)


def _required_parameters(operation):
    yield "X-Request-Id"
    if operation.change and operation.secured:
        yield "dry_run"
    if operation.change and operation.method in ("post", "delete") and operation.secured:
        yield "Idempotency-Key"
    if operation.method == "patch" or operation.path.endswith("/archive"):
        yield "If-Match"


def response_findings(operation):
    """The set of replies, and what each must carry."""
    expected, documented = operation.expected_statuses(), set(operation.responses)
    yield from (f"{status} is missing" for status in sorted(expected - documented))
    yield from (f"{status} cannot occur" for status in sorted(documented - expected))
    for status, response in operation.responses.items():
        headers = response.get("headers", {})
        for name in _required_headers(operation, status):
            if name not in headers:
                yield f"{status} lacks the header {name}"
        types = set(response.get("content", {}))
        if status >= "400" and types != {"application/problem+json"}:
            yield f"{status} is not application/problem+json"
        if (status in ("204", "304")) == bool(types):
            yield f"{status}: only 204 and 304 have no content"


def _required_headers(operation, status):
    yield "X-Request-Id"
    if status == "401":
        yield "WWW-Authenticate"
    if status in ("429", "503"):
        yield "Retry-After"
    if status == "429":
        yield from ("RateLimit", "RateLimit-Policy")
    if status == "204":
        yield from ("Signalbox-Position", "Idempotency-Replayed")
    if status == "201":
        yield from ("Location", "ETag", "Signalbox-Position", "Idempotency-Replayed")
    if status in ("304", "412") or (status == "200" and "If-None-Match" in operation.parameters):
        yield "ETag"
    if status == "200" and operation.method in ("put", "patch"):
        yield from ("ETag", "Signalbox-Position")


def example_findings(operation):
    """Every body has an example."""
    media = list((operation.body or {}).get("content", {}).items())
    for response in operation.responses.values():
        media += response.get("content", {}).items()
    for name, definition in media:
        if name.endswith("json") and not _has_example(operation.contract, definition):
            yield f"a body of {name} has no example"


def bound_findings(operation):
    """A number that is sent has a smallest and a largest value, so that arithmetic on it has an end."""
    for parameter in operation.parameters.values():
        yield from _unbounded(operation.contract, parameter.get("schema", {}), parameter["name"])
    for media in (operation.body or {}).get("content", {}).values():
        yield from _unbounded(operation.contract, media["schema"], "the body")


def _unbounded(contract, schema, place):
    schema = contract.at(schema)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if "number" in types or "integer" in types and "const" not in schema and "enum" not in schema:
        if "minimum" not in schema:
            yield f"{place}: an integer has no minimum"
        # What is larger may count as the largest.
        if "maximum" not in schema and "x-coerced-to" not in schema:
            yield f"{place}: an integer has no maximum"
    for name, member in schema.get("properties", {}).items():
        yield from _unbounded(contract, member, f"{place}/{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _unbounded(contract, schema[key], f"{place}/*")
    for kind in ("oneOf", "anyOf", "allOf"):
        for one in schema.get(kind, []):
            yield from _unbounded(contract, one, place)


def _has_example(contract, media):
    schemas = [contract.at(media["schema"])]
    schemas += map(contract.at, schemas[0].get("oneOf", []))
    return "example" in media or "examples" in media or any("examples" in one for one in schemas)


def schema_findings(contract):
    """Examples obey their schemas; objects are closed or say that they are open; members are in snake_case."""
    components = contract.document["components"]
    pieces = [("components", kind, name) for kind in components for name in components[kind]]
    pieces += [(kind, path, method) for kind in ("paths", "webhooks")
               for path, item in contract.document[kind].items() for method in item]
    for first, second, third in pieces:
        for node in _walk(contract.document[first][second][third]):
            for example in _examples(node):
                for message in contract.errors(node.get("schema", node), example):
                    where = contract.source(first, second, third)
                    yield f"{where}the example {_short(example)} breaks its schema: {message}"
    for name, schema in components["schemas"].items():
        where = contract.source("components", "schemas", name)
        if "object" in str(schema.get("type")) and name != "Contract":
            if "additionalProperties" not in schema:
                yield f"{where}schema {name} does not say whether it is open"
        for member in schema.get("properties", {}):
            if not re.fullmatch(r"[a-z]+(?:_[a-z]+)*", member):
                yield f"{where}schema {name}: {member} is not in snake_case"


def _examples(node):
    if "example" in node:
        yield node["example"]
    examples = node.get("examples")
    if isinstance(examples, list):
        yield from examples
    elif isinstance(examples, dict) and "schema" in node:
        yield from (example["value"] for example in examples.values())


def _walk(node):
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _walk(child)


def _with_absolute_references(node):
    if isinstance(node, dict):
        return {
            key: DOCUMENT_URI + value if key == "$ref" else _with_absolute_references(value)
            for key, value in node.items() if key not in ("example", "examples")}
    return [_with_absolute_references(child) for child in node] if isinstance(node, list) else node


def _short(value):
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def main(arguments):
    path, parts, findings = Path(arguments[0]) if arguments else bundle.DOCUMENT, None, []
    if not arguments:
        try:
            parts = bundle.Bundle()
        except ContractError as error:
            sys.exit(str(error))
        if parts.text() != path.read_text(encoding="utf-8"):
            findings.append(bundle.STALE)
    # What the parts make is checked even where it is not what is committed.
    text = parts.text() if parts else path.read_text(encoding="utf-8")
    contract = Contract(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), parts)
    wrong = [*document_findings(contract)]
    # The house rules read what the specification promises, so they wait until it is kept.
    if not wrong:
        wrong += schema_findings(contract)
        for operation in contract.operations():
            for rule in (operation_findings, response_findings, example_findings, bound_findings):
                wrong += (f"{operation.label}: {finding}" for finding in rule(operation))
    findings += wrong
    for finding in findings:
        print(finding)
    count = sum(1 for _ in contract.operations())
    print(f"{path.name}: {count} operations, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
