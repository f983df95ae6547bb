"""Gives generated requests the facts that no schema can: ids that exist, times that were or will be, names not used
before, tokens that were sent.

Only what was generated to be valid is touched, so that it reaches the operation itself. What was generated to be
wrong is sent as it is, but to something that exists, so that it is refused for what is wrong with it.
"""

import os
import re
import zlib
from datetime import UTC, datetime, timedelta

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

from stage import Stage

STAGE = Stage(os.environ["SIGNALBOX_URL"], os.environ["SIGNALBOX_TOKEN"])

created = {}   # what the run itself created: id of the resource → id of its organization, or its own id
revoked = set()   # paths of what the run revoked
used_names = set()


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None:
        return
    changes = {
        ParameterLocation.QUERY: _query_of_now,
        ParameterLocation.HEADER: _fresh_headers,
        ParameterLocation.BODY: _body_of_now,
    }
    # A path that was not generated to be wrong must lead to nothing that the run itself goes by.
    path = case.meta.components.get(ParameterLocation.PATH)
    if path is None or path.mode.is_positive:
        _existing_path(case)
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
    if _was_carried_out(case, response) or response.status_code in (402, 409):
        STAGE.spend(_name(case))
    if response.status_code == 409 and response.json()["code"] == "too-many-tokens":
        STAGE.make_room()
    if _name(case).startswith("revoke") and _was_carried_out(case, response):
        revoked.add(case.formatted_path)


@schemathesis.check
def revoked_says_so(ctx, response, case):
    """In place of `use_after_free`: what was revoked stays readable, and says that it was."""
    if case.method == "GET" and response.status_code == 200 and case.formatted_path in revoked:
        resource = response.json()
        if resource.get("status", "revoked") != "revoked" or not resource.get("revoked_at", True):
            raise Failure(
                operation=case.operation.label, title="What was revoked does not say so",
                message=f"{case.formatted_path} was revoked")


def _name(case):
    return case.operation.definition.raw["operationId"]


def _was_carried_out(case, response):
    return response.status_code in (201, 204) or response.status_code == 200 and not _is_dry_run(response)


def _is_dry_run(response):
    if not response.headers.get("content-type", [""])[0].startswith("application/json"):
        return False
    body = response.json()
    return isinstance(body, dict) and "dry_run" in body


def _existing_path(case):
    """What a link leads to, or else what stands ready for the operation."""
    ids = case.path_parameters or {}
    if not ids or "code" in ids:
        return
    linked = all(created.get(id) == ids.get("organization", id) for id in ids.values())
    if not linked or case.meta.phase.name != TestPhase.STATEFUL:
        case.path_parameters = STAGE.ids(_name(case), ids)


def _query_of_now(case):
    """A cursor that was given out, for the filters it was given for; a version or time that the workspace has seen."""
    query = dict(case.query or {})
    staged = STAGE.place.items() >= (case.path_parameters or {}).items()
    if "cursor" in query:
        query = {name: query[name] for name in ("limit",) if name in query}
        if staged:
            query["cursor"] = STAGE.cursors[_name(case)]
    if "as_of" in query:
        first, newest = STAGE.versions
        if not staged:
            del query["as_of"]
        elif re.fullmatch(r"[0-9]+", str(query["as_of"])):
            query["as_of"] = first + int(query["as_of"]) % (newest - first + 1)
        else:
            query["as_of"] = STAGE.time
    case.query = query


def _fresh_headers(case):
    """Any key but a used one; the version that a link gave, or any."""
    if "Idempotency-Key" in case.headers:
        quote = '"' if case.headers["Idempotency-Key"].startswith('"') else ""
        case.headers["Idempotency-Key"] = f"{quote}{STAGE.run}-{STAGE.next()}{quote}"
    for name, value in (("If-Match", "*"), ("If-None-Match", '"1"')):
        if name in case.headers and not re.fullmatch(r'"[1-9][0-9]*"', str(case.headers[name])):
            case.headers[name] = value
    # There is a key already, which is not replaced unasked.
    if _name(case) == "setProviderKey":
        case.headers.setdefault("If-Match", "*")


def _body_of_now(case):
    if not isinstance(case.body, dict):
        return
    body, name = dict(case.body), _name(case)
    for member in {"slug", "name"} & body.keys():
        body[member] = _fresh_name(body[member])
    if "key" in body and _name(case) == "setProviderKey":
        # live.py looks for it in the log.
        body["key"] = f"sk-contract-{body['key'][:480]}"
    if "email" in body:
        body["email"] = _fresh_address(body["email"])
    if body.get("expires_at"):
        body["expires_at"] = _to_come(body["expires_at"])
    organization = (case.path_parameters or {}).get("organization")
    if body.get("project_ids"):
        projects = _projects(organization)
        body["project_ids"] = projects[:len(body["project_ids"])] or None
    if name == "transferOwnership":
        body["user_id"] = STAGE.heir(organization)
    if name in ("acceptInvitation", "declineInvitation"):
        body["token"] = STAGE.invitation_token(name)
    case.body = body


def _fresh_name(name):
    """A slug is given once, and so is the one that is made from a name."""
    if isinstance(name, str) and name in used_names and len(name) < 30:
        name = f"{name}-{STAGE.next()}"
    used_names.add(name)
    return name


def _fresh_address(address):
    """Nobody is invited twice."""
    if address.lower() in used_names:
        address = STAGE.address("somebody")
    used_names.add(address.lower())
    return address


def _to_come(time):
    """The same time of day, on a day to come that is no more than a year ahead."""
    day = datetime.now(UTC) + timedelta(days=2 + zlib.crc32(time.encode()) % 360)
    return f"{day:%Y-%m-%d}{time[10:]}"


def _projects(organization):
    ours = [id for id, place in created.items() if place == organization and id.startswith("prj_")]
    return ours or [STAGE.place["project"]] * (organization == STAGE.place["organization"])
