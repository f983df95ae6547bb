"""What is expected of the figures, and the table."""

import collections.abc
import dataclasses
import operator

from access import KINDS, READ
from compare import WAYS


@dataclasses.dataclass
class Goal:
    name: str
    limit: float
    holds: collections.abc.Callable[[float, float], bool]
    figure: float
    unit: str = ""

    @property
    def passed(self):
        return self.holds(self.figure, self.limit)


def goals(results):
    """Every goal for which there is a figure."""
    compared, growth = results.get("compared", {}), results.get("growth")
    least, most = operator.ge, operator.le
    found = []
    if 32 in compared:
        ratios = compared[32]["ratios"]
        found.append(Goal("(b)/(a) at 32 connections", 1.0, least, ratios["b/a"]))
        found.append(Goal("(d)/(e) at 32 connections", 0.75, least, ratios["d/e"]))
    if 128 in compared:
        found.append(Goal("(b)/(a) at 128 connections", 1.3, least, compared[128]["ratios"]["b/a"]))
        found.append(Goal("RSS at 128 connections", 200, most, compared[128]["rss_mib"], " MiB"))
    if 8 in compared:
        p99 = compared[8]["ways"]["b"]["p99_ms"]
        found.append(Goal("p99 of (b) at 8 connections", 6, most, p99, " ms"))
    access = results.get("access", {"tokens": {}, "row_security": {}})
    for kind, works in access["tokens"].items():
        for work, figures in works.items():
            if kind != KINDS[0]:
                name = f"{work} with a {kind} / with a {KINDS[0]}"
                found.append(Goal(name, 0.9, least, figures["ratio"]))
    if READ in access["row_security"]:
        ratio = access["row_security"][READ]["ratio"]
        found.append(Goal(f"{READ} with row security / without", 0.9, least, ratio))
    if evidence := results.get("evidence"):
        found += evidence_goals(evidence)
    if dataplane := results.get("dataplane"):
        found += dataplane_goals(dataplane)
    if growth:
        count = f"{growth['long_log']['events']:,}"
        for connections, ratio in growth["long_log/short_log"].items():
            name = f"p50 of (b) at {connections}: {count} events / 10^3"
            found.append(Goal(name, 1.2, most, ratio))
        found.append(
            Goal(f"start on {count} events", 2, most, growth["restart"]["start_seconds"], " s"))
    return found


def evidence_goals(evidence):
    least, most = operator.ge, operator.le
    ingest, listed = evidence["ingest"], evidence["list"]
    yield Goal("evidence over HTTP / by COPY", 0.5, least, ingest["ratio"])
    yield Goal("rows of evidence a second over HTTP", 40_000, least, ingest["per_second"])
    name = f"p99 of a list with two filters over {listed['rows']:,} rows"
    yield Goal(name, 50, most, listed["p99_ms"], " ms")


def dataplane_goals(dataplane):
    least, most = operator.ge, operator.le
    yield Goal(
        "decisions a second on one core", 1e6, least, dataplane["evaluator"]["per_second"])
    for gateways, limit in ((100, 20), (1000, 100)):
        p99 = dataplane["propagation"][gateways]["p99_ms"]
        yield Goal(f"p99 until the last of {gateways:,} gateways has it", limit, most, p99, " ms")
    small, large = dataplane["snapshots"][0], dataplane["snapshots"][-1]
    size = f"snapshot of {large['projects']:,} projects"
    yield Goal(f"first byte of a {size}", 200, most, large["first_byte_ms"], " ms")
    yield Goal(f"first byte of a {size}, gzip", 200, most, large["gzip_first_byte_ms"], " ms")
    growth = (large["all_ms"] / small["all_ms"]) / (large["bytes"] / small["bytes"])
    yield Goal("time for a snapshot / its size, from the smaller one", 1.5, most, growth)
    yield Goal("a change", 2000, most, large["delta_bytes"], " bytes")


