"""A store in PostgreSQL: against pgbench, by hosts, with a standby, reads."""

import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

import load
import reads
import stream
from durable import POSTGRES, postgres_tools
from ingest import measure, show, verify
from nginx import Ours
from setting import ALONE, BUILD, ROUNDS, ROWS, SECONDS, SECRET, fail, say

# rows of a statement of pgbench, and its connections

BATCH = 64
CLIENTS = 4

# hosts, of a worker each, and the connections of all of them together

HOSTS = (1, 2, 4, 16)
CONNECTIONS = 64

# a row such as the generator's, of which a few have the rare word

ROW = """
    SELECT {seq}, md5({id})::uuid, {id},
        decode('01' || lpad(to_hex(63832000000 + {second}), 10, '0'), 'hex'),
        '+91' || 7000000000 + rank::bigint * 149993, '+14155550100', {ts},
        repeat('some words of a text ', 5) || CASE WHEN i % 100000 = 7
            THEN 'xylophone' ELSE 'voucher' END
    FROM (SELECT i, (exp(random() * ln(20001))::int - 1) * 7919 % 20000 AS rank
        FROM generate_series({first}, {last}) i) n
"""

TS = "to_char(to_timestamp(63832000000 + {second} - 62135596800)" \
    " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

COLUMNS = "(seq, h, id, instant, sender, rcpt, ts, body)"

PGBENCH = "\\set n random(1, 1000000000000000)\nINSERT INTO best " + COLUMNS \
    + ROW.format(seq="nextval('places')", second="i + (:n::bigint % 1000000)",
                 id="'msg-' || :n || '-' || i", first=1, last="{rows}",
                 ts="'2023-10-01T10:00:00Z'") \
    + "ON CONFLICT DO NOTHING;\n"

# what a load drops and makes again, since it takes rows one by one

UNINDEXED = """
    DROP INDEX lyftr.message_time, lyftr.message_sender;
    ALTER TABLE lyftr.message DROP CONSTRAINT message_h_key,
        DROP CONSTRAINT message_pkey;
"""

INDEXED = """
    SET maintenance_work_mem = '512MB';
    ALTER TABLE lyftr.message ADD PRIMARY KEY (seq), ADD UNIQUE (h);
    CREATE INDEX message_time ON lyftr.message (instant, id);
    CREATE INDEX message_sender ON lyftr.message (sender, instant, id);
    UPDATE lyftr.ticket SET n = {rows};
    INSERT INTO lyftr.slot (id, d) VALUES (0, {rows})
        ON CONFLICT (id) DO UPDATE SET d = excluded.d;
"""


