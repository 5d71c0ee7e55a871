"""What others make of a durable append: Redis, PostgreSQL, and the disk."""

import csv
import io
import os
import shutil
import subprocess
import tempfile
import time

from server import Server
from setting import BUILD, SECONDS, say

FIELDS = ("from", "+919876543210", "to", "+14155550100",
          "ts", "2025-01-15T10:00:00Z", "text", "x" * 100)

# what a row of ours is in the log, about

ROW = 300

# PostgreSQL does not start as root

POSTGRES = "postgres"
SQL = """\\set n random(1, 1000000000000000)
INSERT INTO m VALUES ('msg-' || :n, '+919876543210', '+14155550100',
    '2025-01-15T10:00:00Z', repeat('x', 100)) ON CONFLICT DO NOTHING;
"""


class Redis(Server):
    """A stream of which each entry is synced before it is answered."""

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind",
                "127.0.0.1", "--dir", self.folder, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always",
                "--logfile", self.path("redis.log")]

    def stop(self, signo=None):
        super().stop(15)


def redis(connections, number):
    """XADD of the fields of a message, by redis-benchmark."""

    with Redis() as server:
        def post(n):
            out = subprocess.run(
                ["redis-benchmark", "-p", str(server.port), "--csv",
                 "-c", str(connections), "-n", str(n), "-r", "1000000000",
                 "XADD", "messages", "*", "message_id", "msg-__rand_int__",
                 *FIELDS],
                check=True, stdout=subprocess.PIPE, text=True).stdout
            return list(csv.reader(io.StringIO(out)))[-1]

        rate = float(post(20000)[1])
        row = post(max(int(rate * SECONDS), 1000))

    return result("Redis XADD, %d" % connections, number, float(row[1]),
                  p50=float(row[4]), p99=float(row[6]))


def postgres_tools():
    """The folder of initdb, if there is a PostgreSQL and its user."""

    versions = sorted(os.listdir("/usr/lib/postgresql")) \
        if os.path.isdir("/usr/lib/postgresql") else []
    if not versions or not shutil.which("runuser") or os.geteuid() != 0:
        return None
    return "/usr/lib/postgresql/%s/bin/" % versions[-1]


def postgres(connections, number):
    """Inserts of one row each, by pgbench."""

    tools = postgres_tools()
    folder = tempfile.mkdtemp(prefix="bench-", dir=BUILD)
    shutil.chown(folder, POSTGRES)
    data = folder + "/data"

    def run(*command):
        return subprocess.run(
            ("runuser", "-u", POSTGRES, "--") + command, check=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd="/").stdout

    address = ("-h", folder)
    try:
        with open(folder + "/insert.sql", "w") as f:
            f.write(SQL)
        run(tools + "initdb", "-D", data, "-A", "trust")
        run(tools + "pg_ctl", "-D", data, "-w", "-l", folder + "/log", "-o",
            "-k %s -c listen_addresses= -c max_connections=300" % folder,
            "start")
        try:
            run(tools + "psql", *address, "-d", "postgres", "-c",
                "CREATE TABLE m (id text PRIMARY KEY, sender text,"
                " recipient text, ts text, message text)")
            out = run(tools + "pgbench", *address, "-n", "-f",
                      folder + "/insert.sql", "-c", str(connections), "-j",
                      "2", "-M", "prepared", "-T", str(round(SECONDS)),
                      "postgres")
        finally:
            run(tools + "pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
    finally:
        shutil.rmtree(folder)

    rate = [float(line.split()[2]) for line in out.splitlines()
            if line.startswith("tps =")][0]
    return result("PostgreSQL insert, %d" % connections, number, rate)


class Log:
    """A file that is there, over which rows are written and synced."""

    SIZE = 64 << 20

    def __enter__(self):
        self.file = tempfile.TemporaryFile(dir=BUILD, buffering=0)
        self.at = 0
        for offset in range(0, self.SIZE, 1 << 20):
            os.pwrite(self.file.fileno(), bytes(1 << 20), offset)
        os.fsync(self.file.fileno())
        return self

    def append(self, data):
        if self.at + len(data) > self.SIZE:
            self.at = 0
        os.pwrite(self.file.fileno(), data, self.at)
        os.fdatasync(self.file.fileno())
        self.at += len(data)

    def __exit__(self, *failure):
        self.file.close()


def ideal(batch, number):
    """As many rows at once, and a sync."""

    data = os.urandom(max(batch, 1) * ROW)
    syncs = 0

    with Log() as log:
        start = time.perf_counter()
        while time.perf_counter() < start + SECONDS:
            log.append(data)
            syncs += 1
        took = time.perf_counter() - start

    return result("append and sync", number, syncs * batch / took)


def ideal_loop(rate, seconds, number):
    """Rows that are due at a rate: all that are, and a sync."""

    row = os.urandom(ROW)
    total = int(rate * seconds)
    waits = []

    with Log() as log:
        start = time.perf_counter()
        while len(waits) < total:
            done = len(waits)
            now = time.perf_counter() - start
            due = min(int(now * rate) + 1, total)
            if due == done:
                time.sleep(done / rate - now)
                continue
            log.append(row * (due - done))
            now = time.perf_counter() - start
            waits += [1000 * (now - n / rate) for n in range(done, due)]

    waits.sort()
    run = result("append and sync", number, total / now, max=waits[-1], **{
        "p%g" % p: waits[int(total * p / 100)] for p in (50, 99, 99.9)})
    return dict(run, acknowledged=total, statuses={}, errors=0)


def result(target, number, rate, **latency):
    say("  %-26s %9.0f/s" % (target, rate))
    names = dict.fromkeys(("p50", "p99", "p99.9"))
    return {"target": target, "round": number, "rate": rate,
            "latency_ms": dict(names, **latency)}


def missing(program):
    return shutil.which(program) is None
