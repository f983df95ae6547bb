"""One measurement each: wrk for HTTP, pgbench for SQL. Both are closed loops: every connection has
one request or transaction on its way, and the next follows the answer."""

import dataclasses
import json
import pathlib
import re
import resource
import subprocess

from processes import TOKEN, family_seconds, processor_seconds

HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass
class Measurement:
    count: int
    per_second: float
    p50_ms: float
    p99_ms: float
    # Processor time per request, in microseconds, by who spent it.
    client_us: float = 0
    server_us: float = 0
    postgres_us: float = 0


class Unsound(Exception):
    """A measurement that would not mean what it says."""


class Load:
    def __init__(self, postgres, directory, seconds):
        self.postgres = postgres
        self.directory = directory
        self.seconds = seconds
        self.run = 0

    def wrk(self, script, port, targets, connections, pid, seconds=None, token=TOKEN):
        """`targets` is a file of request paths, of which `pid` answers."""
        self.run += 1
        threads = min(2, connections)
        command = [
            "wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds or self.seconds}s",
            "--timeout", "10s", "-s", HERE / script, f"http://127.0.0.1:{port}", "--", targets,
            threads, self.run, token,
        ]
        output, spent = self.timed(command, pid)
        result = json.loads(output.strip().splitlines()[-1])
        if any(result["errors"].values()):
            raise Unsound(f"{script} at {connections} connections: {result['errors']}")
        return self.measurement(
            result["requests"], result["requests"] / result["seconds"], result["p50_ms"],
            result["p99_ms"], spent)

    def commands(self, server, targets, connections, seconds=None, token=TOKEN):
        """Changes over HTTP, and proof that every one of them appended an event."""
        before = self.events(server.database)
        result = self.wrk(
            "command.lua", server.port, targets, connections, server.pid, seconds, token)
        appended = self.events(server.database) - before
        # What was on its way when wrk stopped is appended too, without being counted.
        if not result.count <= appended <= result.count + connections:
            raise Unsound(f"{result.count} replies, but {appended} events were appended")
        return result

    def pgbench(self, script, connections, projects):
        for old in self.directory.glob("transactions.*"):
            old.unlink()
        before = self.events(schema="bench")
        output, spent = self.timed(
            [
                self.postgres.programs / "pgbench", "-n", "-M", "prepared", "-c", connections,
                "-j", min(2, connections), "-T", self.seconds, "-l", "--log-prefix",
                self.directory / "transactions", "-D", f"projects={projects}", "-f",
                HERE / script, "-h", self.postgres.host, "-U", "signalbox", "signalbox",
            ])
        count = int(re.search(r"actually processed: (\d+)", output).group(1))
        rate = float(re.search(r"tps = ([\d.]+)", output).group(1))
        appended = self.events(schema="bench") - before
        expected = count if "command" in script else 0
        if appended != expected or "failed transactions: 0 " not in output:
            raise Unsound(f"{count} transactions, but {appended} events were appended")
        latencies = sorted(
            int(line.split()[2]) / 1000
            for log in self.directory.glob("transactions.*")
            for line in log.read_text().splitlines())
        return self.measurement(
            count, rate, latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100],
            spent)

    def events(self, database="signalbox", schema="public"):
        return int(
            self.postgres.query(f"SELECT position FROM {schema}.event_log_head", database=database))

    def timed(self, command, pid=None):
        def clocks():
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return (
                usage.ru_utime + usage.ru_stime, processor_seconds(pid) if pid else 0,
                family_seconds(self.postgres.pid))

        before = clocks()
        process = subprocess.run(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if process.returncode != 0:
            raise RuntimeError(f"{command[0]}: {process.stdout}{process.stderr}")
        return process.stdout, [after - start for after, start in zip(clocks(), before)]

    @staticmethod
    def measurement(count, rate, p50, p99, spent):
        if count == 0:
            raise Unsound("nothing was measured")
        client, server, postgres = (1e6 * seconds / count for seconds in spent)
        return Measurement(count, rate, p50, p99, client, server, postgres)
