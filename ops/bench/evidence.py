"""Evidence: how fast batches come in beside a raw COPY of the same rows, and how fast lists and exports go out."""

import concurrent.futures
import contextlib
import http.client
import json
import secrets
import statistics
import time

import fixtures
from fixtures import Client
from processes import TOKEN, ResidentMemory, Server

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
BATCH = 5_000  # records
SENDERS = 2
PROJECTS = 20
MODELS = ["gpt-4o", "gpt-4o-mini", "o3", "claude-sonnet-4", "mistral-large"]


def measure(signalbox, postgres, directory, records, rows, report):
    """Ingest of `records` over HTTP; then `rows` rows of one workspace, listed and exported."""
    postgres.make_database("evidence")
    with Server.running(signalbox, postgres, directory / "evidence.log", "evidence") as server:
        projects = fixtures.make(server.port, 1, PROJECTS, "Evidence")
        organization = projects[0].split("/")[3]
        ids = [path.split("/")[5] for path in projects]
        token = Client(server.port).request(
            "POST", "/v1/platform/gateway-tokens", {"name": "bench"}, field="token")
        results = {"ingest": ingest(server, postgres, token, ids, records, report)}
        fill(postgres, organization, rows, report)
        results["list"] = listed(server, organization, ids[0], rows, report)
        results["export"] = export(server, organization, ids[0], report)
        return results


def ingest(server, postgres, token, projects, records, report):
    report(f"making {records:,} records")
    batches = [batch(projects) for _ in range(records // BATCH)]
    # Warm-up, unmeasured.
    send(server.port, token, [batch(projects)])
    with ResidentMemory(server.pid) as memory:
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(SENDERS) as pool:
            parts = [batches[n::SENDERS] for n in range(SENDERS)]
            accepted = sum(pool.map(lambda part: send(server.port, token, part), parts))
        seconds = time.monotonic() - start
    if accepted != len(batches) * BATCH:
        raise RuntimeError(f"{accepted:,} of {len(batches) * BATCH:,} records were accepted")
    floor = copy(postgres, accepted, report)
    per_second = accepted / seconds
    report(
        f"ingest: {per_second:,.0f} rows/s over HTTP, {floor:,.0f} rows/s by COPY, "
        f"ratio {per_second / floor:.2f}; {memory.maximum:.0f} MiB")
    return {
        "records": accepted, "per_second": per_second, "copy_per_second": floor,
        "ratio": per_second / floor, "rss_mib": memory.maximum}


def batch(projects):
    """Records as NDJSON, each of a moment of the last minute."""
    now = time.time_ns() // 1_000_000
    lines = []
    for number in range(BATCH):
        moment = now - secrets.randbelow(60_000)
        bits = moment << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
        log = "".join(ALPHABET[bits >> shift & 31] for shift in range(125, -5, -5))
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 1000))
        lines.append(
            f'{{"id":"log_{log}","occurred_at":"{at}.{moment % 1000:03d}Z",'
            f'"project_id":"{projects[number % len(projects)]}","decision":"allow",'
            f'"route":"/v1/chat/completions","provider":"openai","model":"{MODELS[number % 5]}",'
            f'"country":"DE","address":"203.0.113.{number % 250}","tokens_in":512,"tokens_out":128,'
            f'"cost_micro_usd":1250,"status":200,"latency_ms":840,"configuration_position":4711}}')
    return "\n".join(lines).encode()


