"""Gives generated requests the facts that no schema can: ids that exist, times that were or will be, names not used
before, tokens that were sent.

Only what was generated to be valid is touched, so that it reaches the operation itself. What was generated to be
wrong is sent as it is, but to something that exists, so that it is refused for what is wrong with it.
"""

import base64
import gzip
import ipaddress
import json
import os
import re
import unicodedata
import zlib
from datetime import UTC, datetime, timedelta

import requests
import schemathesis
import stripe
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jsonschema import Draft202012Validator
from schemathesis.core import NotSet
from schemathesis.core.failures import Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

from stage import Stage

# Set when the server takes events of Stripe's that are signed with it.
stripe_secret = os.environ.get("SIGNALBOX_STRIPE_WEBHOOK_SECRETS")
STAGE = Stage(os.environ["SIGNALBOX_URL"], os.environ["SIGNALBOX_TOKEN"], stripe_secret)

created = {}   # what the run itself created: id of the resource → id of its organization, or its own id
revoked = set()   # paths of what the run revoked
used_names = set()
# Set when the server takes reports of leaked tokens that are signed with it.
scanning_key = os.environ.get("SIGNALBOX_SCANNING_KEY")


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.path.startswith("/v1/dataplane/") and case.headers.get("Authorization") == f"Bearer {STAGE.owner.token}":
        case.headers["Authorization"] = f"Bearer {STAGE.gateway.token}"
    # A stream that the server could follow has no end.
    if _name(case) == "streamChanges" and re.fullmatch(r"[+-]?[0-9]+", str(case.headers.get("Last-Event-ID"))):
        case.headers["Last-Event-ID"] = str(2**53 - 1)
    if _name(case) == "streamEvents" and re.fullmatch(r"[0-9]+|None", str(case.headers.get("Last-Event-ID"))):
        case.headers["Last-Event-ID"] = str(2**53 - 1)
    if case.meta is None:
        return
    if _name(case) == "reportRequestLogs" and isinstance(case.body, list):
        case.body = [_of_this_world(record | _facts(record)) if _is_placed(record) else record for record in case.body]
    # Whatever is sent as lines is a text, and so never what the document calls wrong.
    if case.media_type == "application/x-ndjson" and not isinstance(case.body, NotSet):
        case.body = _records(str(case.body))
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
    # A location that the run itself left out, or spoilt, stays so.
    headers = case.meta.components.get(ParameterLocation.HEADER, case.meta.generation)
    if headers.mode.is_positive:
        if _name(case) == "reportLeakedTokens":
            _sign(case, kwargs)
        if _name(case) == "receiveStripeEvent":
            _sign_as_stripe(case, kwargs)
        coding = case.headers.get("Content-Encoding")
        if coding in ("gzip", "zstd"):
            compress = gzip.compress if coding == "gzip" else _zstd
            kwargs["data"] = compress(_body_as_sent(case))


def _zstd(data):
    """A frame of blocks that are not compressed (RFC 8878, 3.1.1): Python has no encoder of its own."""
    frame = b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little")
    blocks = [data[start:start + 0x1FFFF] for start in range(0, len(data), 0x1FFFF)] or [b""]
    for number, block in enumerate(blocks):
        is_last = number == len(blocks) - 1
        frame += (len(block) << 3 | is_last).to_bytes(3, "little") + block
    return frame


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


@schemathesis.check
def records_are_judged(ctx, response, case):
    """A batch is taken whole: what is wrong with a record is said in the reply, and only then is it refused."""
    if _name(case) != "reportRequestLogs" or response.status_code != 200 or case.meta is None:
        return
    wrong = {place for place, component in case.meta.components.items() if not component.mode.is_positive}
    refused = response.json()["refused"]
    if wrong - {ParameterLocation.BODY} or bool(wrong) != bool(refused):
        raise Failure(
            operation=case.operation.label, title="Wrong records were taken, or valid ones refused",
            message=json.dumps(refused))


@schemathesis.check
def lines_conform(ctx, response, case):
    """Each line of a reply as its schema says, the last of them the result: nothing else here reads lines."""
    if _name(case) != "replayRules" or response.status_code != 200:
        return
    line = {"$ref": "#/components/schemas/ReplayLine"}
    validator = Draft202012Validator(case.operation.schema.raw_schema | line)
    lines = [json.loads(text) for text in response.content.splitlines()]
    errors = [error.message for line in lines for error in validator.iter_errors(line)]
    if errors or not lines or "result" not in lines[-1]:
        raise Failure(
            operation=case.operation.label, title="Lines that do not conform", message="\n".join(errors) or "no result")


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
    if not _is_linked(case):
        case.path_parameters = STAGE.ids(_name(case), ids)


