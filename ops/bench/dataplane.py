"""How soon gateways have a change, and what a snapshot costs. Every gateway is a connection of its own to the stream."""

import contextlib
import json
import resource
import select
import socket
import statistics
import subprocess
import time

import fixtures
from fixtures import Client
from processes import TOKEN, ResidentMemory, Server

RULES = 100  # of each project
ORGANIZATION = 100  # projects


def measure(evaluator, signalbox, postgres, directory, rounds, projects, report):
    """Propagation at 100 and 1,000 gateways, the evaluator, and snapshots of growing fleets."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    postgres.make_database("dataplane")
    results = {"evaluator": evaluate(evaluator, report)}
    log = directory / "dataplane.log"
    with Server.running(signalbox, postgres, log, "dataplane") as server:
        project = fixtures.make(server.port, 1, 1, "Data plane")[0]
        token = Client(server.port).request(
            "POST", "/v1/platform/gateway-tokens", {"name": "bench"}, field="token")
        results["propagation"] = {
            gateways: propagation(server, project, token, gateways, rounds, report)
            for gateways in (100, 1000)}
        results["snapshots"] = [
            snapshot(server, token, count, report) for count in sorted({projects // 10, projects})]
    return results


def evaluate(program, report):
    decisions = json.loads(subprocess.run([program], check=True, capture_output=True).stdout)
    report(f"evaluator: {decisions['per_second']:,.0f} decisions a second on one core")
    return decisions


class Gateways:
    """Streams that are open at once, and wait."""

    def __init__(self, port, token, count):
        position = snapshot_position(port, token)
        self.poll = select.epoll()
        self.sockets = {}
        request = (
            "GET /v1/dataplane/stream HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer {token}\r\nLast-Event-ID: {position}\r\n\r\n").encode()
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(request)
            self.sockets[connection.fileno()] = connection
            self.poll.register(connection, select.EPOLLIN)
        self.await_all(b"event: status", {})

    def await_all(self, text, seen, patience=10):
        """Until every stream has had the text, which comes in one piece."""
        waiting = set(self.sockets) - set(seen)
        end = time.monotonic() + patience
        while waiting:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(waiting)} gateways do not have {text} yet")
            for descriptor, _ in self.poll.poll(1):
                if text in self.sockets[descriptor].recv(65536):
                    waiting.discard(descriptor)

    def close(self):
        for connection in self.sockets.values():
            connection.close()


def snapshot_position(port, token):
    return Client(port, token).request("GET", "/v1/dataplane/snapshot", field="position")


def propagation(server, project, token, count, rounds, report):
    """Milliseconds from the 200 of a switch of panic mode until the last gateway has it."""
    with contextlib.closing(Gateways(server.port, token, count)) as gateways:
        switch = Switch(server.port, project)
        times = []
        for turn in range(20 + 100 * rounds):
            position = switch.flip()
            answered = time.perf_counter()
            gateways.await_all(f"id: {position}\n".encode(), {})
            if turn >= 20:  # the first ones are a warm-up
                times.append((time.perf_counter() - answered) * 1000)
            time.sleep(0.01)
    times.sort()
    found = {"p50_ms": statistics.median(times), "p99_ms": times[int(len(times) * 0.99)],
             "switches": len(times)}
    report(f"{count} gateways: p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms")
    return found


class Switch:
    """Panic mode, over one connection: the answer's position is read as soon as it is there."""

    def __init__(self, port, project):
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.path = f"{project}/panic-mode"
        self.is_on = False

    def flip(self):
        self.is_on = not self.is_on
        body = json.dumps({"enabled": self.is_on})
        self.connection.sendall(
            f"PUT {self.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        reply = self.connection.recv(65536)
        if not reply.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(reply.decode())
        return int(reply.lower().split(b"signalbox-position: ")[1].split(b"\r\n")[0])


def snapshot(server, token, projects, report):
    """Of a fleet that grows to so many projects with a hundred rules each."""
    fill(server, projects, report)
    with ResidentMemory(server.pid) as memory:
        position = snapshot_position(server.port, token)  # now it is in the cache
        plain = [download(server.port, token, "identity") for _ in range(3)]
        packed = [download(server.port, token, "gzip") for _ in range(3)]
    delta = change(server, token, position)
    found = {
        "projects": projects, "first_byte_ms": statistics.median(r[0] for r in plain),
        "all_ms": statistics.median(r[1] for r in plain), "bytes": plain[0][2],
        "gzip_first_byte_ms": statistics.median(r[0] for r in packed),
        "gzip_ms": statistics.median(r[1] for r in packed), "gzip_bytes": packed[0][2],
        "delta_bytes": delta, "rss_mib": memory.maximum}
    report(
        f"{projects:,} projects: first byte {found['first_byte_ms']:.1f} ms, "
        f"{found['bytes'] / 1e6:.1f} MB in {found['all_ms']:.0f} ms, gzip "
        f"{found['gzip_bytes'] / 1e6:.1f} MB in {found['gzip_ms']:.0f} ms, a change {delta} bytes")
    return found


def fill(server, projects, report):
    client = Client(server.port)
    made = int(client.request("GET", "/v1/platform/gateways", field="position"))
    report(f"making {projects:,} projects with {RULES} rules each (log at {made:,})")
    paths = fixtures.make(
        server.port, projects // ORGANIZATION, ORGANIZATION, f"Fleet {projects}")
    rules = {"rules": [rule(number) for number in range(RULES)]}
    fixtures.each(paths, lambda path: client.request(
        "PUT", f"{path}/rules", rules, headers={"If-Match": "*"}))


def rule(number):
    if number % 2:
        return {"network": f"10.{number}.0.0/16", "effect": "deny"}
    return {"provider": "openai", "model": f"model-{number}*", "effect": "deny"}


def download(port, token, coding):
    """Milliseconds to the first byte and to the last, and how many there are."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            f"GET /v1/dataplane/snapshot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Accept-Encoding: {coding}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        began = time.perf_counter()
        count = len(connection.recv(65536))
        first = time.perf_counter()
        while part := connection.recv(1 << 20):
            count += len(part)
        return ((first - began) * 1000, (time.perf_counter() - began) * 1000, count)


def change(server, token, position):
    """The bytes on the stream for one more rule in a fleet of any size."""
    client = Client(server.port)
    organization = client.request("GET", "/v1/organizations?limit=1", field="data")[0]["id"]
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            f"GET /v1/dataplane/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {position}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode())
        text = b""
        while b"event: status" not in text:
            text += connection.recv(65536)
        client.create(
            f"/v1/organizations/{organization}/rules",
            {"provider": "openai", "model": f"at-{position}", "effect": "deny"})
        text = b""
        while not text.endswith(b"\n\n\r\n"):
            text += connection.recv(65536)
        return len(text)
