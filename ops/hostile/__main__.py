"""make hostile: hostile tenants at work all at once, and what the other tenants notice of them.

Rows 21 to 25 of the table of faults together, against a server that runs as in production, rate limits included.
A quiet phase gives the baseline; the hostile phase is compared with it. Exit status 1 says that a bound was missed.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from attacks import ATTACKS
from clients import Client, free_port, signed_in
from neighbours import Neighbours

# What other tenants may notice: p99 of the hostile phase over p99 of the quiet one.
BOUNDS = {"command": 3.0, "read": 3.0, "panic mode": 2.0, "webhook": 3.0}
MEMORY_GROWTH = 1.15
ADMIN_TOKEN = "the-hostile-runs-administrator"


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="signalbox-hostile-") as directory:
        os.chmod(directory, 0o755)
        with server(options.signalbox, pathlib.Path(directory), options.log, options.access_log) as (process, port):
            failed = run(options, process, port)
            if process.poll() is not None:
                failed.append(f"the server ended with status {process.returncode}")
    for reason in failed:
        print(f"FAIL  {reason}")
    print("the hostile run held" if not failed else "the hostile run did not hold")
    return 1 if failed else 0


@contextlib.contextmanager
def server(program, directory, log, access_log):
    port = free_port()
    environment = {
        **os.environ, "SIGNALBOX_BOOTSTRAP_TOKEN": ADMIN_TOKEN, "DATABASE_URL": "",
        "SIGNALBOX_WEBHOOK_ALLOW_PRIVATE": "1"}
    environment.pop("SIGNALBOX_RATE_LIMITS", None)
    with open(log, "wb") as errors, open(access_log, "wb") as access:
        process = subprocess.Popen(
            [str(program), "serve", "--data-dir", str(directory / "data"), "--port", str(port),
             "--dev-identity"],
            env=environment, stdout=access, stderr=errors, start_new_session=True)
        try:
            await_ready(process, port)
            yield process, port
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def await_ready(process, port):
    client = Client(port, ADMIN_TOKEN)
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"the server ended with status {process.returncode}")
        with contextlib.suppress(OSError):
            if client.ask("GET", "/readyz")[0] == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the server does not become ready")


def run(options, process, port):
    """What was missed, in words."""
    admin = Client(port, ADMIN_TOKEN)
    neighbours = Neighbours(port, options.neighbours)
    say("preparing the attacks")
    attacks = [attack(port, admin) for attack in ATTACKS if not options.only or attack.name in options.only]
    say(f"quiet phase, {options.quiet} s")
    quiet = neighbours.measure(options.quiet)
    say(f"hostile phase, {options.seconds} s: {', '.join(attack.name for attack in attacks)}")
    memory = []
    for attack in attacks:
        attack.start()
    try:
        hostile = neighbours.measure(options.seconds, every=5, meanwhile=lambda: memory.append(resident(process)))
    finally:
        counts = {attack.name: attack.stop() for attack in attacks}
    failed = verdict(quiet, hostile, memory)
    print(json.dumps({"attacks": counts}, indent=2))
    return failed


def verdict(quiet, hostile, memory):
    failed = []
    print(f"{'':12} {'n':>8} {'refused':>8} {'quiet p99':>10} {'p50':>8} {'p99':>9} {'ratio':>6}")
    for name, bound in BOUNDS.items():
        before, after = quiet[name], hostile[name]
        ratio = after.p99 / before.p99 if before.p99 else float("inf")
        print(f"{name:12} {after.count:8} {after.refused:8} {before.p99:8.1f}ms {after.p50:6.1f}ms "
              f"{after.p99:7.1f}ms {ratio:6.2f}")
        if ratio > bound:
            failed.append(f"{name}: p99 is {ratio:.2f} times the baseline, {bound} allowed")
        if after.refused:
            failed.append(f"{name}: {after.refused} of {after.count} were refused: {dict(after.statuses)}")
    if len(memory) >= 8:
        quarter = len(memory) // 4
        early, late = (sorted(part)[quarter // 2] for part in (memory[quarter:2 * quarter], memory[-quarter:]))
        print(f"resident memory: {min(memory)} MiB at least, {max(memory)} at most; {early} early, {late} late")
        if late > early * MEMORY_GROWTH + 16:
            failed.append(f"resident memory grew from {early} to {late} MiB")
    return failed


def resident(process):
    """MiB."""
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


def say(text):
    print(text, file=sys.stderr, flush=True)


def arguments():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(prog="make hostile", description=__doc__)
    parser.add_argument("--signalbox", type=pathlib.Path, default=root / ".build/release/signalbox")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("SIGNALBOX_HOSTILE_SECONDS", "3600")))
    parser.add_argument("--quiet", type=int, default=30, help="seconds of the baseline")
    parser.add_argument("--neighbours", type=int, default=4, help="tenants who only go about their work")
    parser.add_argument("--only", action="append", choices=[attack.name for attack in ATTACKS])
    parser.add_argument("--log", type=pathlib.Path, default=pathlib.Path("/dev/null"), help="the server's messages")
    parser.add_argument(
        "--access-log", type=pathlib.Path, default=pathlib.Path("/dev/null"),
        help="what the server says of each request: durations without the clients' own")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