class Cluster:
    """A PostgreSQL on a socket; a standby is made of a primary."""

    def __init__(self, primary=None):
        self.tools = postgres_tools()
        self.folder = tempfile.mkdtemp(prefix="bench-", dir=BUILD)
        self.data = self.folder + "/data"
        shutil.chown(self.folder, POSTGRES)
        os.chmod(self.folder, 0o755)

        if primary:
            self.run("pg_basebackup", "-h", primary.folder, "-U", "lyftr",
                     "-D", self.data, "-R", "-c", "fast")
        else:
            self.run("initdb", "-D", self.data, "-A", "trust", "-U", "lyftr",
                     "-E", "UTF8", "--locale=C.UTF-8")
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop",
                 check=False)
        shutil.rmtree(self.folder)

    def run(self, *command, check=True):
        return subprocess.run(
            ("runuser", "-u", POSTGRES, "--", self.tools + command[0])
            + command[1:], check=check, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, cwd="/").stdout

    def start(self):
        self.run("pg_ctl", "-D", self.data, "-w", "-l", self.folder + "/log",
                 "-o", "-k %s -c listen_addresses= -c max_connections=300"
                 % self.folder, "start")

    def psql(self, sql, database="lyftr"):
        return self.run("psql", "-h", self.folder, "-U", "lyftr", "-d",
                        database, "-qAtv", "ON_ERROR_STOP=1", "-c", sql)

    def standby(self):
        """One that each commit waits for from now on."""

        standby = Cluster(self)
        self.psql("ALTER SYSTEM SET synchronous_standby_names = '*'",
                  "postgres")
        self.psql("SELECT pg_reload_conf()", "postgres")
        return standby

    def kill(self):
        with open(self.data + "/postmaster.pid") as f:
            pid = int(f.readline())
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)],
                                  stdout=subprocess.PIPE, text=True).stdout
        for one in [pid] + [int(n) for n in children.split()]:
            os.kill(one, 9)

    def promote(self):
        self.run("pg_ctl", "-D", self.data, "-W", "promote")

    def pgbench(self, rows, clients):
        """Inserts of so many rows into a table such as ours."""

        self.psql("CREATE TABLE IF NOT EXISTS best"
                  " (LIKE lyftr.message INCLUDING ALL);"
                  " CREATE SEQUENCE IF NOT EXISTS places CACHE 64")
        with open(self.folder + "/best.sql", "w") as f:
            f.write(PGBENCH.format(rows=rows))

        log = self.folder + "/latency"
        out = self.run("pgbench", "-h", self.folder, "-U", "lyftr", "-n", "-f",
                       self.folder + "/best.sql", "-c", str(clients), "-j",
                       str(min(clients, 2)), "-M", "prepared", "-T",
                       str(round(SECONDS)), "-l", "--log-prefix=" + log,
                       "lyftr")
        rate = [float(line.split()[2]) for line in out.splitlines()
                if line.startswith("tps =")][0] * rows

        times = []
        for name in os.listdir(self.folder):
            if name.startswith("latency"):
                with open(self.folder + "/" + name) as f:
                    times += [int(line.split()[2]) / 1e3 for line in f]
                os.unlink(self.folder + "/" + name)

        say("  %-26s %9.0f/s  p50 %8.3f ms"
            % ("pgbench, %d rows, %d" % (rows, clients), rate,
               statistics.median(times)))
        return {"rate": rate, "p50": statistics.median(times)}


class Host(Ours):
    """nginx with a store in a database that several may have."""

    def __init__(self, *clusters, workers=None, store="", fresh=True):
        super().__init__(**({"workers": workers} if workers else {}))
        self.clusters = clusters
        self.store = store
        if fresh:
            clusters[0].psql("DROP DATABASE IF EXISTS lyftr", "postgres")
            clusters[0].psql("CREATE DATABASE lyftr", "postgres")

    def http(self):
        url = "postgresql://lyftr@/lyftr?host=" + ",".join(
            one.folder for one in self.clusters)
        return "lyftr_store main \"%s\" %s;\n    lyftr_secret %s;" % (
            url, self.store, SECRET)

    def start(self):
        super().start()
        end = time.monotonic() + 30
        while self.get("/stats")[0] != 200:
            if time.monotonic() > end:
                fail("the store in PostgreSQL does not open")
            time.sleep(0.05)

    def stored(self):
        return [int(self.clusters[0].psql(
            "SELECT count(%s) FROM lyftr.message" % what))
            for what in ("*", "DISTINCT h")]

    def rest(self, limit=1200):
        start = time.monotonic()
        done = "counted" if "search=on" not in self.store \
            else "least(counted, searched)"
        while int(self.clusters[0].psql(
                "SELECT n - %s FROM lyftr.state, lyftr.ticket" % done)):
            if time.monotonic() > start + limit:
                fail("the housekeeping does not come to an end")
            time.sleep(0.2)
        return time.monotonic() - start


def one(cluster, number, kind, connections):
    with Host(cluster) as host:
        run = measure(host, connections=connections, rest=False)
        verify(run, *host.stored())
    run.update(target=kind, round=number)
    show("%s, %d" % (kind, connections), run)
    return run


