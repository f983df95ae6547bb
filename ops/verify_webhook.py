#!/usr/bin/env python3
"""Verifies a webhook as its receiver would, with the Standard Webhooks library (pip install standardwebhooks).

usage: verify_webhook.py FILE     a JSON object: `secret`, `headers`, `body`; prints `id type`, or fails

All that a receiver has to do is what `verify` does: by the raw body, before anything is read of it.
"""

import json
import sys

from standardwebhooks import Webhook


def verify(secret, headers, body):
    """What the message says; raises when it is not from whoever has the secret, or is old."""
    return Webhook(secret).verify(body, headers)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        message = json.load(file)
    content = verify(message["secret"], message["headers"], message["body"])
    print(message["headers"]["webhook-id"], content["type"])
