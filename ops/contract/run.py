#!/usr/bin/env python3
"""Runs Schemathesis against a server, with every check, from what openapi.yaml says.

usage: run.py BASE_URL [--long] [--seed N]

Two tokens come from the environment: SIGNALBOX_TOKEN, and SIGNALBOX_OTHER_TOKEN of somebody else, who must see
nothing of the first one's. The run creates workspaces of its own and leaves them behind. The exit status is 0 only
when nothing was found; a finding is printed with the curl command that repeats it.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import requests

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "openapi.yaml"

SMALL = ["--max-examples", "60"]
LONG = ["--max-examples", "400", "--max-time", "1800"]


class Server:
    """The requests that prepare a run."""

    def __init__(self, base_url, token):
        self.base_url = base_url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def send(self, method, path, **arguments):
        response = self.session.request(method, self.base_url + path, timeout=10, **arguments)
        if not response.ok:
            sys.exit(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    def create_place(self, run, name):
        """An organization with two projects, the first of which has been changed once."""
        slug = f"contract-{run}-{name}"
        organization = self.send(
            "POST", "/v1/organizations", json={"name": f"Contract {run}", "slug": slug})["id"]
        projects = f"/v1/organizations/{organization}/projects"
        for environment in ("test", "live"):
            project = self.send(
                "POST", projects, json={"name": "Contract", "environment": environment})["id"]
        self.send("PUT", f"{projects}/{project}/panic-mode", json={"enabled": True, "reason": "A drill."})
        return {"organization": organization, "project": project}

    def seeds(self, run):
        """What hooks.py needs to know."""
        place, to_archive = self.create_place(run, "place"), self.create_place(run, "to-archive")
        organization = f"/v1/organizations/{place['organization']}"
        events = self.send("GET", f"{organization}/events")["data"]
        created = next(
            event for event in events
            if event["type"] == "project.created"
            and event["payload"]["project_id"] == place["project"])
        lists = {
            "listOrganizations": "/v1/organizations",
            "listProjects": f"{organization}/projects",
            "listAuditEvents": f"{organization}/audit-events",
        }
        return {
            "run": run,
            "place": place,
            "to_archive": to_archive,
            "versions": [created["version"], events[-1]["version"]],
            "time": events[-1]["occurred_at"],
            "cursors": {
                name: self.send("GET", path, params={"limit": 1})["next_cursor"]
                for name, path in lists.items()},
        }


def identities(tokens):
    """The two people, as Web Fuzzing Commons writes them down."""
    return {
        "auth": [
            {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
            for name, token in tokens.items()]}


def arguments():
    parser = argparse.ArgumentParser(description="Run Schemathesis against a server.")
    parser.add_argument("base_url", metavar="BASE_URL", type=lambda url: url.rstrip("/"))
    parser.add_argument("--long", action="store_true", help="half an hour instead of a minute and a half")
    parser.add_argument("--seed", type=int, default=None, 
                        help="repeat the run that printed this seed (default: 1; with --long a new one)")
    return parser.parse_args()


def main():
    options = arguments()
    try:
        tokens = {
            "owner": os.environ["SIGNALBOX_TOKEN"], "stranger": os.environ["SIGNALBOX_OTHER_TOKEN"]}
    except KeyError as missing:
        sys.exit(f"{missing.args[0]} is not set")
    # The short run judges a change, so it is the same run every time; the long one looks for what nobody thought of.
    default_seed = secrets.randbelow(2**32) if options.long else 1
    seed = default_seed if options.seed is None else options.seed
    seeds = Server(options.base_url, tokens["owner"]).seeds(secrets.token_hex(4))
    environment = os.environ | {
        "SIGNALBOX_CONTRACT_SEEDS": json.dumps(seeds), "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")}
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "identities.json").write_text(json.dumps(identities(tokens)))
        command = [
            # The one beside this Python: nothing needs to be on PATH.
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", str(HERE / "schemathesis.toml"), "run", str(DOCUMENT),
            "--url", options.base_url, "--checks", "all", "--seed", str(seed),
            *(LONG if options.long else SMALL)]
        status = subprocess.run(command, cwd=directory, env=environment, check=False).returncode
    print(f"seed {seed}: {'passed' if status == 0 else 'FAILED'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