def _is_linked(case):
    ids = case.path_parameters or {}
    linked = all(id in created and created[id] == ids.get("organization", id) for id in ids.values())
    return linked and case.meta.phase.name == TestPhase.STATEFUL


def _query_of_now(case):
    """A cursor that was given out, for the filters it was given for; a version or time that the workspace has seen."""
    query = dict(case.query or {})
    staged = STAGE.place.items() >= (case.path_parameters or {}).items()
    if "cursor" in query:
        query = {name: query[name] for name in ("limit",) if name in query}
        if staged and _name(case) in STAGE.cursors:
            query["cursor"] = STAGE.cursors[_name(case)]
    if "as_of" in query:
        first, newest = STAGE.versions
        if not staged:
            del query["as_of"]
        elif re.fullmatch(r"[0-9]+", str(query["as_of"])):
            query["as_of"] = first + int(query["as_of"]) % (newest - first + 1)
        else:
            query["as_of"] = STAGE.time
    if "country" in query:
        query["country"] = _existing_country(query["country"])
    if "position" in query:
        query["position"] = 1 + int(query["position"]) % STAGE.position
    case.query = query


def _fresh_headers(case):
    """Any key but a used one; the version that a link gave, or the current one, or any."""
    if "Idempotency-Key" in case.headers:
        quote = '"' if case.headers["Idempotency-Key"].startswith('"') else ""
        case.headers["Idempotency-Key"] = f"{quote}{STAGE.run}-{STAGE.next()}{quote}"
    for name, value in (("If-Match", "*"), ("If-None-Match", '"1"')):
        if name in case.headers and not re.fullmatch(r'"[1-9][0-9]*"', str(case.headers[name])):
            case.headers[name] = value
    if "If-Match" in case.headers and case.headers["If-Match"] != "*" and not _is_linked(case):
        case.headers["If-Match"] = STAGE.owner.ask("GET", case.formatted_path).headers.get("ETag", "*")
    # There is a key already, which is not replaced unasked.
    if _name(case) == "setProviderKey":
        case.headers.setdefault("If-Match", "*")


def _body_of_now(case):
    name = _name(case)
    if name == "reportLeakedTokens" and isinstance(case.body, list):
        first, *others = _as_json(case.body)
        case.body = [first | {"token": STAGE.leaked_token()}, *others]
    if not isinstance(case.body, dict):
        return
    body = dict(case.body)
    for member in {"slug", "name"} & body.keys():
        body[member] = _fresh_name(body[member])
    if "key" in body and name == "setProviderKey":
        # live.py looks for it in the log.
        body["key"] = f"sk-contract-{body['key'][:480]}"
    if "url" in body and name.endswith("WebhookEndpoint"):
        body["url"] = f"https://hooks-{STAGE.next()}.contract.invalid/"
    if body.get("event_types") and name.endswith("WebhookEndpoint"):
        body["event_types"] = ["project.*", "rule.created", "*"][:len(body["event_types"])]
    if "email" in body:
        body["email"] = _fresh_address(body["email"])
    organization = (case.path_parameters or {}).get("organization")
    if body.get("project_ids"):
        projects = _projects(organization)
        body["project_ids"] = projects[:len(body["project_ids"])] or None
    if body.get("project_id"):
        body["project_id"] = next(iter(_projects(organization)), None)
    for member in {"success_url", "cancel_url", "return_url"} & body.keys():
        body[member] = f"https://dashboard.example.com/{_number(body[member])}"
    if name == "receiveStripeEvent":
        # What else there may be has no meaning here.
        body = {member: body[member] for member in ("id", "type", "created")}
    if name == "transferOwnership":
        body["user_id"] = STAGE.heir(organization)
    if name in ("acceptInvitation", "declineInvitation"):
        body["token"] = STAGE.invitation_token(name)
    if "rules" in body:
        # No two are about the same.
        rules = [_of_this_world(rule) for rule in body["rules"]]
        body["rules"] = list({_subject(rule): rule for rule in rules}.values())
    if name == "setPanicMode" and not body["enabled"]:
        body.pop("until", None)
    if name == "replayRules":
        body["from"], body["to"] = _window(body["from"], body["to"])
    case.body = _of_this_world(body)


def _of_this_world(thing):
    """The same with an address, a network and a country that exist, and an expiry that is to come."""
    thing = dict(thing)
    for end in ("expires_at", "until"):
        if thing.get(end):
            thing[end] = _to_come(thing[end])
    if thing.get("network"):
        thing["network"] = _fresh_network(thing["network"])
    address = thing.get("address")
    if thing.get("country"):
        thing["country"] = _existing_country(thing["country"])
    if isinstance(address, str) and 2 <= len(address) <= 45 and not _is_network(address):
        number = _number(address)
        thing["address"] = str(ipaddress.ip_address(number if number % 2 else number << 96))
    return thing