def table(results):
    lines = []
    machine = results["machine"]
    lines.append(
        f"{machine['processors']} processors ({machine['model']}), load {machine['load']:.1f} at "
        f"the start, PostgreSQL {results['postgres']['server_version']}, "
        f"fsync {results['postgres']['fsync']}, "
        f"synchronous_commit {results['postgres']['synchronous_commit']}")
    lines += [f"  ({name}) {meaning}" for name, meaning in WAYS.items()]
    lines.append("")
    lines.append(
        f"{'':>5} {'':4}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}   processor µs per request: "
        f"client{'server':>8}{'PostgreSQL':>12}")
    for connections, result in results.get("compared", {}).items():
        for name, way in result["ways"].items():
            lines.append(
                f"{connections:>5} ({name}) {way['per_second']:>12,.0f}{way['p50_ms']:>9.2f}"
                f"{way['p99_ms']:>9.2f}{'':>26}{way['client_us']:>9.0f}{way['server_us']:>8.0f}"
                f"{way['postgres_us']:>12.0f}")
        ratios = "   ".join(f"{key} = {value:.2f}" for key, value in result["ratios"].items())
        lines.append(f"{'':>6}{ratios}   RSS {result['rss_mib']:.0f} MiB\n")
    if access := results.get("access"):
        lines += access_lines(access)
    if evidence := results.get("evidence"):
        lines += evidence_lines(evidence)
    if growth := results.get("growth"):
        lines += growth_lines(growth)
    if dataplane := results.get("dataplane"):
        lines += dataplane_lines(dataplane)
    lines.append("Goals")
    for goal in goals(results):
        sign = ">=" if goal.holds is operator.ge else "<="
        lines.append(
            f"  {'pass' if goal.passed else 'FAIL'}  {goal.name}: {goal.figure:.2f}{goal.unit} "
            f"({sign} {goal.limit:g}{goal.unit})")
    return "\n".join(lines)


def access_lines(access):
    lines = [f"{'Per second at ' + str(access['connections']):<38}{'reads':>20}{'commands':>20}"]
    for kind, works in access["tokens"].items():
        columns = "".join(f"{figures['per_second']:>20,.0f}" for figures in works.values())
        lines.append(f"  {kind:<36}{columns}")
    for work, figures in access["row_security"].items():
        lines.append(
            f"  {work}: {figures['per_second']:,.0f}, of what it is without row security "
            f"{figures['ratio']:.2f}")
    return lines + [""]


def evidence_lines(evidence):
    ingest, listed, export = evidence["ingest"], evidence["list"], evidence["export"]
    return [
        f"Evidence: {ingest['records']:,} rows, {ingest['per_second']:,.0f}/s over HTTP, "
        f"{ingest['copy_per_second']:,.0f}/s by COPY; RSS {ingest['rss_mib']:.0f} MiB",
        f"  list of 50 with two filters over {listed['rows']:,} rows: p50 {listed['p50_ms']:.1f} ms, "
        f"p99 {listed['p99_ms']:.1f} ms",
        f"  export: {export['rows']:,} rows, {export['per_second']:,.0f}/s; "
        f"RSS {export['rss_mib']:.0f} MiB", ""]


def dataplane_lines(dataplane):
    lines = [f"Decisions a second on one core: {dataplane['evaluator']['per_second']:,.0f}"]
    for gateways, found in dataplane["propagation"].items():
        lines.append(
            f"  panic mode on the last of {gateways:>5,} gateways: p50 {found['p50_ms']:.1f} ms, "
            f"p99 {found['p99_ms']:.1f} ms")
    for found in dataplane["snapshots"]:
        lines.append(
            f"  snapshot of {found['projects']:>6,} projects: first byte "
            f"{found['first_byte_ms']:.1f} ms, {found['bytes'] / 1e6:.1f} MB in "
            f"{found['all_ms']:.0f} ms; gzip: {found['gzip_first_byte_ms']:.1f} ms, "
            f"{found['gzip_bytes'] / 1e6:.1f} MB in {found['gzip_ms']:.0f} ms; RSS "
            f"{found['rss_mib']:.0f} MiB")
    return lines + [""]


def growth_lines(growth):
    lines = [f"{'Latency of (b)':<38}{'p50, p99 at 1':>20}{'p50, p99 at 8':>20}"]
    for stage in ("short_log", "long_log", "many_workspaces"):
        point = growth[stage]
        label = f"{point['events']:,} events, {point['workspaces']:,} workspaces"
        columns = "".join(f"{pair(m):>20}" for m in point["latency"].values())
        lines.append(f"  {label:<36}{columns}")
    for key in ("long_log/short_log", "many_workspaces/long_log"):
        ratios = "".join(f"{value:>20.2f}" for value in growth[key].values())
        lines.append(f"  {'p50, ' + key:<36}{ratios}")
    again, replay = growth["restart"], growth["replay"]
    lines.append(
        f"  start: {again['start_seconds']:.2f} s, first command of a cold workspace: "
        f"{again['first_command_seconds'] * 1000:.0f} ms")
    lines.append(
        f"  replay (GET …?as_of= over {replay['events']:,} events, no snapshot): "
        f"{replay['events_per_second']:,.0f} events/s")
    lines.append(f"  RSS at the end: {growth['rss_mib']:.0f} MiB\n")
    return lines


def pair(measurement):
    return f"{measurement['p50_ms']:.2f}, {measurement['p99_ms']:.2f} ms"
