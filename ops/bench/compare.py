"""Five ways to do the same work, in turns, at several numbers of connections."""

import statistics

from fixtures import Client
from processes import Floor, ResidentMemory

WAYS = {
    "a": "pgbench, one stored function per command",
    "b": "PUT …/panic-mode over HTTP",
    "c": "pgbench, SELECT of one project",
    "d": "GET of a project over HTTP",
    "e": "bare Hummingbird, the same JSON",
}


def compare(load, server, program, targets, connections, rounds, report):
    """For each number of connections: every way's medians, the ratios' medians, memory."""
    paths = targets.read_text().splitlines()
    json = Client(server.port).request("GET", paths[0])
    results = {}
    with Floor.running(program, paths[0], json) as floor:
        ways = {
            "a": lambda n: load.pgbench("command.pgbench", n, len(paths)),
            "b": lambda n: load.commands(server, targets, n),
            "c": lambda n: load.pgbench("read.pgbench", n, len(paths)),
            "d": lambda n: load.wrk("read.lua", server.port, targets, n, server.pid),
            "e": lambda n: load.wrk("read.lua", floor.port, targets, n, floor.pid),
        }
        # Warm-up, unmeasured.
        for way in ways.values():
            way(8)
        for number in connections:
            with ResidentMemory(server.pid) as memory:
                turns = []
                for turn in range(rounds):
                    turns.append({name: way(number) for name, way in ways.items()})
                    report(f"{number} connections, round {turn + 1}: " + "  ".join(
                        f"({name}) {m.per_second:,.0f}/s" for name, m in turns[-1].items()))
            results[number] = {
                "ways": {name: median([turn[name] for turn in turns]) for name in ways},
                "ratios": {
                    f"{over}/{under}": statistics.median(
                        turn[over].per_second / turn[under].per_second for turn in turns)
                    for over, under in [("b", "a"), ("d", "c"), ("d", "e")]
                },
                "rss_mib": memory.maximum,
            }
    return results


def median(measurements):
    """Field by field, of dataclasses; with what every round saw."""
    names = vars(measurements[0])
    result = {
        name: statistics.median(getattr(m, name) for m in measurements) for name in names}
    result["rounds_per_second"] = [m.per_second for m in measurements]
    return result