def _existing_country(country):
    """A code that is written like one, but names no country, becomes one that does."""
    if re.fullmatch("[A-Z]{2}", str(country)) and country not in STAGE.countries:
        return STAGE.countries[_number(country) % len(STAGE.countries)]
    return country


def _records(text):
    """Lines, each of which is the record of a request."""
    return "\n".join(json.dumps(STAGE.record()) for _ in range(1 + len(text) % 20))


def _is_placed(record):
    """Whether the schema has nothing against when and where it was; what else is wrong with it is to be found."""
    return isinstance(record, dict) and all(
        re.fullmatch(pattern, str(record.get(name)))
        for name, pattern in (("id", "log_.{26}"), ("occurred_at", ".*Z"), ("project_id", "prj_.{26}")))


def _facts(record):
    """What the schema of a record cannot know; what blocked a request is required."""
    fresh = STAGE.record()
    facts = {name: fresh[name] for name in ("id", "occurred_at", "project_id")}
    if record.get("decision") == "block" and record.get("reason") is None:
        facts["reason"] = "model"
    return facts


def _subject(rule):
    """What a rule is about: capital and small letters of models make no difference."""
    if rule.get("model"):
        return rule.get("provider"), rule["model"].lower()
    return rule.get("network"), rule.get("country"), rule.get("region")


def _window(start, end):
    """The two times in their order, and not the same; every other time, with what was recorded between them."""
    start, end = sorted((start, end))
    if STAGE.next() % 2 or start[:19] == end[:19]:
        return "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
    return start, end


def _fresh_network(network):
    """In one place there is one rule about one network."""
    if not _is_network(network) or network in used_names:
        number = STAGE.next()
        network = f"2001:db8:{number % 65536:x}::/48" if number % 2 else f"10.{number >> 8 & 255}.{number & 255}.0/24"
    used_names.add(network)
    return network


def _is_network(text):
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _as_json(value):
    """The same without what the server does not take for JSON in whatever member: large numbers, and names with NUL."""
    return json.loads(
        json.dumps(value), object_pairs_hook=lambda members: {name.replace("\0", ""): item for name, item in members},
        parse_int=lambda text: int(text) if len(text) < 19 else 0,
        parse_float=lambda text: float(text) if 1e-300 < abs(float(text)) < 1e300 else 0.0)


def _number(text):
    return zlib.crc32(text.encode())


def _body_as_sent(case):
    sent = case.as_transport_kwargs(base_url=STAGE.base_url)
    parts = {name: sent[name] for name in ("method", "url", "json", "data") if name in sent}
    body = requests.Request(**parts).prepare().body or b""
    return body.encode() if isinstance(body, str) else body


def _sign(case, kwargs):
    """As GitHub would: over the bytes that are sent."""
    kwargs["data"] = _body_as_sent(case)
    key = load_pem_private_key(scanning_key.encode(), password=None)
    case.headers["Github-Public-Key-Identifier"] = "contract"
    signature = key.sign(kwargs["data"], ec.ECDSA(hashes.SHA256()))
    case.headers["Github-Public-Key-Signature"] = base64.b64encode(signature).decode()


def _sign_as_stripe(case, kwargs):
    """As Stripe's own library does."""
    kwargs["data"] = _body_as_sent(case)
    body = kwargs["data"].decode(errors="replace")
    case.headers["Stripe-Signature"] = stripe.WebhookSignature.generate_signature_header(body, stripe_secret)


def _fresh_name(name):
    """A slug is given once, and so is the one that is made from a name."""
    if isinstance(name, str) and not _is_plain(name):
        name = f"Müller {STAGE.next()}"
    if isinstance(name, str) and name in used_names and len(name) < 30:
        name = f"{name}-{STAGE.next()}"
    used_names.add(name)
    return name


def _is_plain(name):
    """Whether all of it are letters, digits, punctuation, symbols and spaces: what else a name may have, a pattern cannot say."""
    return name.strip() != "" and all(unicodedata.category(character)[0] in "LNPS" or character == " " for character in name) \
        and not any(character in "\u115f\u1160\u2800\u3164\uffa0" for character in name)


def _fresh_address(address):
    """Nobody is invited twice. Which letters an address may have, a pattern cannot say."""
    if not address.isascii():
        address = STAGE.address("jürgen")
    if address.lower() in used_names:
        address = STAGE.address("somebody")
    used_names.add(address.lower())
    return address


def _to_come(time):
    """The same time of day, on a day to come that is no more than a year ahead."""
    day = datetime.now(UTC) + timedelta(days=2 + _number(time) % 360)
    return f"{day:%Y-%m-%d}{time[10:]}"


def _projects(organization):
    ours = [id for id, place in created.items() if place == organization and id.startswith("prj_")]
    return ours or STAGE.projects(organization)
