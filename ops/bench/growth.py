"""What a longer log and more workspaces change."""

import dataclasses
import pathlib
import statistics
import time
import uuid

import fixtures
from compare import median
from processes import Server


@dataclasses.dataclass
class Case:
    """A server, and the projects that its commands go to."""

    server: Server
    targets: pathlib.Path
    workspaces: int


def latency(load, cases, rounds, seconds):
    """Of commands at 1 and 8 connections; all cases in turns: the machine's moods hit each."""
    events = {name: load.events(case.server.database) for name, case in cases.items()}
    turns = {
        connections: [
            {
                name: load.commands(case.server, case.targets, connections, seconds)
                for name, case in cases.items()}
            for _ in range(rounds)]
        for connections in (1, 8)}
    return {
        name: {
            "events": events[name],
            "workspaces": case.workspaces,
            "latency": {n: median([turn[name] for turn in turns[n]]) for n in turns},
        } for name, case in cases.items()
    } | {
        f"{over}/{under}": {
            n: statistics.median(turn[over].p50_ms / turn[under].p50_ms for turn in turns[n])
            for n in turns
        } for over, under in [("long_log", "short_log"), ("many_workspaces", "long_log")]
    }


def fill(load, server, targets, events, patience, report):
    """Appends events with the load itself until the log is that long. Real ones: no generator."""
    start = time.monotonic()
    while (count := load.events()) < events:
        if time.monotonic() - start > patience:
            report(f"the log was to be filled to {events:,} events, time is up at {count:,}")
            break
        seconds = 1 if events - count < 20_000 else 5
        rate = load.commands(server, targets, 128, seconds).per_second
        report(f"filling the log: {load.events():,} events, {rate:,.0f}/s")
    return load.events()


def restart(signalbox, postgres, log, targets):
    """Time to start on the log as it is, and then for the first command of a cold workspace."""
    path = targets.read_text().splitlines()[0]
    starts, firsts = [], []
    for turn in range(3):
        with Server.running(signalbox, postgres, log) as server:
            starts.append(server.seconds_to_start)
            client = fixtures.Client(server.port)
            begin = time.monotonic()
            client.request(
                "PUT", path + "/panic-mode", {"enabled": True, "reason": f"restart {turn}"})
            firsts.append(time.monotonic() - begin)
    return {
        "start_seconds": statistics.median(starts),
        "first_command_seconds": statistics.median(firsts),
    }


def replay(postgres, server, path):
    """Events folded per second: `GET …?as_of=` a version of a long workspace. It folds from the
    newest snapshot before it, so the snapshots, which can always be thrown away, go first."""
    workspace = uuid_of(path.split("/")[3])
    newest = postgres.query(
        f"SELECT max(version) FROM events WHERE organization_id = '{workspace}'")
    events = min(int(newest), 50_000)
    postgres.query("DELETE FROM snapshots")
    client = fixtures.Client(server.port)
    seconds = []
    for _ in range(3):
        begin = time.monotonic()
        client.request("GET", f"{path}?as_of={events}")
        seconds.append(time.monotonic() - begin)
    return {"events": events, "events_per_second": events / statistics.median(seconds)}


def uuid_of(type_id):
    """The UUID in a TypeID: 26 digits of Crockford's base32."""
    number = 0
    for digit in type_id.rsplit("_", 1)[1]:
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(digit)
    return uuid.UUID(int=number)
