"""make bench: our commands and reads beside the least that could do the same work, here and now."""

import argparse
import json
import os
import pathlib
import platform
import signal
import sys
import time

import access
import dataplane
import evidence
import fixtures
import growth
from compare import compare
from load import HERE, Load
from processes import Postgres, ResidentMemory, Server, workspace
from report import goals, table


def main():
    options = arguments()
    # A kill ends like Ctrl-C: whatever we started is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    began = time.monotonic()

    def report(text):
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    results = {"machine": machine(), "quick": options.quick}
    with workspace(options.scratch) as directory:
        report("making a PostgreSQL cluster")
        with Postgres.made_by(options.signalbox, directory).running(
            directory / "postgres.log"
        ) as postgres:
            results["postgres"] = postgres.settings()
            measure(options, directory, postgres, results, report)
    results["goals"] = [
        {"name": g.name, "figure": g.figure, "limit": g.limit, "passed": g.passed}
        for g in goals(results)]
    results["seconds"] = time.monotonic() - began
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))
    print(f"\n{results['seconds']:.0f} s; all figures are in {options.output}")
    return 0 if all(goal["passed"] for goal in results["goals"]) or not options.strict else 1


def measure(options, directory, postgres, results, report):
    if options.only is None:
        commands(options, directory, postgres, results, report)
    if options.only in (None, "evidence"):
        results["evidence"] = evidence.measure(
            options.signalbox, postgres, directory, options.records, options.rows, report)
    if options.only in (None, "dataplane"):
        results["dataplane"] = dataplane.measure(
            options.evaluator, options.signalbox, postgres, directory, options.rounds,
            options.projects, report)


def commands(options, directory, postgres, results, report):
    load = Load(postgres, directory, options.seconds)
    few = directory / "few"
    log = directory / "signalbox.log"
    with Server.running(options.signalbox, postgres, log) as server:
        report("making 10 workspaces with 100 projects each")
        write(few, fixtures.make(server.port, 10, 100, "Few"))
        postgres.sql("-f", HERE / "stored_function.sql")
        results["compared"] = compare(
            load, server, options.floor, few, options.connections, options.rounds, report)
        results["access"] = access.measure(load, server, directory, 32, options.rounds, report)
        if not options.quick:
            growth.fill(load, server, few, options.events, 240, report)
            results["growth"] = grown(options, directory, load, server, few, report)
    if not options.quick:
        report("starting again")
        results["growth"]["restart"] = growth.restart(options.signalbox, postgres, log, few)
        report("events per second of a replay")
        with Server.running(options.signalbox, postgres, log) as server:
            results["growth"]["replay"] = growth.replay(
                postgres, server, few.read_text().splitlines()[0])


def grown(options, directory, load, server, few, report):
    """Latency on the long log, beside that of a second server with a short one."""
    many, fresh = directory / "many", directory / "fresh"
    load.postgres.make_database("short")
    with Server.running(
        options.signalbox, load.postgres, directory / "short.log", "short"
    ) as second, ResidentMemory(server.pid) as memory:
        write(fresh, fixtures.make(second.port, 10, 100, "Few"))
        report(f"making {options.workspaces:,} workspaces")
        write(many, fixtures.make(server.port, options.workspaces, 1, "Many"))
        report("commands on a long log, on a short one, and in many workspaces")
        stages = growth.latency(
            load,
            {
                "short_log": growth.Case(second, fresh, 10),
                "long_log": growth.Case(server, few, 10),
                "many_workspaces": growth.Case(server, many, options.workspaces),
            }, rounds=5, seconds=2)
    stages["rss_mib"] = memory.maximum
    return stages


def write(file, paths):
    file.write_text("\n".join(paths) + "\n")


def machine():
    cpu = pathlib.Path("/proc/cpuinfo").read_text().split("model name\t: ", 1)[-1].split("\n")[0]
    return {
        "processors": os.cpu_count(), "model": cpu, "load": os.getloadavg()[0],
        "kernel": platform.release()}


def arguments():
    release = HERE.parent.parent / ".build/release"
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a smoke run: no growth, one short round")
    add("--output", type=pathlib.Path, default=pathlib.Path("bench-results.json"))
    add("--signalbox", type=pathlib.Path, default=release / "signalbox")
    add("--floor", type=pathlib.Path, default=release / "bare-hummingbird")
    add("--evaluator", type=pathlib.Path, default=release / "evaluator-bench")
    add("--projects", type=int, help="in the largest snapshot (10,000)")
    add("--records", type=int, help="of evidence that come in over HTTP (400,000)")
    add("--rows", type=int, help="of evidence that lists are made from (10,000,000)")
    add("--only", choices=["evidence", "dataplane"], help="nothing but this section")
    add("--connections", type=int, nargs="+", default=[1, 8, 32, 128])
    add("--rounds", type=int, help="of every measurement (3)")
    add("--seconds", type=int, help="of one measurement (3)")
    add("--events", type=int, default=1_000_000, help="in the long log")
    add("--workspaces", type=int, default=10_000, help="when they are many")
    add("--scratch", help="where the data lives meanwhile; its file system is measured too")
    add("--strict", action="store_true", help="status 1 when a goal is missed")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (2 if options.quick else 3)
    options.projects = options.projects or (1_000 if options.quick else 10_000)
    options.records = options.records or (100_000 if options.quick else 400_000)
    options.rows = options.rows or (500_000 if options.quick else 10_000_000)
    for program in (options.signalbox, options.floor, options.evaluator):
        if not program.exists():
            parser.error(f"{program} is missing: swift build -c release")
    return options


if __name__ == "__main__":
    sys.exit(main())
