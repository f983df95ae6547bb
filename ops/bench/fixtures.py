"""Workspaces and projects, made over HTTP."""

import concurrent.futures
import http.client
import itertools
import json
import threading

from processes import TOKEN


class Client:
    """A connection per thread, kept open."""

    def __init__(self, port, token=TOKEN):
        self.port = port
        self.token = token
        self.threads = threading.local()

    def request(self, method, path, body=None, field=None, headers=None):
        """The reply's bytes, or a field of its JSON; anything but a 2xx raises."""
        if not hasattr(self.threads, "connection"):
            self.threads.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection = self.threads.connection
        connection.request(
            method, path, json.dumps(body) if body else None,
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json",
             **(headers or {})})
        response = connection.getresponse()
        text = response.read()
        if not 200 <= response.status < 300:
            raise RuntimeError(f"{method} {path}: {response.status} {text.decode()}")
        return json.loads(text)[field] if field else text

    def create(self, path, body):
        return self.request("POST", path, body, field="id")


def each(items, work):
    """Does that for every item, sixteen at a time."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return list(pool.map(work, items))


def make(port, workspaces, projects, prefix, client=None):
    """The paths of new projects, that many in each of that many new workspaces."""
    client = client or Client(port)
    root = "/v1/organizations"

    def workspace(number):
        return client.create(root, {"name": f"{prefix} {number}"})

    def project(task):
        organization, number = task
        path = f"{root}/{organization}/projects"
        made = client.create(path, {"name": f"Project {number}", "environment": "live"})
        return f"{path}/{made}"

    organizations = each(range(workspaces), workspace)
    return each(itertools.product(organizations, range(projects)), project)
