"""Parts that post: by connections, against others, by rate, by workers."""

import json
import subprocess
import tempfile

import durable
import load
import process
from nginx import Lua, Nginx, Ours, Refusing, lua_missing
from peers import FastAPI, FastAPIBest
from results import median, pick, read
from setting import (BUILD, CONNECTIONS, RATES, ROUNDS, SECONDS, SQLITE, fail,
                     say)

COMMITS = 'lyftr_store_commits_total{store="main"}'
CREATED = 'webhook_requests_total{result="created"}'

# what a second may at most take of signed bodies, and the bytes of a body

MOST = 250000
BODY = 257

# numbers of worker processes

SCALE = (1, 2, 4, 8, 16)


def measure(server, connections=64, seconds=SECONDS, rest=True, **options):
    """One run of the generator, with what it has cost the server."""

    database = server.database is not None
    limit = options.get("r") or min(MOST, connections * 15000)

    before = server.usage()
    metrics = server.metrics()
    device = process.device(BUILD)

    options.setdefault("p", int(limit * seconds))
    run = load.run(server.port, c=connections, d=seconds, **options)

    after = server.metrics()
    if database and rest:
        run["rest"] = server.rest()

    usage = server.usage()
    acked = max(run["acknowledged"], 1)
    run["connections"] = connections
    run["user"] = (usage["user"] - before["user"]) / acked * 1e6
    run["system"] = (usage["system"] - before["system"]) / acked * 1e6
    run["load"] = (run["cpu_user"] + run["cpu_system"]) / acked * 1e6
    run["created"] = after.get(CREATED, 0) - metrics.get(CREATED, 0)

    if database:
        run["bytes"] = (usage["written"] - before["written"]) / acked
    if database and device is not None:
        run["device_bytes"] = (process.device(BUILD) - device) / acked
    if COMMITS in metrics:
        commits = after[COMMITS] - metrics[COMMITS]
        run["commits_a_second"] = commits / run["seconds"]
        run["batch"] = run["acknowledged"] / max(commits, 1)
    return run


def verify(run, rows, ids, before=0, items=1):
    """Rows that are there against messages that were acknowledged."""

    # a message given up, or refused with 503, may have been stored

    acked = run["acknowledged"] * items
    unsure = (run["errors"] + sum(run["statuses"].values())) * items

    if rows != ids:
        fail("%d rows, but %d message ids" % (rows, ids))
    if not acked <= rows - before <= acked + unsure:
        fail("%d messages acknowledged, %d stored" % (acked, rows - before))
    run["stored"] = rows - before


def show(name, run):
    latency = run["latency_ms"]
    odd = run["statuses"] or ""
    if run["errors"]:
        odd = "%s %d errors" % (odd, run["errors"])
    say("  %-26s %9.0f/s  p50 %8.3f  p99 %8.3f ms  %s"
        % (name, run["rate"], latency["p50"], latency["p99"], odd))


def fresh(target, make, number, **options):
    """A run on a server, and a store, of its own."""

    with make() as server:
        run = measure(server, **options)
        if server.database:
            verify(run, *server.stored(), items=options.get("w", 1))

    run.update(target=target, round=number)
    show("%s, %d" % (target, run["connections"]), run)
    return run


def ingest():
    runs, appends = [], []

    for number in range(1, ROUNDS + 1):
        for connections in CONNECTIONS:
            for target, make in (("bare", Nginx), ("ours", Ours)):
                runs.append(fresh(target, make, number,
                                  connections=connections))
            if connections == 1:
                appends += lone(runs[-1])

    return {"seconds": SECONDS, "rounds": ROUNDS, "runs": runs,
            "appends": appends}


def lone(run):
    """The disk by itself: as many bytes as a body has, and as are written."""

    appends = []
    for kind, size in (("body", BODY), ("written", int(run["bytes"]))):
        appends.append(dict(load.append(size, 2), kind=kind))
        say("  append of %d bytes, and a sync: p50 %.3f ms"
            % (size, appends[-1]["p50"]))
    return appends


