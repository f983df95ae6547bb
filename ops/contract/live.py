#!/usr/bin/env python3
"""Starts a server with a database of its own, and runs the contract's checks against it.

usage: live.py BINARY [--boundaries] [--long] [--seed N]

`--boundaries` runs the boundary run alone, whole; without it a sample of it follows the checks of run.py.

Everything it makes is removed when it ends.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from stage import Person

HERE = Path(__file__).resolve().parent

# What no log may hold.
SECRETS = {
    "a personal access token": r"\bsbp_[0-9A-Za-z]{36}\b",
    "a service token": r"\bsbx_[0-9A-Za-z]{36}\b",
    "a gateway's token": r"\bsbg_[0-9A-Za-z]{36}\b",
    "an API key": r"\bpk_(?:live|test)_[0-9A-Za-z]{36}\b",
    "an invitation's token": r"\bsbi_[0-9A-Za-z]{36}\b",
    "a provider key": r"\bsk-contract-",
    "Stripe's secret key": r"\bsk_test_contract",
    "the secret of Stripe's webhooks": r"\bwhsec_contract",
    "a webhook's secret": r"\bwhsec_[0-9A-Za-z+/]{43}=",
    "a JWT": r"\beyJ[\w-]+\.eyJ[\w-]+\.",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def published(key):
    """The URL at which the public half is found as GitHub publishes the keys of its secret scanning."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    keys = {"public_keys": [{"key_identifier": "contract", "key": pem, "is_current": True}]}

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(keys).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()


@contextmanager
def stripe():
    """The URL of something that answers like Stripe's API, as far as it is asked here."""
    class API(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            kind = "cs" if self.path == "/v1/checkout/sessions" else "bps"
            self.answer({"id": f"{kind}_{secrets.token_hex(8)}", "url": "https://checkout.stripe.com/c/pay"})

        def do_GET(self):
            self.answer({"object": "list", "data": [{"id": "price_contract", "object": "price"}]})

        def answer(self, value):
            known = self.headers["Authorization"] == "Bearer sk_test_contract"
            body = json.dumps(value).encode()
            self.send_response(200 if known and self.headers["Stripe-Version"] else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), API) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def wait_until_ready(base_url, server):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{base_url}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server did not become ready")


def main():
    binary, *options = sys.argv[1:] or sys.exit(__doc__)
    port, token = free_port(), secrets.token_hex(32)
    base_url = f"http://127.0.0.1:{port}"
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with tempfile.TemporaryDirectory() as parent, published(key) as keys_url, stripe() as stripe_url:
        os.chmod(parent, 0o755)
        directory = f"{parent}/data"
        environment = os.environ | {
            "SIGNALBOX_BOOTSTRAP_TOKEN": token, "SIGNALBOX_RATE_LIMITS": "off",
            "SIGNALBOX_SECRET_SCANNING": "github", "SIGNALBOX_SECRET_SCANNING_KEYS_URL": keys_url,
            "SIGNALBOX_STRIPE_SECRET_KEY": "sk_test_contract", "SIGNALBOX_STRIPE_BASE_URL": stripe_url,
            "SIGNALBOX_STRIPE_WEBHOOK_SECRETS": "whsec_contract"}
        environment.pop("DATABASE_URL", None)
        with open(f"{parent}/log", "wb") as log:
            server = subprocess.Popen(
                [binary, "serve", "--data-dir", directory, "--port", str(port), "--dev-identity"],
                env=environment, stdout=log, stderr=log)
        try:
            wait_until_ready(base_url, server)
            gateway = Person(base_url, token).send("POST", "/v1/platform/gateway-tokens", {"name": "Contract"})
            known = environment | {"SIGNALBOX_TOKEN": token, "SIGNALBOX_SCANNING_KEY": pem}
            runs = [["run.py", base_url, *options], ["boundaries.py", base_url]]
            if "--boundaries" in options:
                runs = [["boundaries.py", base_url, "--long"]]
            status = 0
            for script, *arguments in runs:
                status |= subprocess.run([sys.executable, str(HERE / script), *arguments], env=known, check=False).returncode
            if server.poll() is not None:
                status = print(f"the server has ended with {server.returncode}") or 1
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
        log = Path(parent, "log").read_text(errors="replace")
        known = {"the admin's token": token, "the key of API keys' hashes": re.escape(gateway["api_key_pepper"])}
        for name, secret in (known | SECRETS).items():
            if re.search(secret, log):
                sys.exit(f"the server's log holds {name}")
    return status


if __name__ == "__main__":
    sys.exit(main())
