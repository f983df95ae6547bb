#!/usr/bin/env python3
"""Sends every integer and every date-time of every request at its bounds and past them, and reads back what was accepted.

usage: boundaries.py BASE_URL [--long] [--seed N]

The values come from openapi.yaml, so a new member is tried without a change here; a new operation with a body needs an
entry in `Bodies`. The server runs as for run.py, with the same environment. It is row 19 of FAULTS.md: nothing is
answered with 5xx, what is past a bound is refused, and every instant that was accepted is read back as it was sent, by
people and by a gateway.
"""

import argparse
import json
import os
import random
import re
import secrets
import sys
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import requests
import stripe
import yaml

from stage import Stage
from validate import Contract

DOCUMENT = Path(__file__).resolve().parents[2] / "openapi.yaml"
# Of the short run: so many values of each place, beside those of the issue that made the run.
SHORT = 6
MICROSECONDS = 1_000_000
FIRST, LAST = -62_135_596_800 * MICROSECONDS, 253_402_300_800 * MICROSECONDS - 1
INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
# Integers that no computer holds by accident.
EDGES = sorted({sign * (1 << bits) + step for bits in (31, 53, 63) for sign in (-1, 1) for step in (-1, 0, 1)})
TIMES = [
    f"{day}T{clock}{offset}"
    for day, clocks in (("0000-01-01", ("00:00:00",)), ("0000-12-31", ("23:59:59.999999",)),
                        ("0001-01-01", ("00:00:00", "23:58:59")), ("1969-12-31", ("23:59:59.999999",)),
                        ("9999-12-31", ("00:00:00", "23:59:59", "23:59:59.999999999")))
    for clock in clocks for offset in ("Z", "+23:59", "-23:59", "+00:01", "-00:01", "-01:00")]


def instant(text):
    """Microseconds since the Unix epoch, of any RFC 3339 time; None when it is no instant of the years 1 to 9999."""
    year, month, day, hour, minute, second = map(int, INSTANT.fullmatch(text).groups()[:6])
    fraction, offset = INSTANT.fullmatch(text).groups()[6:]
    # Python has no year 0. It is a leap year, as the year 400 is.
    days = date(year or 400, month, day).toordinal() - date(1970, 1, 1).toordinal() - (0 if year else 146_097)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    if offset != "Z":
        shift = int(offset[1:3]) * 3600 + int(offset[4:]) * 60
        seconds -= shift if offset[0] == "+" else -shift
    microseconds = seconds * MICROSECONDS + int((fraction or "").ljust(9, "0")[:6])
    return microseconds if FIRST <= microseconds <= LAST else None


class Place:
    """An integer or a date-time of a request."""

    def __init__(self, operation, where, path, schema):
        self.operation, self.where, self.path, self.schema = operation, where, path, schema
        self.is_time = schema.get("format") == "date-time"
        self.label = f"{operation.definition['operationId']} {where} {'/'.join(path)}"

    def values(self):
        """What is sent, and whether the contract has it."""
        if self.is_time:
            return [(text, instant(text) is not None) for text in TIMES]
        least, most = self.schema["minimum"], self.schema.get("maximum")
        ends = {least - 1, least, least + 1} | ({most - 1, most, most + 1} if most is not None else set())
        return [(number, number >= least and (most is None or number <= most)) for number in sorted(ends | {0, *EDGES})]


def places(contract):
    for operation in contract.operations():
        for parameter in operation.parameters.values():
            for schema in numbers(contract, parameter.get("schema", {}), []):
                yield Place(operation, parameter["in"], [parameter["name"]], schema[1])
        for media in (operation.body or {}).get("content", {}).values():
            for path, schema in numbers(contract, media["schema"], []):
                yield Place(operation, "body", path, schema)
            break


def numbers(contract, schema, path):
    schema = contract.at(schema)
    types = schema.get("type", [])
    if schema.get("format") == "date-time" or "integer" in ([types] if isinstance(types, str) else types):
        yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from numbers(contract, member, [*path, name])
    if isinstance(schema.get("items"), dict):
        yield from numbers(contract, schema["items"], [*path, "0"])
    for kind in ("oneOf", "anyOf", "allOf"):
        for one in schema.get(kind, []):
            yield from numbers(contract, one, path)


def with_value(body, path, value):
    """The same with one value in it."""
    if not path:
        return value
    name, *rest = path
    if name == "0":
        return [with_value(body[0], rest, value), *body[1:]]
    return body | {name: with_value(body.get(name) or {}, rest, value)}


