#!/usr/bin/env python3
"""Starts a server with a database of its own, and runs the contract's checks against it.

usage: live.py BINARY [--long] [--seed N]

Everything it makes is removed when it ends.
"""

import hashlib
import hmac
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(base_url, server):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{base_url}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server did not become ready")


def add_stranger(directory):
    """Somebody who shares no workspace with anybody. The hash is made as the server makes it."""
    token = secrets.token_hex(32)

    def psql(statement):
        command = ["psql", "-h", f"{directory}/socket", "-U", "signalbox", "-d", "signalbox", "-qAt", "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    pepper = bytes.fromhex(psql("SELECT encode(value, 'hex') FROM server_secrets WHERE name = 'pepper'"))
    digest = hmac.new(pepper, token.encode(), hashlib.sha256).hexdigest()
    user = uuid.uuid4()
    psql(
        f"INSERT INTO users (user_id, issuer, subject) VALUES ('{user}', 'contract', 'stranger'); "
        "INSERT INTO personal_access_tokens (token_id, user_id, name, hash) "
        f"VALUES ('{uuid.uuid4()}', '{user}', 'contract', '\\x{digest}')")
    return token


def main():
    binary, *options = sys.argv[1:] or sys.exit(__doc__)
    port, token = free_port(), secrets.token_hex(32)
    base_url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o755)
        directory = f"{parent}/data"
        environment = os.environ | {"SIGNALBOX_BOOTSTRAP_TOKEN": token}
        environment.pop("DATABASE_URL", None)
        with open(f"{parent}/log", "wb") as log:
            server = subprocess.Popen(
                [binary, "serve", "--data-dir", directory, "--port", str(port)],
                env=environment, stdout=log, stderr=log)
        try:
            wait_until_ready(base_url, server)
            tokens = {"SIGNALBOX_TOKEN": token, "SIGNALBOX_OTHER_TOKEN": add_stranger(directory)}
            status = subprocess.run(
                [sys.executable, str(HERE / "run.py"), base_url, *options],
                env=environment | tokens, check=False).returncode
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
        text = Path(parent, "log").read_bytes()
        for name, secret in tokens.items():
            if secret.encode() in text:
                sys.exit(f"the server's log holds {name}")
    return status


if __name__ == "__main__":
    sys.exit(main())
