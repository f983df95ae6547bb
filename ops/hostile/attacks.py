"""Hostile tenants, a process each, so that they do not share an interpreter with those who measure."""

import collections
import contextlib
import json
import multiprocessing
import os
import secrets
import select
import socket
import threading
import time

from clients import Client, signed_in, workspace

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Attack:
    """Prepared by `__init__`, with the help of the platform where it takes some; `work` is its process."""

    # Everybody behind an address of their own, but where the address is the point.
    source = "127.0.0.1"

    def __init__(self, port, admin):
        self.port = port
        self.ending = multiprocessing.Event()
        self.counts = multiprocessing.Queue()

    def start(self):
        self.process = multiprocessing.Process(target=self.main, daemon=True)
        self.process.start()

    def stop(self):
        """What it was answered, how often."""
        self.ending.set()
        try:
            return self.counts.get(timeout=30)
        finally:
            self.process.join(5)
            self.process.kill()

    def main(self):
        # In life the attackers compute on machines of their own; here they only get what the server and its other callers
        # leave of the processors.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        counter = collections.Counter()
        with contextlib.suppress(KeyboardInterrupt):
            self.work(counter)
        self.counts.put(dict(counter))

    def repeat(self, counter, threads, act):
        """Does it again and again, on so many threads, until the end.

        After a refusal it pauses for a moment: the attackers share the machine's processors with the server, and it is
        the server that is measured.
        """
        def loop(number):
            while not self.ending.is_set():
                try:
                    outcome = str(act(number))
                    counter[outcome] += 1
                    if outcome in ("401", "429", "503"):
                        time.sleep(0.002)
                except Exception as error:  # noqa: BLE001: what it was is counted
                    counter[type(error).__name__] += 1
                    time.sleep(0.05)

        workers = [threading.Thread(target=loop, args=(n,), daemon=True) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive() and not self.ending.wait(0.2):
                pass
        for worker in workers:
            worker.join(5)


class LargestChange(Attack):
    """Row 21: five thousand rules are replaced by five thousand others, from four connections."""

    name = "largest-change"
    source = "127.0.0.21"

    def __init__(self, port, admin):
        super().__init__(port, admin)
        self.client = signed_in(port, "largest@example.com", self.source)
        self.organization, self.project = workspace(self.client, "Largest")
        business(admin, self.organization)

    def work(self, counter):
        sets = [json.dumps({"rules": [
            {"provider": "openai", "model": f"{letter}-{number:05}*", "effect": "deny"}
            for number in range(5000)]}).encode() for letter in "abcd"]
        turn = iter(range(1 << 60))
        self.repeat(counter, 4, lambda _: self.client.ask(
            "PUT", f"{self.project}/rules", sets[next(turn) % 4], {"If-Match": "*"})[0])


class DearestReplays(Attack):
    """Row 22: eight at once replay and evaluate the dearest patterns on the most records; half of them leave early."""

    name = "dearest-replays"
    source = "127.0.0.22"
    records = 16_000

    def __init__(self, port, admin):
        super().__init__(port, admin)
        self.client = signed_in(port, "dearest@example.com", self.source)
        self.organization, self.project = workspace(self.client, "Dearest")
        business(admin, self.organization)
        gateway = Client(port, admin.send("POST", "/v1/platform/gateway-tokens", {"name": "hostile"})["token"])
        for _ in range(self.records // 4000):
            gateway.send("POST", "/v1/dataplane/request-logs", self.batch(4000),
                         {"Content-Type": "application/x-ndjson"})

    def batch(self, count):
        project = self.project.split("/")[-1]
        now = time.time_ns() // 1_000_000
        lines = []
        for number in range(count):
            moment = now - secrets.randbelow(60_000)
            bits = moment << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
            log = "".join(ALPHABET[bits >> shift & 31] for shift in range(125, -5, -5))
            at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 1000))
            lines.append(json.dumps({
                "id": f"log_{log}", "occurred_at": f"{at}.{moment % 1000:03d}Z", "project_id": project,
                "decision": "allow", "route": "/v1/chat/completions", "provider": "openai",
                "model": "a" * 100 + str(number), "country": "DE", "tokens_in": 5, "tokens_out": 1,
                "cost_micro_usd": 1, "status": 200, "latency_ms": 8, "configuration_position": 1}))
        return "\n".join(lines).encode()

    def work(self, counter):
        rules = [{"provider": "openai", "model": "*a" * 30 + f"*N{number}", "effect": "deny"}
                 for number in range(5000)]
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400))
        replay = json.dumps({"rules": rules, "from": start, "to": end}).encode()
        evaluate = json.dumps({"provider": "openai", "model": "a" * 120}).encode()

        def act(number):
            if number % 4 == 3:
                return self.client.ask("POST", f"{self.project}/rules:evaluate", evaluate)[0]
            if number % 4 == 2:
                return self.leave_early(replay)
            return self.client.ask(
                "POST", f"{self.project}/rules:replay", replay, {"Accept": "application/x-ndjson"})[0]

        self.repeat(counter, 8, act)

    def leave_early(self, body):
        head = (f"POST {self.project}/rules:replay HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {self.client.token}\r\nContent-Type: application/json\r\n"
                f"Accept: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        with socket.create_connection(("127.0.0.1", self.port), 10, (self.source, 0)) as connection:
            connection.sendall(head + body)
            time.sleep(0.2)
        return "left"


class BodiesWithoutToken(Attack):
    """Row 23: a thousand connections without a token, each sending a large body."""

    name = "bodies-without-token"
    connections = 1000

    def work(self, counter):
        head = (b"POST /v1/organizations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000000\r\n\r\n")
        piece = b" " * 16_384
        poll, open_ones = select.epoll(), {}
        number = 0
        while not self.ending.is_set():
            while len(open_ones) < self.connections and not self.ending.is_set():
                number += 1
                connection = socket.socket()
                connection.setblocking(False)
                with contextlib.suppress(OSError):
                    connection.bind((f"127.0.1.{number % 250 + 1}", 0))
                connection.connect_ex(("127.0.0.1", self.port))
                open_ones[connection.fileno()] = [connection, head]
                poll.register(connection, select.EPOLLOUT | select.EPOLLIN)
                counter["opened"] += 1
                if number % 20 == 0:
                    break
            for descriptor, happened in poll.poll(0.05):
                entry = open_ones[descriptor]
                try:
                    if happened & select.EPOLLIN:
                        answer = entry[0].recv(4096)
                        if answer.startswith(b"HTTP/"):
                            counter[answer[9:12].decode()] += 1
                        if not answer:
                            raise ConnectionError
                    elif happened & select.EPOLLOUT:
                        sent = entry[0].send(entry[1])
                        entry[1] = entry[1][sent:] or piece
                    else:
                        raise ConnectionError
                except BlockingIOError:
                    pass
                except OSError:
                    poll.unregister(descriptor)
                    open_ones.pop(descriptor)[0].close()
                    counter["closed"] += 1
            time.sleep(0.02)


class HangingWebhooks(Attack):
    """Row 24: one user's many workspaces full of endpoints that hang, made anew every few seconds."""

    name = "hanging-webhooks"
    source = "127.0.0.24"
    workspaces = 20
    endpoints = 10

    def __init__(self, port, admin):
        super().__init__(port, admin)
        self.client = signed_in(port, "hanging@example.com", self.source)
        self.places = [workspace(self.client, f"Hanging {number}") for number in range(self.workspaces)]

    def work(self, counter):
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        port = listener.getsockname()[1]
        held = collections.deque(maxlen=2000)

        def accept():
            while not self.ending.is_set():
                held.append(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()

        def act(_):
            for organization, project in self.places:
                if self.ending.is_set():
                    return "ended"
                made = []
                for number in range(self.endpoints):
                    status, body = self.client.ask("POST", f"{organization}/webhook-endpoints", {
                        "url": f"http://127.0.0.1:{port}/{number}", "event_types": ["project.*"]})
                    counter[f"made {status}"] += 1
                    if status == 201:
                        made.append(json.loads(body)["id"])
                status, _ = self.client.ask(
                    "PATCH", project, {"name": f"H {time.time():.6f}"}, {"If-Match": "*"})
                counter[f"changed {status}"] += 1
                for endpoint in made[:-5]:
                    status, _ = self.client.ask(
                        "DELETE", f"{organization}/webhook-endpoints/{endpoint}", headers={"If-Match": "*"})
                    counter[f"deleted {status}"] += 1
            self.ending.wait(3)
            return "round"

        self.repeat(counter, 1, act)


class FailedLogins(Attack):
    """Row 25: logins that fail, from the address that everybody else is behind."""

    name = "failed-logins"

    def work(self, counter):
        clients = [Client(self.port) for _ in range(4)]

        def act(number):
            client = clients[number]
            client.token = ["sbp_", "sbx_", "sbg_", ""][number] + secrets.token_hex(18)
            return client.ask("GET", "/v1/me")[0]

        self.repeat(counter, 4, act)


def business(admin, organization):
    """The platform gives the workspace its largest plan."""
    admin.send("PUT", f"{organization}/plan", {"plan_tier": "business"}, {"If-Match": "*"})


ATTACKS = [LargestChange, DearestReplays, BodiesWithoutToken, HangingWebhooks, FailedLogins]
