"""Gives generated requests the facts that no schema can: ids that exist, times that were, names not used before.

Only what was generated to be valid is touched, so that it reaches the operation itself. What was generated to be
wrong is sent as it is, but to a workspace that exists, so that it is refused for what is wrong with it.
"""

import json
import os
import re

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

SEEDS = json.loads(os.environ["SIGNALBOX_CONTRACT_SEEDS"])

created = {}   # what the run itself created: id of the resource → id of its organization
used_names = set()
uses = 0


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None:
        return
    changes = {
        ParameterLocation.PATH: _existing_path,
        ParameterLocation.QUERY: _query_of_now,
        ParameterLocation.HEADER: _fresh_headers,
        ParameterLocation.BODY: _fresh_names,
    }
    for location, change in changes.items():
        # A location that the generator does not speak of was filled from a link or an example.
        component = case.meta.components.get(location, case.meta.generation)
        if component.mode.is_positive:
            change(case)


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code == 201:
        resource = response.json()
        created[resource["id"]] = resource.get("organization_id", resource["id"])


def _existing_path(case):
    """What a link leads to, or else a seed. Archiving ends a life, so it has a seed of its own."""
    ids = case.path_parameters or {}
    if "organization" not in ids:
        return
    linked = all(created.get(id) == ids["organization"] for id in ids.values())
    if not linked or case.meta.phase.name != TestPhase.STATEFUL:
        place = SEEDS["to_archive" if case.operation.path.endswith("/archive") else "place"]
        case.path_parameters = {name: place[name] for name in ids}


def _query_of_now(case):
    """A cursor that was given out, for the filters it was given for; a version or time that the workspace has seen."""
    query = dict(case.query or {})
    seeded = SEEDS["place"].items() >= (case.path_parameters or {}).items()
    if "cursor" in query:
        query = {name: query[name] for name in ("limit",) if name in query}
        if seeded:
            query["cursor"] = SEEDS["cursors"][case.operation.definition.raw["operationId"]]
    if "as_of" in query:
        first, newest = SEEDS["versions"]
        if not seeded:
            del query["as_of"]
        elif re.fullmatch(r"[0-9]+", str(query["as_of"])):
            query["as_of"] = first + int(query["as_of"]) % (newest - first + 1)
        else:
            query["as_of"] = SEEDS["time"]
    case.query = query


def _fresh_headers(case):
    """Any key but a used one; the version that a link gave, or any."""
    if "Idempotency-Key" in case.headers:
        quote = '"' if case.headers["Idempotency-Key"].startswith('"') else ""
        case.headers["Idempotency-Key"] = f"{quote}{SEEDS['run']}-{_next_use()}{quote}"
    for name, value in (("If-Match", "*"), ("If-None-Match", '"1"')):
        if name in case.headers and not re.fullmatch(r'"[1-9][0-9]*"', str(case.headers[name])):
            case.headers[name] = value


def _fresh_names(case):
    """A slug is given once, and so is the one that is made from a name."""
    if not isinstance(case.body, dict):
        return
    for member in {"slug", "name"} & case.body.keys():
        name = case.body[member]
        if name in used_names and len(name) < 30:
            case.body = case.body | {member: f"{name}-{_next_use()}"}
        used_names.add(name)


def _next_use():
    global uses
    uses += 1
    return uses
