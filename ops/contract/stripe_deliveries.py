#!/usr/bin/env python3
"""Signs payloads with Stripe's own library, as an independent signer for the tests.

usage: stripe_deliveries.py SECRET FILE…     prints a JSON object on each line: name, body, header

Every payload is also read by the library, as Stripe's customers do: what it does not take for an event, it does not print.
"""

import json
import sys
from pathlib import Path

import stripe


def main(arguments):
    secret, *files = arguments
    for file in files:
        body = Path(file).read_text(encoding="utf-8")
        header = stripe.WebhookSignature.generate_signature_header(body, secret)
        event = stripe.Webhook.construct_event(body, header, secret)
        assert event.object == "event" and event.data.object.id, file
        print(json.dumps({"name": Path(file).name, "body": body, "header": header}))


if __name__ == "__main__":
    main(sys.argv[1:])
