#!/usr/bin/env python3
"""Tests of the bundler: what it adds to a part, and what it says about a mistake."""

import tempfile
import unittest
from pathlib import Path

from bundle import Bundle
from parts import ContractError, read

COMMON = """
openapi: 3.1.0
info: {title: Test, version: 0.1.0}
tags: [{name: Things}]
x-signalbox-global-responses: {400: BadRequest}
securitySchemes: {}
parameters:
  Organization: {path: 'organizations/{organization}', schema: string}
  RequestId: {header: X-Request-Id, schema: string}
  DryRun: {query: dry_run, schema: boolean}
  IdempotencyKey: {header: Idempotency-Key, schema: string}
  IfMatch: {header: If-Match, schema: string}
  IfNoneMatch: {header: If-None-Match, schema: string}
  Limit: {query: limit, schema: integer}
  Cursor: {query: cursor, schema: string}
headers: {%s}
responses:
  NotModified: {description: It is current.}
  Removed: {description: It is gone.}
  RemovalDryRun: {description: The dry run., schema: 'null'}
problems:
%s
schemas:
  Problem: {members: {code: string}}
  PlannedEvents: [string]
  NextCursor: string
""" % (
    ", ".join(f"{name}: {{schema: string}}" for name in (
        "RequestId", "ETag", "ChangedETag", "Position", "ChangedPosition", "IdempotencyReplayed", "Location", "NoStore",
        "NoStoreOrNot", "RetryAfter", "RateLimit", "RateLimitPolicy", "WWWAuthenticate")),
    "\n".join(f"  {name}: {{status: {status}, description: An error., example: {{code: an-error}}}}" for status, name in (
        (400, "BadRequest"), (401, "Unauthenticated"), (403, "Forbidden"), (403, "PersonRequired"), (404, "NotFound"),
        (406, "NotAcceptable"), (409, "Conflict"), (409, "ArchivedConflict"), (409, "IdempotencyConflict"),
        (412, "PreconditionFailed"), (413, "PayloadTooLarge"), (415, "UnsupportedMediaType"), (422, "Invalid"),
        (428, "PreconditionRequired"), (429, "TooManyRequests"), (503, "Unavailable"))))

THINGS = """
tag: Things
ids:
  Thing: {prefix: thg, path: 'things/{thing}', example: thg_1, description: The id of the thing.}
paths:
  /v1/organizations/{organization}/things:
    post:
      operationId: createThing
      summary: Create a thing
      description: Creates it.
      x-permission: thing:write
      requestBody: NewThing
      responses:
        201: {schema: IssuedThing, description: It was created.}
      links:
        changeThing: Change it.
    get:
      operationId: listThings
      summary: List things
      description: Newest first.
      x-permission: thing:read
      responses:
        200: {schema: ThingPage}
  /v1/organizations/{organization}/things/{thing}:
    patch:
      operationId: changeThing
      summary: Change a thing
      description: Changes it.
      x-permission: thing:write
      requestBody: NewThing
      responses:
        200: ThingChanged
        409: It is archived.
    delete:
      operationId: deleteThing
      summary: Delete a thing
      description: Deletes it.
      x-permission: thing:write
      responses: {}
changes:
  ThingChanged: The thing, or the dry run.
schemas:
  NewThing: {members: {name?: string}}
  Thing:
    members: {id: ThingId, name: string | null}
    examples:
      - {id: thg_1, name: 2026-11-24T10:55:02Z}
  IssuedThing:
    extends: Thing
    members: {secret: string}
    examples:
      - {secret: s}
  ThingDryRun: {examples: [{resource: {name: 'off'}}]}
"""


