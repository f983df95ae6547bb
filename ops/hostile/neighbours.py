"""Tenants who go about their work, and measure how long it takes."""

import collections
import http.server
import json
import threading
import time

from clients import signed_in, workspace

# Of each neighbour, per second.
RATES = {"command": 8, "read": 20, "panic mode": 2}


class Figures:
    """How long something took, in milliseconds, and how often it was refused."""

    def __init__(self):
        self.times, self.statuses = [], collections.Counter()

    def add(self, seconds, status):
        self.times.append(seconds * 1000)
        self.statuses[status] += 1

    @property
    def count(self):
        return len(self.times)

    @property
    def refused(self):
        return sum(count for status, count in self.statuses.items() if status != 200)

    def quantile(self, share):
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    p50 = property(lambda self: self.quantile(0.5))
    p99 = property(lambda self: self.quantile(0.99))


class Neighbours:
    def __init__(self, port, count):
        self.port = port
        self.receiver = Receiver()
        self.people = []
        for number in range(count):
            client = signed_in(port, f"neighbour-{number}@example.com")
            organization, project = workspace(client, f"Neighbour {number}")
            client.send("POST", f"{organization}/webhook-endpoints", {
                "url": f"http://127.0.0.1:{self.receiver.port}/{number}", "event_types": ["project.*"]})
            self.people.append((client, project))

    def measure(self, seconds, every=5, meanwhile=lambda: None):
        """Figures by what was done."""
        figures = collections.defaultdict(Figures)
        self.receiver.figures = figures["webhook"]
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self.work, args=(client, project, kind, figures[kind], end), daemon=True)
            for client, project in self.people for kind in RATES]
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            meanwhile()
            time.sleep(min(every, max(0.0, end - time.monotonic())))
        for thread in threads:
            thread.join(30)
        time.sleep(0.5)
        return figures

    def work(self, client, project, kind, figures, end):
        """At a steady pace, whatever the replies: a late reply does not thin out what follows."""
        pause, due, turn = 1 / RATES[kind], time.monotonic(), 0
        while (now := time.monotonic()) < end:
            if now < due:
                time.sleep(due - now)
            turn += 1
            begin = time.monotonic()
            try:
                status, _ = self.act(client, project, kind, turn)
            except Exception as error:  # noqa: BLE001: what it was is counted
                status = type(error).__name__
            figures.add(time.monotonic() - begin, status)
            due = max(due + pause, time.monotonic() - 1)

    def act(self, client, project, kind, turn):
        match kind:
            case "command":
                sent = time.time()
                return client.ask(
                    "PATCH", project, {"name": f"At {sent:.6f}"}, {"If-Match": "*"})
            case "read":
                return client.ask("GET", project)
            case "panic mode":
                return client.ask("PUT", f"{project}/panic-mode", {"enabled": turn % 2 == 1})


class Receiver:
    """Takes the neighbours' webhooks, and knows from the project's name when the change was sent."""

    def __init__(self):
        receiver = self
        self.figures = Figures()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                text = json.dumps(body)
                if (place := text.find('"At ')) >= 0:
                    sent = float(text[place + 4:].split('"')[0])
                    receiver.figures.add(time.time() - sent, 200)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
