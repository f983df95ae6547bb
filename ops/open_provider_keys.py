#!/usr/bin/env python3
"""Opens sealed provider keys by what ops/sealed-provider-keys.md says, and by nothing else of this repository.

usage: open_provider_keys.py FILE

FILE is JSON like ops/sealed-provider-keys.json: the key-encryption keys as `"keys": {"1": "<base64url>"}`, and under
`"records"` objects with `organization`, `project`, `provider` and `sealed`. Prints what is in the envelopes as a JSON
array. The exit status is 1 when one does not open, or is not what its record says under `"key"`. Needs Python's
`cryptography` (ops/contract/requirements.txt).
"""

import base64
import json
import re
import sys
from pathlib import Path

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as error:
    sys.exit(f"Python's cryptography is missing ({error}): make python installs it")

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


class Sealed(Exception):
    """An envelope that does not open."""


def uuid_bytes(type_id):
    """The 16 bytes of a TypeID: its last 26 characters are a number in Crockford's base32."""
    number = 0
    for digit in type_id.rpartition("_")[2]:
        number = number * 32 + DIGITS.index(digit)
    return number.to_bytes(16, "big")


def from_base64url(text):
    """RFC 4648, section 5, without padding, and nothing else: Python's own decoder skips what it does not know."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise Sealed("malformed")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unbox(key, box, associated_data):
    """nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)."""
    try:
        return AESGCM(key).decrypt(box[:12], box[12:], associated_data)
    except InvalidTag:
        raise Sealed("not authentic") from None


def open_envelope(sealed, organization, project, provider, keys):
    """The provider key in an envelope."""
    envelope = from_base64url(sealed)
    if len(envelope) < 93 or envelope[0] != 1:
        raise Sealed("malformed")
    head, wrapped_key, box = envelope[:5], envelope[5:65], envelope[65:]
    version = int.from_bytes(head[1:], "big")
    if version not in keys:
        raise Sealed(f"there is no key-encryption key {version}")
    context = uuid_bytes(organization) + uuid_bytes(project) + provider.encode()
    data_key = unbox(keys[version], wrapped_key, head + context)
    return unbox(data_key, box, context).decode()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    keys = {int(version): from_base64url(key) for version, key in document["keys"].items()}
    opened = []
    for number, record in enumerate(document["records"]):
        place = [record[name] for name in ("organization", "project", "provider")]
        try:
            key = open_envelope(record["sealed"], *place, keys)
        except Sealed as reason:
            sys.exit(f"record {number} does not open: {reason}")
        if record.get("key", key) != key:
            sys.exit(f"record {number} holds another key")
        opened.append(key)
    print(json.dumps(opened))


if __name__ == "__main__":
    main()
