#!/usr/bin/env python3
"""Makes openapi.yaml of the parts in contract/. A part says what is a choice; this adds what is a rule.

usage: bundle.py             fails unless openapi.yaml is what the parts make
       bundle.py --write     writes openapi.yaml

README.md beside this file tells how a part is written.
"""

import sys
from pathlib import Path

from components import Components
from operations import Operations
from parts import ContractError, dump, read

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "openapi.yaml"
STALE = f"{DOCUMENT.name} is not what contract/ makes: run `make bundle`, and commit both"
SECTIONS = ("tag", "paths", "webhooks", "ids", "parameters", "headers", "changes", "responses", "problems", "schemas")
# What only common.yaml has.
COMMON = ("openapi", "info", "servers", "security", "tags", "x-signalbox-global-responses", "securitySchemes")


class Bundle:
    """The document that the parts make, and the place where each of its operations and components is written."""

    def __init__(self, folder=ROOT / "contract"):
        common, parts = _read(folder)
        components = Components()
        for part in parts:
            components.add_all(part)
        operations = Operations(parts, components)
        everywhere = common.require("x-signalbox-global-responses")
        self.document = {key: common[key] for key in COMMON if key in common and key != "securitySchemes"}
        self.document["x-signalbox-global-responses"] = {
            status: components.reference("responses", name, everywhere.place(status))
            for status, name in everywhere.items()}
        self.document["paths"] = operations.paths
        self.document["webhooks"] = {
            name: {"post": operations.webhook(item.require("post"), part["tag"])}
            for part in parts for name, item in part.get("webhooks", {}).items()}
        self.document["components"] = {"securitySchemes": common["securitySchemes"], **components.all()}
        self.sources = {("paths", *key): place for key, place in operations.sources.items()}
        self.sources |= {("components", *key): place for key, place in components.sources.items()}

    def text(self):
        return dump(self.document)

    def source(self, *path):
        """The file and the line of what is at this path of the document, or an empty text."""
        return self.sources.get(tuple(path[:3]), "").partition(": ")[0]


def _read(folder):
    """common.yaml, and all parts with it in the order of its tags, which is the order of the document."""
    parts = [read(path, path.relative_to(folder.parent).as_posix()) for path in sorted(folder.rglob("*.yaml"))]
    common = next((part for part in parts if "openapi" in part), None)
    if common is None:
        raise ContractError(f"{folder.name}: no part has the key 'openapi', as common.yaml must")
    tags = [tag["name"] for tag in common.require("tags")]
    for part in parts:
        part.only(SECTIONS + COMMON if part is common else SECTIONS)
        if part is not common and part.require("tag") not in tags:
            part.fail("tag", f"'{part['tag']}' is not among the tags of {common.file}")
    return common, sorted(parts, key=lambda part: len(tags) if part is common else tags.index(part["tag"]))


def main(arguments):
    try:
        text = Bundle().text()
    except ContractError as error:
        sys.exit(str(error))
    if arguments == ["--write"]:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif text != DOCUMENT.read_text(encoding="utf-8"):
        sys.exit(STALE)


if __name__ == "__main__":
    main(sys.argv[1:])