class BundleTests(unittest.TestCase):
    def bundle(self, things=THINGS):
        with tempfile.TemporaryDirectory() as folder:
            contract = Path(folder) / "contract"
            (contract / "area").mkdir(parents=True)
            (contract / "common.yaml").write_text(COMMON)
            (contract / "area" / "things.yaml").write_text(things)
            return Bundle(contract)

    def error(self, old, new):
        self.assertIn(old, THINGS)
        with self.assertRaises(ContractError) as caught:
            self.bundle(THINGS.replace(old, new, 1))
        return str(caught.exception)

    def operation(self, method, path="/v1/organizations/{organization}/things"):
        return self.bundle().document["paths"][path][method]

    def names(self, references):
        return [reference["$ref"].rpartition("/")[2] for reference in references]

    def test_a_mistake_is_reported_with_part_and_line(self):
        start = "contract/area/things.yaml:"
        change = "paths./v1/organizations/{organization}/things.post"
        self.assertEqual(self.error("summary: Create", "sumary: Create"), f"{start}9: {change}.sumary: unknown key")
        self.assertEqual(self.error("      description: Creates it.\n", ""), f"{start}8: {change}.description: is missing")
        self.assertIn(f"{start}12: ", self.error("requestBody: NewThing", "requestBody: OldThing"))
        self.assertIn("there is no schema 'OldThing'", self.error("requestBody: NewThing", "requestBody: OldThing"))
        self.assertIn("is written twice", self.error("  Thing:\n    members", "  NewThing:\n    members"))
        self.assertIn("the path names none", self.error("/v1/organizations/{organization}/things:\n", "/v1/things:\n"))
        self.assertIn("is not among the tags", self.error("tag: Things", "tag: Thing"))
        self.assertIn("there is no 'ThngChanged'", self.error("200: ThingChanged", "200: ThngChanged"))
        self.assertIn("no parameter has the path 'things/{thing}'", self.error("path: 'things/{thing}', ", ""))
        self.assertIn("unknown key", self.error("    members: {id: ThingId", "    propertes: {id: ThingId"))
        self.assertTrue(self.error("tag: Things", "tag: [Things").startswith(start))

    def test_a_change_in_a_workspace_has_its_parameters_and_errors(self):
        create = self.operation("post")
        self.assertEqual(self.names(create["parameters"]), ["DryRun", "IdempotencyKey"])
        self.assertEqual(" ".join(create["responses"]), "200 201 400 401 403 404 406 409 413 415 422 429 503")
        self.assertEqual(
            " ".join(create["responses"]["201"]["headers"]),
            "X-Request-Id Location ETag Signalbox-Position Idempotency-Replayed Cache-Control")
        change = self.operation("patch", "/v1/organizations/{organization}/things/{thing}")
        self.assertEqual(self.names(change["parameters"]), ["DryRun", "IfMatch"])
        self.assertEqual(change["responses"]["409"]["description"], "It is archived.")
        self.assertIn("428", change["responses"])
        delete = self.operation("delete", "/v1/organizations/{organization}/things/{thing}")
        self.assertEqual(self.names([delete["responses"][one] for one in ("200", "204", "409")]),
                         ["RemovalDryRun", "Removed", "IdempotencyConflict"])

    def test_a_list_has_pages(self):
        self.assertEqual(self.names(self.operation("get")["parameters"]), ["Limit", "Cursor"])
        page = self.bundle().document["components"]["schemas"]["ThingPage"]
        self.assertEqual(page["properties"]["data"]["items"], {"$ref": "#/components/schemas/Thing"})
        self.assertEqual(page["examples"][0]["data"], [{"id": "thg_1", "name": "2026-11-24T10:55:02Z"}])

    def test_what_extends_another_has_its_members(self):
        schemas = self.bundle().document["components"]["schemas"]
        self.assertEqual(schemas["IssuedThing"]["required"], ["id", "name", "secret"])
        self.assertEqual(schemas["IssuedThing"]["examples"][0]["id"], "thg_1")
        self.assertEqual(schemas["ThingDryRun"]["examples"][0]["resource"], {"id": "thg_1", "name": "off"})
        self.assertNotIn("required", schemas["NewThing"])

    def test_a_link_takes_ids_from_the_reply_and_the_version_from_its_header(self):
        link = self.bundle().document["components"]["links"]["ChangeThing"]
        self.assertEqual(link["parameters"], {
            "path.organization": "$response.body#/organization_id", "path.thing": "$response.body#/id",
            "header.If-Match": "$response.header.ETag"})

    def test_the_text_is_read_as_what_was_bundled(self):
        bundle = self.bundle(THINGS.replace("thg_1, name: 2026-11-24T10:55:02Z", "'007', name: '1e3'"))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "openapi.yaml"
            path.write_text(bundle.text())
            self.assertEqual(read(path, "openapi.yaml"), bundle.document)


if __name__ == "__main__":
    unittest.main()
