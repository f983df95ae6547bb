"""The processes that are measured: PostgreSQL, Signalbox, the bare Hummingbird. All end with us."""

import contextlib
import http.client
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

# Row security lets the owner of the tables see them only so.
AS_SYSTEM = {"PGOPTIONS": "-c signalbox.principal=system"}
# Large enough for every workspace that is measured.
PLANS = pathlib.Path(__file__).resolve().parents[2] / "fixtures/plans/roomy.json"
TOKEN = "the-benchmarks-administrator"
CONNECTIONS = 300  # the embedded PostgreSQL allows 100, and pgbench alone takes 128


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def workspace(parent):
    """A directory that user postgres can enter, gone at the end."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="signalbox-bench-", dir=parent))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def child(arguments, stop=signal.SIGTERM, feed=None, **options):
    """A process in a session of its own: Ctrl-C reaches only us, and we end things in order."""
    process = subprocess.Popen(
        [str(argument) for argument in arguments], start_new_session=True,
        stdin=subprocess.PIPE if feed else subprocess.DEVNULL, **options)
    try:
        if feed:
            process.stdin.write(feed)
            process.stdin.close()
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_ok(process, port, path="/readyz", patience=60):
    """Seconds until `path` answers 200."""
    start = time.monotonic()
    while time.monotonic() < start + patience:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return time.monotonic() - start
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.002)
    raise RuntimeError(f"{process.args[0]} does not answer on port {port}")


class Postgres:
    """The cluster that `signalbox serve` made, under the very command line that it used."""

    def __init__(self, command, sockets):
        self.command = command
        self.programs = pathlib.Path(command[0]).parent
        self.host = sockets
        self.pid = None

    @classmethod
    def made_by(cls, signalbox, directory):
        """Lets the server make its embedded cluster, and takes note of how it is started."""
        port = free_port()
        with child(
            [signalbox, "serve", "--data-dir", directory / "data", "--port", port],
            env={**os.environ, "SIGNALBOX_BOOTSTRAP_TOKEN": TOKEN, "DATABASE_URL": ""},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:
            await_ok(process, port)
            pid = (directory / "data/data/postmaster.pid").read_text().split()[0]
            line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        command = [
            re.sub(r"^max_connections=.*", f"max_connections={CONNECTIONS}", argument)
            for argument in line.strip("\0").split("\0")
        ]
        sockets = next(a.split("=", 1)[1] for a in command if a.startswith("unix_socket_dir"))
        return cls(command, sockets)

    @contextlib.contextmanager
    def running(self, log):
        user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        identity = dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[]) if user else {}
        with open(log, "wb") as output, child(
            self.command, stop=signal.SIGINT, cwd="/", stdout=output, stderr=output, **identity
        ) as process:
            self.pid = process.pid
            for _ in range(500):
                if self.program("pg_isready", check=False).returncode == 0:
                    break
                time.sleep(0.02)
            else:
                raise RuntimeError("PostgreSQL does not start")
            yield self

    def program(self, name, *arguments, user="signalbox", database="signalbox", check=True):
        return subprocess.run(
            [str(self.programs / name), "-h", self.host, "-U", user, "-d", database,
             *map(str, arguments)],
            check=check, capture_output=True, text=True, timeout=120,
            env={**os.environ, **AS_SYSTEM})

    def sql(self, *arguments, **options):
        """The output of psql, unaligned."""
        return self.program(
            "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *arguments, **options).stdout.strip()

    def query(self, text, **options):
        return self.sql("-c", text, **options)

    def make_database(self, name):
        self.query(
            f"CREATE DATABASE {name} OWNER signalbox", user="postgres", database="postgres")

    def settings(self):
        names = "fsync synchronous_commit full_page_writes wal_compression shared_buffers"
        return {
            name: self.query(f"SHOW {name}")
            for name in [*names.split(), "max_connections", "server_version"]
        }

    def url(self, database):
        return f"host={self.host} user=signalbox dbname={database}"


class Server:
    """`signalbox serve` on that cluster. Its access log is written, to /dev/null."""

    def __init__(self, process, port, database, seconds_to_start):
        self.pid = process.pid
        self.port = port
        self.database = database
        self.seconds_to_start = seconds_to_start

    @classmethod
    @contextlib.contextmanager
    def running(cls, signalbox, postgres, log, database="signalbox"):
        port = free_port()
        # Root reaches PostgreSQL's private socket, and becomes a user that does.
        user = ["--user", "postgres"] if os.geteuid() == 0 else []
        with open(log, "ab") as errors, child(
            [signalbox, "serve", "--port", port, "--dev-identity", *user],
            env={
                **os.environ, "DATABASE_URL": postgres.url(database),
                "SIGNALBOX_BOOTSTRAP_TOKEN": TOKEN, "SIGNALBOX_RATE_LIMITS": "off",
                "SIGNALBOX_PLANS": str(PLANS), "SIGNALBOX_ALLOW_DEV_IDENTITY": "1"},
            stdout=subprocess.DEVNULL, stderr=errors,
        ) as process:
            yield cls(process, port, database, await_ok(process, port))


class Floor:
    """The bare Hummingbird, replying that JSON."""

    def __init__(self, process, port):
        self.pid = process.pid
        self.port = port

    @classmethod
    @contextlib.contextmanager
    def running(cls, program, path, json):
        port = free_port()
        with child(
            [program, port], feed=json + b"\n", stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            await_ok(process, port, path)
            yield cls(process, port)


class ResidentMemory:
    """The largest VmRSS of a process while the block runs, in MiB."""

    def __init__(self, pid):
        self.path = pathlib.Path(f"/proc/{pid}/status")
        self.maximum = 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while True:
            kib = int(re.search(r"VmRSS:\s+(\d+)", self.path.read_text()).group(1))
            self.maximum = max(self.maximum, kib / 1024)
            if self.done.wait(0.05):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def processor_seconds(pid):
    """User and system time of a process and of the children that it has waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def family_seconds(pid):
    """The same of a process with its living children: PostgreSQL's backends."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = processor_seconds(pid)
    for process in children:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += processor_seconds(process)
    return total