def send(port, token, batches):
    """How many of the records were accepted."""
    accepted = 0
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for body in batches:
            connection.request(
                "POST", "/v1/dataplane/request-logs", body,
                {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"})
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status} {text.decode()}")
            accepted += json.loads(text)["accepted"]
    return accepted


def copy(postgres, rows, report):
    """Rows a second of a COPY into a table with the same columns and the same key, in one transaction."""
    file = f"/tmp/signalbox-bench-{secrets.token_hex(8)}.copy"
    figures = []
    try:
        postgres.query(f"COPY (SELECT * FROM request_logs LIMIT {rows}) TO '{file}' (FORMAT binary)",
                       user="postgres", database="evidence")
        for _ in range(3):
            postgres.query(
                "DROP TABLE IF EXISTS copied; CREATE TABLE copied (LIKE request_logs INCLUDING ALL)",
                user="postgres", database="evidence")
            start = time.monotonic()
            postgres.query(f"COPY copied FROM '{file}' (FORMAT binary)",
                           user="postgres", database="evidence")
            figures.append(rows / (time.monotonic() - start))
    finally:
        postgres.query("DROP TABLE IF EXISTS copied", user="postgres", database="evidence")
        postgres.program("psql", "-XqAt", "-c", f"COPY (SELECT) TO PROGRAM 'rm -f {file}'",
                         user="postgres", database="evidence")
    return statistics.median(figures)


def fill(postgres, organization, rows, report):
    """Rows of a week, straight into the table: one workspace, all projects, one in ten blocked."""
    report(f"filling {rows:,} rows of evidence")
    for day in range(8):
        postgres.query(
            f"SELECT add_request_log_partition(current_date - {day})", database="evidence")
    step = 500_000
    # A UUID of version 7, which holds the time: that is how a record is found again.
    identifier = """(lpad(to_hex((extract(epoch FROM t) * 1000)::bigint), 12, '0')
              || '7' || lpad(to_hex(n % 4096), 3, '0') || '8' || substr(md5(n::text), 1, 15))::uuid"""
    for start in range(0, rows, step):
        postgres.query(
            f"""
            INSERT INTO request_logs (organization_id, occurred_at, log_id, project_id, decision,
              reason, provider, model, configuration_position)
            SELECT p.organization_id, t, {identifier}, p.project_id,
              CASE WHEN n % 10 = 0 THEN 'block' ELSE 'allow' END,
              CASE WHEN n % 10 = 0 THEN 'network' END, 'openai', 'gpt-4o', 1
            FROM generate_series({start}, {min(start + step, rows) - 1}) AS n
            CROSS JOIN LATERAL (SELECT date_trunc('milliseconds', now()) - n * interval '6 days' / {rows} AS t) AS moment
            JOIN (SELECT organization_id, project_id, row_number() OVER () - 1 AS place FROM projects)
              AS p ON p.place = n / 10 % {PROJECTS}
            """, database="evidence")
    postgres.query("VACUUM ANALYZE request_logs", user="postgres", database="evidence")


def listed(server, organization, project, rows, report):
    """Milliseconds until the newest 50 with two filters are there."""
    client = Client(server.port)
    path = f"/v1/organizations/{organization}/request-logs?project_id={project}&decision=block"
    times = []
    for _ in range(100):
        start = time.monotonic()
        found = json.loads(client.request("GET", path))["data"]
        times.append((time.monotonic() - start) * 1000)
        if len(found) != 50:
            raise RuntimeError(f"{len(found)} records are listed")
    times.sort()
    report(f"list of 50 with two filters over {rows:,} rows: p50 {times[50]:.1f} ms, p99 {times[98]:.1f} ms")
    return {"rows": rows, "p50_ms": times[50], "p99_ms": times[98]}


def export(server, organization, project, report):
    """Rows a second of an export of one project, and the server's memory meanwhile."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection), ResidentMemory(server.pid) as memory:
        start = time.monotonic()
        connection.request(
            "GET", f"/v1/organizations/{organization}/request-logs:export?project_id={project}",
            headers={"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        count = 0
        while piece := response.read(1 << 20):
            count += piece.count(b"\n")
        seconds = time.monotonic() - start
    report(f"export: {count:,} rows, {count / seconds:,.0f} rows/s; {memory.maximum:.0f} MiB")
    return {"rows": count, "per_second": count / seconds, "rss_mib": memory.maximum}
