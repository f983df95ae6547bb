#!/usr/bin/env python3
"""Runs Schemathesis against a server, with every check, from what openapi.yaml says.

usage: run.py BASE_URL [--long] [--seed N]

The server runs with `--dev-identity` and without rate limits. SIGNALBOX_TOKEN is the token of a platform admin, who
sends all requests; people who share no workspace with the admin, and those who are invited, removed and forgotten,
sign in by themselves. SIGNALBOX_SCANNING_KEY is the private key (PEM) of whoever the server takes for GitHub's secret
scanning, under the name `contract`, and SIGNALBOX_STRIPE_WEBHOOK_SECRETS the secret of the server's webhook endpoint for
Stripe, beside which it needs something in the place of Stripe's API; without them, what needs them is left out. The run creates workspaces of its own and leaves them behind. The exit status is 0 only when
nothing was found; a finding is printed with the curl command that repeats it.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from stage import Person, Refused

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "openapi.yaml"

# What there is only where Stripe is.
STRIPE = ["receiveStripeEvent", "listStripeEvents", "getStripeEvent", "replayStripeEvent", "checkOutCredits",
          "checkOutPlan", "openBillingPortal", "listCreditPurchases", "getCreditPurchase", "listLedgerEntries"]

SMALL = ["--max-examples", "40"]
LONG = ["--max-examples", "400", "--max-time", "1800"]


def identities(tokens):
    """The two people, as Web Fuzzing Commons writes them down."""
    return {
        "auth": [
            {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
            for name, token in tokens.items()]}


def arguments():
    parser = argparse.ArgumentParser(description="Run Schemathesis against a server.")
    parser.add_argument("base_url", metavar="BASE_URL", type=lambda url: url.rstrip("/"))
    parser.add_argument("--long", action="store_true", help="half an hour instead of two minutes")
    parser.add_argument("--seed", type=int, default=None,
                        help="repeat the run that printed this seed (default: 1; with --long a new one)")
    return parser.parse_args()


def main():
    options = arguments()
    if "SIGNALBOX_TOKEN" not in os.environ:
        sys.exit("SIGNALBOX_TOKEN is not set")
    try:
        stranger = Person.signed_in(options.base_url, f"stranger-{secrets.token_hex(4)}@example.com")
    except Refused as refusal:
        sys.exit(str(refusal))
    tokens = {"owner": os.environ["SIGNALBOX_TOKEN"], "stranger": stranger.token}
    # The short run judges a change, so it is the same run every time; the long one looks for what nobody thought of.
    default_seed = secrets.randbelow(2**32) if options.long else 1
    seed = default_seed if options.seed is None else options.seed
    environment = os.environ | {
        "SIGNALBOX_URL": options.base_url, "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
        "PYTHONPATH": str(HERE)}
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "identities.json").write_text(json.dumps(identities(tokens)))
        command = [
            # The one beside this Python: nothing needs to be on PATH.
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", str(HERE / "schemathesis.toml"), "run", str(DOCUMENT),
            "--url", options.base_url, "--seed", str(seed), *(LONG if options.long else SMALL)]
        if "SIGNALBOX_SCANNING_KEY" not in os.environ:
            # Nobody but GitHub can sign.
            command += ["--exclude-operation-id", "reportLeakedTokens"]
        if "SIGNALBOX_STRIPE_WEBHOOK_SECRETS" not in os.environ:
            for operation in STRIPE:
                command += ["--exclude-operation-id", operation]
        status = subprocess.run(command, cwd=directory, env=environment, check=False).returncode
    print(f"seed {seed}: {'passed' if status == 0 else 'FAILED'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
