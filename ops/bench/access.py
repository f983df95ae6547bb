"""What it costs to know who asks: the kinds of token beside each other, and row security beside none."""

import contextlib
import datetime
import statistics

import fixtures
from fixtures import Client

# A personal access token is what all other measurements use.
KINDS = ("personal access token", "JWT", "service token")
LIST = "GET of the list of projects"
READ = "GET of a project"


def measure(load, server, directory, connections, rounds, report):
    """Medians for every kind of token, and of what row security leaves of the reads."""
    jwt = Client(server.port).request(
        "POST", "/v1/dev/tokens", {"email": "bench@example.com", "name": "Bench"}, field="token")
    person = Client(server.port, jwt)
    targets = directory / "access"
    paths = fixtures.make(server.port, 1, 300, "Access", person)
    targets.write_text("\n".join(paths) + "\n")
    organization = paths[0].split("/projects")[0]
    lists = directory / "lists"
    lists.write_text("\n".join(f"{organization}/projects?limit={n}" for n in range(20, 30)) + "\n")
    tokens = dict(zip(KINDS, (
        person.request("POST", "/v1/me/tokens", {"name": "bench"}, field="token"), jwt,
        person.request(
            "POST", f"{organization}/service-tokens",
            {"name": "bench", "role": "developer", "expires_at": tomorrow()}, field="token"))))
    return {
        "connections": connections,
        "tokens": by_token(load, server, targets, tokens, connections, rounds, report),
        "row_security": by_row_security(
            load, server, {READ: targets, LIST: lists}, jwt, connections, rounds, report),
    }


def by_token(load, server, targets, tokens, connections, rounds, report):
    turns = []
    for turn in range(-1, rounds):
        # Each of them is the first in its turn: what a run leaves behind is not the next one's fault.
        first = turn % len(KINDS)
        found = {
            kind: {
                "reads": load.wrk(
                    "read.lua", server.port, targets, connections, server.pid,
                    token=tokens[kind]),
                "commands": load.commands(server, targets, connections, token=tokens[kind]),
            } for kind in KINDS[first:] + KINDS[:first]
        }
        if turn < 0:  # a warm-up
            continue
        turns.append(found)
        report(f"tokens, round {turn + 1}: " + "  ".join(
            f"{kind} {pair['reads'].per_second:,.0f}, {pair['commands'].per_second:,.0f}/s"
            for kind, pair in found.items()))
    return {
        kind: {
            work: {
                "per_second": statistics.median(turn[kind][work].per_second for turn in turns),
                "ratio": statistics.median(
                    turn[kind][work].per_second / turn[KINDS[0]][work].per_second
                    for turn in turns),
            } for work in ("reads", "commands")
        } for kind in tokens
    }


def by_row_security(load, server, works, token, connections, rounds, report):
    turns = []
    for turn in range(-1, rounds):
        found = {}
        for work, targets in works.items():
            def read():
                return load.wrk(
                    "read.lua", server.port, targets, connections, server.pid,
                    token=token).per_second
            with_it = read()
            with without_row_security(load.postgres, server.database):
                found[work] = (with_it, read())
        if turn < 0:  # a warm-up
            continue
        turns.append(found)
        report(f"row security, round {turn + 1}: " + "  ".join(
            f"{work} {a:,.0f}/s, without {b:,.0f}/s" for work, (a, b) in found.items()))
    return {
        work: {
            "per_second": statistics.median(turn[work][0] for turn in turns),
            "ratio": statistics.median(turn[work][0] / turn[work][1] for turn in turns),
        } for work in works
    }


@contextlib.contextmanager
def without_row_security(postgres, database):
    tables = postgres.query(
        "SELECT oid::regclass FROM pg_class WHERE relrowsecurity", database=database).split()

    def alter(*actions):
        postgres.query(
            ";".join(f"ALTER TABLE {table} {action}" for table in tables for action in actions),
            database=database)

    alter("DISABLE ROW LEVEL SECURITY")
    try:
        yield
    finally:
        alter("ENABLE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY")


def tomorrow():
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(1)).isoformat(
        timespec="seconds").replace("+00:00", "Z")