class Bodies:
    """A request of each operation that the server takes, into which the values are put."""

    def __init__(self, stage):
        self.stage = stage
        self.month = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def of(self, name):
        make = getattr(self, name, None)
        if make is None:
            sys.exit(f"boundaries.py has no body for {name}")
        return make()

    def createPersonalAccessToken(self):
        return {"name": "Boundary"}

    def createGatewayToken(self):
        return {"name": "boundary"}

    def createServiceToken(self):
        return {"name": "Boundary", "role": "developer", "expires_at": self.month}

    def createApiKey(self):
        return {"name": "Boundary"}

    def changeApiKey(self):
        return {}

    changeProject = rotateApiKey = rotateServiceToken = rotateWebhookSecret = changeApiKey

    def acknowledge(self):
        return {"gateway": "boundary", "position": 1}

    def rule(self):
        return {"provider": "openai", "model": f"m-{self.stage.next()}", "effect": "deny"}

    createRule = rule

    def changeRule(self):
        return {"effect": "deny"}

    def replaceRules(self):
        return {"rules": [self.rule()]}

    def evaluateRules(self):
        return {"provider": "openai", "model": "gpt-4o"}

    def replayRules(self):
        return {"rules": [self.rule()], "from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}

    def setPanicMode(self):
        return {"enabled": True}

    def replayWebhookEvents(self):
        return {"from_position": 1}

    def reportRequestLogs(self):
        return [self.stage.record(), self.stage.record()]

    def receiveStripeEvent(self):
        return {"id": f"evt_{secrets.token_hex(8)}", "object": "event", "type": "boundary.tried",
                "created": int(time.time()), "data": {"object": {"id": "obj_1"}}}


class Run:
    def __init__(self, stage, contract):
        self.stage, self.contract, self.bodies = stage, contract, Bodies(stage)
        self.findings, self.counts = [], Counter()
        # Instants that were accepted: what they are of → the member → what was sent.
        self.expected = {}
        self.sums = Counter()
        organization, project = stage.place["organization"], stage.place["project"]
        self.organization = f"/v1/organizations/{organization}"
        self.project = f"{self.organization}/projects/{project}"

    def find(self, label, text):
        self.findings.append(f"{label}: {text}")

    # Sending.

    def try_value(self, place, value, is_valid):
        name = place.operation.definition["operationId"]
        label = f"{place.label} = {value}"
        path = self.path(place.operation)
        query, headers, body = {}, {"Idempotency-Key": secrets.token_hex(8)}, None
        if "If-Match" in place.operation.parameters:
            headers["If-Match"] = "*"
        if place.where == "query":
            query = {place.path[0]: str(value)}
        elif place.where == "header":
            headers[place.path[0]] = str(value)
        if place.operation.body:
            body = self.bodies.of(name)
            if place.where == "body":
                body = with_value(body, place.path, value)
        reply = self.send(place.operation, path, query, headers, body)
        if reply.status_code == 409 and reply.json()["code"] == "too-many-tokens":
            self.stage.make_room()
            reply = self.send(place.operation, path, query, headers, body)
        self.counts[f"{reply.status_code // 100}xx"] += 1
        if reply.status_code >= 500:
            self.find(label, f"{reply.status_code} {reply.text[:300]}")
        elif name == "reportRequestLogs":
            self.judge_records(label, body, reply, is_valid)
        elif not is_valid and reply.status_code not in (400, 422):
            self.find(label, f"past the bound, and {reply.status_code}")
        elif is_valid and not place.is_time and reply.status_code in (400, 422) and not self.has_own_rule(name, reply):
            self.find(label, f"within the bounds, and {reply.text[:300]}")
        if is_valid and reply.status_code in (200, 201):
            self.accepted(place, name, value, reply)

    def path(self, operation):
        """All in one workspace, which is read back; a key can be rotated once, and what has expired does not change."""
        names = re.findall(r"{(\w+)}", operation.path)
        place = self.stage.place
        if operation.definition["operationId"] in ("changeApiKey", "rotateApiKey"):
            place = place | {"key": self.stage.make_api_key(place["organization"], place["project"])}
        return operation.path.format(**{name: place[name] for name in names})

    def has_own_rule(self, name, reply):
        """Whether what is said of a number is no bound of its own, but that there is nothing so far ahead."""
        return name in ("acknowledge", "getPropagation", "replayWebhookEvents") or "as_of" in reply.text

    def send(self, operation, path, query, headers, body):
        person = self.stage.gateway if operation.permission == "gateway" else self.stage.owner
        if operation.definition["operationId"] == "receiveStripeEvent":
            text = json.dumps(body)
            headers["Stripe-Signature"] = stripe.WebhookSignature.generate_signature_header(
                text, self.stage.stripe_secret)
            headers["Content-Type"] = "application/json"
            return requests.post(self.stage.base_url + path, data=text, headers=headers, timeout=30)
        if operation.definition["operationId"] in ("streamEvents", "streamChanges"):
            # What is followed has no end: its head is the reply.
            headers = headers | {"Authorization": f"Bearer {person.token}"}
            with requests.get(
                    self.stage.base_url + path, params=query, headers=headers, timeout=10, stream=True) as reply:
                if reply.status_code < 400:
                    reply._content = b""
                # A refusal is read while the connection is there.
                _ = reply.content
                return reply
        return person.session.request(
            operation.method.upper(), self.stage.base_url + path, params=query, headers=headers, json=body, timeout=30)

    # Judging.

    def judge_records(self, label, body, reply, is_valid):
        """The record with the value is taken or refused by itself, and its neighbour is taken."""
        if reply.status_code != 200:
            return self.find(label, f"the batch is {reply.status_code}: {reply.text[:300]}")
        outcome = reply.json()
        refused = [item["index"] for item in outcome["refused"]]
        is_time = "occurred_at" in label
        if refused != ([] if is_valid and not is_time else [0]) or outcome["accepted"] != 2 - len(refused):
            self.find(label, f"{json.dumps(outcome)[:300]}")
        for index, record in enumerate(body):
            if index not in refused:
                self.sums["requests"] += 1
                for name in ("tokens_in", "tokens_out", "cost_micro_usd"):
                    self.sums[name] += record.get(name) or 0

    def accepted(self, place, name, value, reply):
        type = reply.headers.get("Content-Type", "")
        if not place.is_time or place.where != "body" or not type.startswith("application/json"):
            return
        thing = reply.json()
        if name == "replaceRules":
            thing = next((rule for rule in thing.get("rules", []) if rule.get("expires_at")), {})
        member = place.path[-1]
        if member in thing:
            self.check(f"{name} {member}", thing[member], value)
            if "id" in thing:
                self.expected[thing["id"]] = {member: value}

    def check(self, label, shown, sent):
        # A key that is to have ended ends now.
        now = int(time.time() * MICROSECONDS)
        recently = range(now - 600 * MICROSECONDS, now) if instant(sent) < now else ()
        if shown is None or instant(shown) != instant(sent) and instant(shown) not in recently:
            self.find(label, f"{sent} was accepted, and is {shown}")

    # Reading back.

    def read_back(self):
        owner, gateway = self.stage.owner, self.stage.gateway
        for path in ("/v1/me/tokens", "/v1/platform/gateway-tokens", f"{self.organization}/service-tokens",
                     f"{self.organization}/rules", f"{self.organization}/events", f"{self.organization}/audit-events",
                     f"{self.organization}/request-logs", f"{self.project}/api-keys", "/v1/platform/stripe-events"):
            for page in self.pages(owner, path):
                self.look_through(path, page)
        for path in (f"{self.project}/rules", self.project, self.organization):
            self.read(owner, path)
        self.read(gateway, "/v1/dataplane/snapshot")
        self.read(owner, f"{self.organization}/request-logs:export?format=csv", parse=False)

    def pages(self, person, path):
        parameters = {"limit": 200}
        while True:
            reply = person.ask("GET", path, params=parameters)
            if not reply.ok:
                return self.find(path, f"{reply.status_code} {reply.text[:300]}")
            yield reply.json()
            if path.endswith("/events"):
                after = reply.json()["next_after"]
                if not reply.json()["data"]:
                    return
                parameters["after"] = after
            elif reply.json()["next_cursor"]:
                parameters["cursor"] = reply.json()["next_cursor"]
            else:
                return

    def read(self, person, path, parse=True):
        reply = person.ask("GET", path)
        if not reply.ok:
            self.find(path, f"{reply.status_code} {reply.text[:300]}")
        elif parse:
            self.look_through(path, reply.json())

    def look_through(self, path, value, id=None):
        """Every time is one, and every accepted one is what was sent."""
        if isinstance(value, dict):
            own = value.get("id", id)
            for name, child in value.items():
                # The history of a thing also shows what it was before.
                if name in self.expected.get(own, {}) and not path.endswith("events"):
                    self.check(f"{path} {own} {name}", child, self.expected[own][name])
                self.look_through(path, child, child_id(name, own))
        elif isinstance(value, list):
            for child in value:
                self.look_through(path, child, id)
        elif isinstance(value, str) and INSTANT.fullmatch(value) and instant(value) is None:
            self.find(path, f"shows {value}")

    def rotate(self):
        """A rotation shortens no life, and leads nowhere behind the end of time."""
        for path in (f"{self.project}/api-keys", f"{self.organization}/service-tokens"):
            for page in self.pages(self.stage.owner, path):
                for thing in page["data"]:
                    if thing.get("revoked_at") or not thing["expires_at"]:
                        continue
                    verb = ":rotate" if "api-keys" in path else "/rotate"
                    for grace in (0, 604_800):
                        reply = self.stage.owner.ask("POST", f"{path}/{thing['id']}{verb}", {"grace_seconds": grace})
                        self.counts["rotations"] += 1
                        if reply.status_code >= 500:
                            self.find(f"{path} rotated", reply.text[:300])
                        elif reply.ok:
                            # The former one ends with its grace.
                            self.expected.pop(thing["id"], None)
                            shown = reply.json()["expires_at"]
                            self.expected[reply.json()["id"]] = {"expires_at": shown}
                            if instant(shown) is None or instant(shown) < instant(thing["expires_at"]):
                                self.find(f"{path} rotated", f"{thing['expires_at']} became {shown}")

    def count_usage(self):
        """What was reported is counted, and nothing wraps."""
        path = f"{self.organization}/usage"
        deadline = time.monotonic() + 30
        while (usage := self.stage.owner.send("GET", path))["pending"] and time.monotonic() < deadline:
            time.sleep(0.2)
        if usage["pending"]:
            self.find(path, "is not counted")
        for name in ("requests", "tokens_in", "tokens_out", "cost_micro_usd"):
            counted = sum(row[name] for row in usage["data"])
            # The stage itself has reported two records.
            if counted != self.sums[name] + (2 if name == "requests" else 0):
                self.find(path, f"{name} is {counted}, and {self.sums[name]} was reported")
        for period, status in (("0001-01", 200), ("9999-12", 200), ("0000-01", 422), ("0000-12", 422),
                               ("10000-01", 422), ("-001-01", 422), ("9999-13", 422)):
            reply = self.stage.owner.ask("GET", path, params={"period": period})
            if reply.status_code != status:
                self.find(f"{path}?period={period}", f"{reply.status_code} {reply.text[:300]}")

    def is_alive(self):
        try:
            return requests.get(f"{self.stage.base_url}/readyz", timeout=10).ok
        except requests.RequestException:
            return False


def child_id(name, own):
    """In snapshots things stand under their ids; elsewhere they have them as a member."""
    return name if re.fullmatch(r"[a-z]{3}_[0-9a-z]{26}", name) else own


def chosen(place, is_long, source):
    values = place.values()
    if is_long or len(values) <= SHORT:
        return values
    return source.sample(values, SHORT)


def main():
    parser = argparse.ArgumentParser(description="Try every bound of every request.")
    parser.add_argument("base_url", metavar="BASE_URL", type=lambda url: url.rstrip("/"))
    parser.add_argument("--long", action="store_true", help="every value, not a sample of them")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    options = parser.parse_args()
    started = time.monotonic()
    contract = Contract(yaml.safe_load(DOCUMENT.read_text(encoding="utf-8")))
    stage = Stage(options.base_url, os.environ["SIGNALBOX_TOKEN"], os.environ.get("SIGNALBOX_STRIPE_WEBHOOK_SECRETS"))
    run, source, tried = Run(stage, contract), random.Random(options.seed), Counter()
    for place in places(contract):
        if place.operation.definition["operationId"] == "receiveStripeEvent" and not stage.stripe_secret:
            continue
        for value, is_valid in chosen(place, options.long, source):
            try:
                run.try_value(place, value, is_valid)
            except requests.RequestException as error:
                run.find(f"{place.label} = {value}", f"no answer: {error}")
                if not run.is_alive():
                    break
            tried["times" if place.is_time else "integers"] += 1
    if run.is_alive():
        for step in (run.read_back, run.rotate, run.read_back, run.count_usage):
            step()
    if not run.is_alive():
        run.find("the server", "is not alive")
    for finding in run.findings[:100]:
        print(finding)
    print(f"boundaries: {tried['integers']} integers and {tried['times']} times, {dict(sorted(run.counts.items()))}, "
          f"seed {options.seed}, {time.monotonic() - started:.0f} s: {len(run.findings)} findings")
    return 1 if run.findings else 0


if __name__ == "__main__":
    sys.exit(main())
