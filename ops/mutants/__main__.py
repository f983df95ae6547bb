#!/usr/bin/env python3
"""Tries every mutation of mutants.tsv against the tests that must catch it. See README.md."""

import argparse
import json
import re
import shlex
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutations import Stale, read_mutations  # noqa: E402
from scratch import Scratch  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="ops/mutants", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the mutations, after checking that each still fits")
    parser.add_argument("--only", metavar="ID", action="append", help="try only this one; can be repeated")
    parser.add_argument("--fresh", action="store_true", help="try again what was caught by an earlier, interrupted run")
    parser.add_argument("--no-build", action="store_true", help="the scratch copy is built already")
    parser.add_argument("--build-only", action="store_true", help="build the scratch copy, and try nothing")
    parser.add_argument("--no-control", action="store_true", help="do not run the tests without a mutation first")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".build-mutants", help="where the copy is made")
    parser.add_argument("--prefix", default="", help="a command that starts every run of tests, such as 'nice'")
    return parser.parse_args()


class Results:
    """What became of each mutation, kept so that an interrupted run goes on where it stopped."""

    def __init__(self, path, digest):
        self.path, self.digest, self.outcomes = path, digest, {}
        if path.exists():
            stored = json.loads(path.read_text())
            if stored["digest"] == digest:
                self.outcomes = stored["outcomes"]

    def clear(self):
        self.outcomes = {}

    def note(self, name, outcome):
        self.outcomes[name] = outcome
        self.path.write_text(json.dumps({"digest": self.digest, "outcomes": self.outcomes}))


def control(scratch, mutations):
    """Every filter selects a test, and without a mutation all of them pass."""
    names = scratch.test_names()
    idle = [m.name for m in mutations if not any(re.search(m.tests, name) for name in names)]
    if idle:
        sys.exit("no test matches the filter of: " + ", ".join(idle))
    start = time.monotonic()
    outcome, text = scratch.test("|".join(sorted({m.tests for m in mutations})), None, 3600)
    print(f"control: {outcome} after {time.monotonic() - start:.0f} s", flush=True)
    if outcome != "passed":
        print(text)
        sys.exit("the tests fail without any mutation")


def attempt(scratch, mutations, results):
    for number, mutation in enumerate(mutations, 1):
        if results.outcomes.get(mutation.name) not in ("failed", "crashed", "timed out"):
            start = time.monotonic()
            outcome, text = scratch.test(mutation.tests, mutation.name, 600)
            results.note(mutation.name, outcome)
            verdict = "SURVIVED" if outcome == "passed" else outcome
            print(f"[{number}/{len(mutations)}] {mutation.name}: {verdict} after {time.monotonic() - start:.0f} s",
                  flush=True)
            if outcome == "unclear":
                print(text, flush=True)


def main():
    arguments = parse_arguments()
    try:
        mutations = read_mutations(ROOT)
    except Stale as stale:
        sys.exit(str(stale))
    chosen = [m for m in mutations if not arguments.only or m.name in arguments.only]
    if missing := set(arguments.only or []) - {m.name for m in chosen}:
        sys.exit("there is no mutation " + ", ".join(sorted(missing)))
    if arguments.list:
        for mutation in chosen:
            print(f"{mutation.name}\n  {mutation.path}: {mutation.original} → {mutation.instead or '(dropped)'}"
                  f"\n  {mutation.tests}")
        print(f"{len(chosen)} mutations")
        return
    scratch = Scratch(ROOT, arguments.scratch, shlex.split(arguments.prefix))
    if not arguments.no_build:
        # All of them, whatever is tried now: one build serves every run.
        scratch.write(mutations)
        scratch.build()
    if arguments.build_only:
        return
    results = Results(scratch.path / ".mutants.json", scratch.digest())
    if arguments.fresh:
        results.clear()
    if not arguments.no_control:
        control(scratch, chosen)
    attempt(scratch, chosen, results)
    outcomes = {m.name: results.outcomes[m.name] for m in chosen}
    survivors = [name for name, outcome in outcomes.items() if outcome == "passed"]
    unclear = [name for name, outcome in outcomes.items() if outcome == "unclear"]
    print(f"{len(outcomes)} mutations, {len(outcomes) - len(survivors) - len(unclear)} caught, "
          f"{len(survivors)} survived, {len(unclear)} unclear")
    for name in survivors:
        print(f"  survived: {name}")
    sys.exit(1 if survivors or unclear else 0)


if __name__ == "__main__":
    main()