def sqlite(kind, batch, number):
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        out = subprocess.run(
            [SQLITE, folder + "/app.db", kind, str(batch), str(SECONDS)],
            check=True, stdout=subprocess.PIPE, text=True).stdout

    run = dict(json.loads(out), target="sqlite, " + kind, round=number)
    say("  %-26s %9.0f/s  in batches of %d"
        % (run["target"], run["rate"], batch))
    return run


def peers():
    runs = []
    targets = [("bare", Nginx, {}), ("ours", Ours, {}),
               ("ours, no store", Refusing, {"b": "refused"}),
               ("FastAPI", FastAPI, {}), ("FastAPI, best", FastAPIBest, {}),
               ("nginx and Lua", Lua, {})]

    missing = lua_missing()
    if missing:
        say("  no nginx and Lua: " + missing)
        targets.pop()

    for number in range(1, ROUNDS + 1):
        for target, make, options in targets:
            runs.append(fresh(target, make, number, **options))

        batch = round(pick(runs, target="ours", round=number)[0]["batch"])
        for kind in ("append", "indexed"):
            runs.append(sqlite(kind, max(batch, 1), number))

        runs += appends(max(batch, 1), number)

    return {"seconds": SECONDS, "rounds": ROUNDS, "runs": runs}


def appends(batch, number):
    """Durable appends by others, as far as they are installed."""

    runs = [durable.ideal(batch, number)]
    for connections in (64, 256):
        if not durable.missing("redis-server"):
            runs.append(durable.redis(connections, number))
        if durable.postgres_tools():
            runs.append(durable.postgres(connections, number))

    run = fresh("ours, 256", Ours, number, connections=256)
    return runs + [run]


def maximum():
    """The rate at 64 connections, measured here or by another part."""

    parts = read()["parts"]
    for part in ("ingest", "peers"):
        rate = median(pick(parts.get(part, {}).get("runs", []), target="ours",
                           connections=64), "rate")
        if rate:
            return rate

    return fresh("ours", Ours, 0)["rate"]


def open_loop():
    runs = []
    most = maximum()
    rates = [("%d" % rate, rate) for rate in RATES]
    rates.append(("70 %", most * 0.7))

    for number in range(1, ROUNDS + 1):
        for name, rate in rates:
            run = fresh("ours", Ours, number, r=round(rate),
                        seconds=2 * SECONDS)
            disk = durable.ideal_loop(rate, 2 * SECONDS, number)
            runs += [dict(found, name=name, wanted=rate)
                     for found in (run, disk)]

    return {"seconds": 2 * SECONDS, "rounds": ROUNDS, "maximum": most,
            "runs": runs}


def whatsapp():
    """Another signature, and deliveries of one message and of fifty."""

    runs = []
    standard = {"u": "/standard", "g": "standard"}
    one = {"u": "/whatsapp", "w": 1}
    fifty = {"u": "/whatsapp", "w": 50, "p": 6000}

    for number in range(1, ROUNDS + 1):
        for target, make, options in (
                ("lyftr", Ours, {}), ("lyftr, standard", Ours, standard),
                ("bare, whatsapp", Nginx, one),
                ("whatsapp", Ours, one), ("whatsapp, 50", Ours, fifty)):
            run = fresh(target, make, number, **options)
            run["messages"] = run["rate"] * options.get("w", 1)
            runs.append(run)

    return {"seconds": SECONDS, "rounds": ROUNDS, "runs": runs}


def scale():
    runs = []

    for number in range(1, ROUNDS + 1):
        for workers in SCALE:
            for target, server in (("bare", Nginx), ("ours", Ours)):
                run = fresh(target, lambda: server(workers=workers), number)
                runs.append(dict(run, workers=workers))

    return {"seconds": SECONDS, "rounds": ROUNDS, "runs": runs}
