"""HTTP for tenants, good and bad: one connection for each thread, kept open."""

import http.client
import json
import socket
import threading


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Client:
    def __init__(self, port, token=None, source="127.0.0.1"):
        self.port, self.token, self.source = port, token, source
        self.threads = threading.local()

    def ask(self, method, path, body=None, headers=None):
        """Status and body of the reply. A connection that was lost is opened anew, once."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = {"Content-Type": "application/json", **(headers or {})}
        if self.token:
            fields["Authorization"] = f"Bearer {self.token}"
        for attempt in range(2):
            connection = self.connection()
            try:
                connection.request(method, path, body, fields)
                response = connection.getresponse()
                return response.status, response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self.threads.connection = None
                if attempt:
                    raise
        raise AssertionError("unreachable")

    def send(self, method, path, body=None, headers=None):
        """The reply's JSON; anything but a 2xx raises."""
        status, text = self.ask(method, path, body, headers)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path}: {status} {text.decode()[:400]}")
        return json.loads(text) if text else None

    def connection(self):
        if getattr(self.threads, "connection", None) is None:
            self.threads.connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=20, source_address=(self.source, 0))
        return self.threads.connection


def signed_in(port, email, source="127.0.0.1"):
    """A person, new unless the address is known."""
    reply = Client(port).send("POST", "/v1/dev/tokens", {"email": email, "name": email.split("@")[0]})
    return Client(port, reply["token"], source)


def workspace(client, name):
    """The path of a new workspace, and of a project in it."""
    organization = f"/v1/organizations/{client.send('POST', '/v1/organizations', {'name': name})['id']}"
    project = client.send("POST", f"{organization}/projects", {"name": name, "environment": "live"})["id"]
    return organization, f"{organization}/projects/{project}"
