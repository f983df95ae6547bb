#!/usr/bin/env python3
"""Sends mutated requests of every operation to a server of its own, and random bytes to its port.

usage: fuzz.py BINARY [--seconds N] [--seed N] [--requests N]

Schemathesis asks whether replies are what the contract says; this asks whether anything that anybody sends ends the
server, is answered with a 5xx, or makes it grow. A finding is printed with the seed and the request that led to it. In the
end `signalbox verify` says whether the database still holds what it should.
"""

import argparse
import copy
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import yaml

from live import free_port, stripe, wait_until_ready
from stage import Person, Refused, Stage

ROOT = Path(__file__).resolve().parents[2]
# Bytes that a server may keep for good after it has seen everything once.
MOST_GROWTH = 192 << 20
WARM_UP = 1500
RESTAGE_AFTER = 3000

NUMBERS = [0, -1, 1, 2**31, 2**53 + 1, -2**53 - 1, 2**63 - 1, -2**63, 2**63, 2**64, 10**40, 0.5, 1e308, 1e-308, -0.0]
TIMES = ["0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00+00:01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00",
         "9999-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "-0001-01-01T00:00:00Z"]
TEXTS = ["", " ", "\u0000", "\u200b", "\u202e", "e\u0301", "\u00e9", "\U0001f600", "a" * 300, "a" * 70_000, "*" * 200,
         "../..", "%00", "'; DROP TABLE events; --", "{}", "null", "::/0", "10.0.0.0/33", "1:2:3:4:5:6:7:8:9",
         "org_7zzzzzzzzzzzzzzzzzzzzzzzzz", "prj_00000000000000000000000000", "*a*a*a*a*a*a*a*b", "\ud7ff", *TIMES]
HEADERS = {
    "If-Match": ["*", '"1"', 'W/"1"', '"' * 9, '""', '"9223372036854775808"', "x" * 5000],
    "If-None-Match": ["*", '"1", W/"2"', ",,,", '"'],
    "Idempotency-Key": ["k", '"a b"', '"', "x" * 256, "a,b", "\u00e9"],
    "Accept": ["*/*", "text/event-stream", "application/json;q=2", ",", "application/x-ndjson", "text/csv"],
    "Accept-Encoding": ["gzip", "zstd;q=0", "identity;q=0, *;q=0", ";"],
    "Content-Type": ["application/json", "application/json; charset=utf8", "text/plain", "application/x-ndjson", ";"],
    "Content-Encoding": ["gzip", "zstd", "br", "gzip, gzip", ""],
    "Last-Event-ID": ["0", "-1", "9223372036854775808", "x"],
    "traceparent": ["00-" + "f" * 32 + "-" + "f" * 16 + "-01", "ff-", "x"],
    "X-Forwarded-For": ["192.0.2.1", "x, y", "::1", "," * 999],
    "Expect": ["100-continue", "x"],
    "Stripe-Signature": ["t=1,v1=" + "0" * 64, "t=9223372036854775807,v1=0", "v1", "," * 99],
    "Authorization": ["Bearer ", "Bearer sbp_" + "0" * 36, "Basic eDp5", "Bearer a.b.c", "Bearer " + "x" * 9000],
}


class Contract:
    """The operations, and an example of what each takes."""

    def __init__(self):
        self.document = yaml.load((ROOT / "openapi.yaml").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.operations = []
        for path, item in self.document["paths"].items():
            common = item.get("parameters", [])
            for method in ("get", "put", "post", "patch", "delete"):
                if method in item:
                    operation = item[method]
                    parameters = [self.found(p) for p in common + operation.get("parameters", [])]
                    self.operations.append((method.upper(), path, operation, parameters))

    def found(self, value):
        while "$ref" in value:
            target = self.document
            for name in value["$ref"][2:].split("/"):
                target = target[name.replace("~1", "/").replace("~0", "~")]
            value = target
        return value

    def body(self, operation):
        """An example, and its media type; nothing when the operation takes none."""
        content = self.found(operation["requestBody"]).get("content", {}) if "requestBody" in operation else {}
        for kind, media in content.items():
            return kind, self.example(media)
        return None, None

    def example(self, holder, depth=0):
        holder = self.found(holder)
        if "example" in holder:
            return copy.deepcopy(holder["example"])
        if isinstance(holder.get("examples"), dict):
            return copy.deepcopy(next(iter(self.found(e) for e in holder["examples"].values()))["value"])
        if isinstance(holder.get("examples"), list):
            return copy.deepcopy(holder["examples"][0])
        schema = self.found(holder.get("schema", holder))
        if schema is not holder:
            return self.example(schema, depth)
        for join in ("oneOf", "anyOf", "allOf"):
            if join in schema and depth < 9:
                return self.example(schema[join][0], depth + 1)
        if "enum" in schema:
            return schema["enum"][0]
        if "const" in schema:
            return schema["const"]
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object" and depth < 9:
            return {name: self.example(value, depth + 1) for name, value in schema.get("properties", {}).items()}
        if kind == "array" and depth < 9:
            return [self.example(schema["items"], depth + 1)]
        return {"integer": schema.get("minimum", 1), "number": 1, "boolean": True, "string": "a"}.get(kind)


class Mutator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def odd(self):
        """A value that belongs nowhere."""
        return self.random.choice([
            lambda: self.random.choice(NUMBERS), lambda: self.random.choice(TEXTS), lambda: None, lambda: True,
            lambda: [], lambda: {}, lambda: [[[[]]]], lambda: {"": {"": None}}])()

    def changed(self, value):
        """The value with one thing in it that is different."""
        if isinstance(value, dict) and value and self.random.random() < 0.9:
            name = self.random.choice(list(value))
            what = self.random.random()
            if what < 0.1:
                value.pop(name)
            elif what < 0.2:
                value[self.random.choice(TEXTS)[:80]] = self.odd()
            else:
                value[name] = self.changed(value[name])
            return value
        if isinstance(value, list) and value and self.random.random() < 0.9:
            place = self.random.randrange(len(value))
            if self.random.random() < 0.2:
                return value * self.random.choice([0, 2, 50])
            value[place] = self.changed(value[place])
            return value
        if isinstance(value, bool):
            return self.odd()
        if isinstance(value, (int, float)) and self.random.random() < 0.7:
            return self.random.choice(NUMBERS)
        if isinstance(value, str) and self.random.random() < 0.3 and value:
            place = self.random.randrange(len(value))
            return value[:place] + self.random.choice(["", "\u0000", "\u0301", "~", value]) + value[place + 1:]
        return self.odd()

    def bytes(self, data):
        """The bytes with some that are different."""
        data = bytearray(data)
        for _ in range(self.random.randint(1, 4)):
            place = self.random.randint(0, len(data))
            what = self.random.random()
            if what < 0.4 and place < len(data):
                data[place] = self.random.randrange(256)
            elif what < 0.6:
                del data[place:place + self.random.randint(1, 20)]
            elif what < 0.8:
                data[place:place] = self.random.randbytes(self.random.randint(1, 20))
            else:
                data[place:place] = data[:self.random.randint(0, len(data))]
        return bytes(data)

    def text(self, value):
        return str(value) if self.random.random() < 0.5 else str(self.odd())


class Fuzzer:
    def __init__(self, port, token, seed):
        self.port, self.token = port, token
        self.base_url = f"http://127.0.0.1:{port}"
        self.contract, self.mutator = Contract(), Mutator(seed)
        self.random = self.mutator.random
        self.statuses, self.findings = {}, []
        self.operations_sent = set()

    def prepare(self):
        self.stage = Stage(self.base_url, self.token)
        self.ids = self.stage.place | self.stage.own.get("getPersonalAccessToken", {})

    def request(self):
        """A request that is nearly right."""
        method, path, operation, parameters = self.random.choice(self.contract.operations)
        self.operations_sent.add(operation["operationId"])
        mutations = self.random.choice([0, 1, 1, 1, 2, 3])
        query, headers = [], {"Authorization": f"Bearer {self.token}"}
        if "/dataplane/" in path:
            headers["Authorization"] = self.stage.gateway.session.headers["Authorization"]
        for parameter in parameters:
            name = parameter["name"]
            if parameter["in"] == "path":
                value = self.ids.get(name, name)
                if mutations and self.random.random() < 0.15:
                    value = self.mutator.text(value)
                path = path.replace("{" + name + "}", quote(str(value), safe=""))
            elif parameter["in"] == "query" and (parameter.get("required") or self.random.random() < 0.3):
                value = self.contract.example(parameter)
                if mutations and self.random.random() < 0.5:
                    value = self.mutator.text(value)
                query.append(f"{name}={quote(str(value).lower() if isinstance(value, bool) else str(value), safe='')}")
        kind, body = self.contract.body(operation)
        data = b""
        if kind:
            headers["Content-Type"] = kind
            for _ in range(mutations if self.random.random() < 0.8 else 0):
                body = self.mutator.changed(body)
            data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else json.dumps(body).encode()
            if mutations and self.random.random() < 0.2:
                data = self.mutator.bytes(data)
        for _ in range(mutations):
            if self.random.random() < 0.3:
                name = self.random.choice(list(HEADERS))
                headers[name] = self.random.choice(HEADERS[name])
        if mutations and self.random.random() < 0.05:
            query.append(self.mutator.bytes(b"a=b&c").hex() + "=%" + self.random.choice(["", "0", "zz", "00", "ff"]))
        target = path + ("?" + "&".join(query) if query else "")
        return method, target, headers, data

    def head(self, method, target, headers, data):
        lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogatepass")

    def send_one(self):
        request = self.request()
        raw = self.head(*request) + request[3]
        if self.random.random() < 0.1:
            # What a proxy or an attacker would send.
            raw = self.mutator.bytes(raw)
        status, reply = self.exchange(raw)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        # 503 says that it will be answered later; anything else of that kind is a fault.
        if status >= 500 and not (status == 503 and b"retry-after" in reply.lower()):
            self.findings.append((status, raw, reply))

    def exchange(self, raw):
        """The status, or 0 where there is none: half a request has no answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
                connection.settimeout(3)
                try:
                    connection.sendall(raw)
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                reply = b""
                while len(reply) < 1 << 16:
                    part = connection.recv(1 << 16)
                    if not part:
                        break
                    reply += part
                    if b"\r\n\r\n" in reply:
                        break
        except (TimeoutError, ConnectionResetError):
            return 0, b""
        words = reply.split(b" ", 2)
        return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), reply


def resident(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    return 0


def run(options, server, fuzzer):
    end = time.monotonic() + options.seconds
    sent, warm = 0, None
    fuzzer.prepare()
    while time.monotonic() < end and sent < options.requests:
        try:
            fuzzer.send_one()
        except ConnectionRefusedError:
            fuzzer.findings.append((0, b"", b"the server does not answer"))
        sent += 1
        if server.poll() is not None:
            fuzzer.findings.append((0, b"", f"the server ended with {server.returncode}".encode()))
        if fuzzer.findings and (server.poll() is not None or len(fuzzer.findings) >= 5):
            break
        if sent == min(WARM_UP, options.requests // 2):
            warm = resident(server.pid)
        if sent % RESTAGE_AFTER == 0:
            # Much of what there was is archived, revoked or deleted by now.
            fuzzer.prepare()
    alive = server.poll() is None
    growth = resident(server.pid) - warm if alive and warm else 0
    counts = ", ".join(f"{status or 'none'}: {count}" for status, count in sorted(fuzzer.statuses.items()))
    print(f"seed {options.seed}: {sent} requests of {len(fuzzer.operations_sent)} operations ({counts}), "
          f"grew by {growth >> 20} MiB")
    if growth > MOST_GROWTH:
        fuzzer.findings.append((0, b"", f"it grew by {growth >> 20} MiB".encode()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--requests", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    options = parser.parse_args()
    port, token = free_port(), secrets.token_hex(32)
    with tempfile.TemporaryDirectory() as parent, stripe() as stripe_url:
        os.chmod(parent, 0o755)
        environment = os.environ | {
            "SIGNALBOX_BOOTSTRAP_TOKEN": token, "SIGNALBOX_RATE_LIMITS": "off",
            "SIGNALBOX_STRIPE_SECRET_KEY": "sk_test_contract", "SIGNALBOX_STRIPE_BASE_URL": stripe_url,
            "SIGNALBOX_STRIPE_WEBHOOK_SECRETS": "whsec_contract"}
        environment.pop("DATABASE_URL", None)
        with open(f"{parent}/log", "wb") as log:
            server = subprocess.Popen(
                [options.binary, "serve", "--data-dir", f"{parent}/data", "--port", str(port), "--dev-identity"],
                env=environment, stdout=log, stderr=log)
        fuzzer = Fuzzer(port, token, options.seed)
        try:
            wait_until_ready(fuzzer.base_url, server)
            run(options, server, fuzzer)
        except Refused as refusal:
            fuzzer.findings.append((0, b"", f"the stage could not be set: {refusal}".encode()))
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
        verified = subprocess.run(
            [options.binary, "verify", "--data-dir", f"{parent}/data"], env=environment, text=True,
            capture_output=True, check=False)
        print(verified.stdout.strip())
        for status, raw, reply in fuzzer.findings:
            print(f"FOUND, seed {options.seed}: {status}")
            print(f"  sent: {raw[:2000]!r}\n  got:  {reply[:1000]!r}")
        if fuzzer.findings:
            print(Path(parent, "log").read_text(errors="replace")[-3000:])
    return 1 if fuzzer.findings or verified.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