def hosts(cluster, number, n):
    """As many connections over so many hosts; the sum of what they take."""

    running = []
    try:
        for i in range(n):
            host = Host(cluster, workers=1, fresh=i == 0)
            host.start()
            running.append(host)
        loads = [load.Background(host.port, c=CONNECTIONS // n, d=SECONDS)
                 for host in running]
        found = [one.wait() for one in loads]
    finally:
        for host in running:
            host.__exit__(None)

    rate = sum(run["rate"] for run in found)
    say("  %-26s %9.0f/s" % ("%d hosts, %d" % (n, CONNECTIONS), rate))
    return {"target": "hosts", "hosts": n, "round": number, "rate": rate}


def later(cluster, number):
    """From the 200 on one host to the event on another."""

    with Host(cluster) as first, Host(cluster, fresh=False) as second, \
            tempfile.TemporaryDirectory(dir=BUILD) as folder:
        name = os.path.join(folder, "times")
        with stream.Follower(second.port, stream.STREAM, 1, "times",
                             name) as follower:
            stream.streams(second, 1)
            answered = stream.post(first.port, SECONDS)
            time.sleep(1)
            follower.stop()

        times = []
        with open(name) as f:
            for line in f:
                message, _, came = line.split()
                times.append(max(int(came) - answered[message], 0) / 1e6)

    if len(times) != len(answered):
        fail("%d events of %d" % (len(times), len(answered)))

    run = {"round": number, "p50": load.percentile(times, 0.5),
           "p99": load.percentile(times, 0.99)}
    say("  %-26s p50 %8.3f  p99 %8.3f ms"
        % ("event on another host", run["p50"], run["p99"]))
    return run


def taken(host):
    with socket.create_connection(("127.0.0.1", host.port)) as s:
        s.sendall(stream.delivery(0)[1])
        return s.recv(4096).startswith(b"HTTP/1.1 200")


def promoted(number):
    """From the promotion of a standby to the first 200."""

    with Cluster() as primary, primary.standby() as standby:
        with Host(primary, standby, workers=1) as host:
            load.run(host.port, c=16, n=1000)
            primary.kill()
            start = time.monotonic()
            standby.promote()
            while not taken(host):
                if time.monotonic() > start + 30:
                    fail("the standby takes nothing")
            took = time.monotonic() - start

    say("  %-26s %9.3f s" % ("promotion to the first 200", took))
    return {"round": number, "seconds": took}


def many(cluster, rows):
    """Reads at so many rows, which are put there by themselves."""

    with Host(cluster, store="search=on") as host:
        start = time.monotonic()
        cluster.psql(UNINDEXED)
        for first in range(1, rows + 1, 1000000):
            cluster.psql("INSERT INTO lyftr.message " + COLUMNS + ROW.format(
                seq="i", id="'row-' || i", second="i / 10", first=first,
                ts=TS.format(second="i / 10"),
                last=min(first + 999999, rows)))
        cluster.psql(INDEXED.format(rows=rows))
        filled = time.monotonic() - start
        rest = host.rest()
        cluster.psql("VACUUM ANALYZE")
        say("  %d rows after %.0f s, counted and folded %.0f s later"
            % (rows, filled, rest))

        runs = []
        paths = reads.kinds(host, rows)
        for kind in ("from", "since", "from, since", "offset 1,000,000",
                     "/stats", "q rare"):
            run = load.read(host.port, paths[kind], c=1, n=1000, d=ALONE, t=10)
            run.update(kind=kind, rows=rows)
            runs.append(run)
            show("%s, %d" % (kind, rows), run)

    return {"rows": rows, "filled": filled, "rest": rest, "runs": runs}


def needed():
    if postgres_tools() is None:
        fail("there is no PostgreSQL, or nobody to run it as")


def postgres():
    needed()

    part = {"seconds": SECONDS, "rounds": ROUNDS, "runs": [], "pgbench": [],
            "soon": [], "promoted": []}

    for number in range(1, ROUNDS + 1):
        with Cluster() as cluster:
            part["runs"] += [one(cluster, number, "ours", n)
                             for n in (1, 64, 256, 1024)]
            for rows, clients in ((BATCH, CLIENTS), (1, 1)):
                part["pgbench"].append(dict(
                    cluster.pgbench(rows, clients), rows=rows, round=number))
            part["runs"] += [hosts(cluster, number, n) for n in HOSTS]
            part["soon"].append(later(cluster, number))

            with cluster.standby():
                part["runs"] += [one(cluster, number, "with a standby", n)
                                 for n in (1, 64, 256)]
        part["promoted"].append(promoted(number))

    return part


def at_rest():
    needed()
    with Cluster() as cluster:
        return many(cluster, ROWS[-1])
