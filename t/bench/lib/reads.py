"""Reads while a store grows: each filter, alone and beside full ingest."""

import datetime
import json
import math
import os
import random
import re
import shutil
import time
import urllib.parse

import load
from ingest import show, verify
from nginx import Ours
from setting import ALONE, BUILD, BUSY, ROWS, fail, say

FOLDER = os.path.join(BUILD, "bench.store")
CHUNK = 250000

FIELDS = "message_id,from,to,ts,text,type,raw,created_at,cursor"
RARE, COMMON, SHORT, ACCENT = "xylophone", "voucher", "ok", "évora"


def stats(server):
    """A store that was busy just now may refuse them for a while."""

    for _ in range(60):
        status, _, body = server.get("/stats")
        if status == 200:
            return json.loads(body)
        time.sleep(1)

    fail("/stats answers " + body)


def total(server):
    return stats(server)["total_messages"]


def fill(server, rows):
    """Posts until there are so many rows; the rates on the way."""

    points = []
    have = total(server)

    while have < rows:
        run = load.run(server.port, c=256, n=min(CHUNK, rows - have))
        before, have = have, total(server)
        verify(run, have, have, before)
        points.append({"rows": have, "rate": run["rate"],
                       "p99": run["latency_ms"]["p99"],
                       "statuses": run["statuses"]})
        show("fill, %d rows" % have, run)
        if have == before:
            fail("nothing is stored any more")

    return points


def senders(rng, n):
    """Numbers that the generator uses, as often as it does."""

    found = []
    for _ in range(n):
        rank = int(math.exp(rng.random() * math.log(20001))) - 1
        rank = rank * 7919 % 20000
        found.append("+91%010d" % (7000000000 + rank * 149993))
    return found


def instants(rng, n, bounds):
    first, last = (
        datetime.datetime.fromisoformat(bounds[name][:19])
        for name in ("first_message_ts", "last_message_ts"))
    span = (last - first).total_seconds()
    return [(first + datetime.timedelta(seconds=int(rng.random() * span)))
            .isoformat() + "Z" for _ in range(n)]


def ids(server, rng, rows, n):
    """Of messages that are anywhere in the order of time."""

    found = []
    for _ in range(n):
        body = server.get("/messages?limit=1&fields=message_id&offset=%d"
                          % rng.randrange(rows))[2]
        found.append(json.loads(body)["data"][0]["message_id"])
    return found


def cursors(server, rows, n, args=""):
    """Pages that follow each other, from deep inside."""

    offset = min(1000000, rows // 2)
    found = []

    for start in ("&offset=%d" % offset, ""):
        path = "/messages?limit=50" + args + start
        while path and len(found) < n:
            link = server.get(path)[1].get("Link", "")
            next_page = re.search(r'<([^>]*)>; *rel="?next', link)
            path = next_page and next_page[1]
            if path:
                found.append(path)
        if found:
            break

    return found


def kinds(server, rows, n=100):
    """The paths of each kind of read."""

    rng = random.Random(rows)
    since = [("since", ts) for ts in instants(rng, n, stats(server))]
    until = [("until", ts) for ts in instants(rng, n, stats(server))]
    newest = [("order", "desc")] * n
    sender = [("from", number) for number in senders(rng, n)]
    word = [("q", COMMON)] * n

    def paths(*filters):
        return ["/messages?" + urllib.parse.urlencode(pairs)
                for pairs in zip(*filters)]

    return {
        "first page": ["/messages"],
        "keyset page": cursors(server, rows, n),
        "newest first": ["/messages?order=desc"],
        "keyset page, newest first": cursors(server, rows, n, "&order=desc"),
        "from, newest first": paths(sender, newest),
        "fields": ["/messages?fields=" + FIELDS],
        "id": paths([("id", name) for name in ids(server, rng, rows, n)]),
        "until": paths(until),
        "from": paths(sender),
        "since": paths(since),
        "from, since": paths(sender, since),
        "/stats": ["/stats"],
        "q rare": paths([("q", RARE)]),
        "q common": paths([("q", COMMON)]),
        "q short": paths([("q", SHORT)]),
        "q not ASCII": paths([("q", ACCENT)]),
        "from, q": paths(sender, word),
        "since, q": paths(since, word),
        "from, since, q": paths(sender, since, word),
        "offset 1,000,000": paths([("offset", 1000000)]),
        "offset 1,000,000, newest first": paths([("offset", 1000000)], newest),
    }


def measure(server, rows, busy, only=""):
    runs = []
    seconds = BUSY if busy else ALONE

    for kind, paths in kinds(server, rows).items():
        if only not in kind:
            continue
        if not paths:
            say("  %s: there are no pages" % kind)
            continue

        run = load.read(server.port, paths, c=1, n=1000, d=seconds, t=10)
        run.update(kind=kind, rows=rows, busy=busy)
        runs.append(run)
        show("%s, %d%s" % (kind, rows, ", ingest" if busy else ""), run)

    return runs


def stage(server, rows):
    """All there is to measure at so many rows."""

    points = fill(server, rows)
    rest = server.rest(900)
    size = server.size()
    say("  at rest after %.0f s, %.0f bytes a message"
        % (rest, sum(size.values()) / rows))

    runs, run = both(server, rows)

    return {"rows": rows, "after": total(server), "rest": rest, "size": size,
            "points": points, "runs": runs, "ingest": run}


def both(server, rows, only=""):
    """Reads alone, and beside full ingest."""

    runs = measure(server, rows, False, only)

    before = total(server)
    with load.Background(server.port, c=64, d=3600) as ingest:
        runs += measure(server, rows, True, only)
        run = ingest.stop()

    have = total(server)
    verify(run, have, have, before)
    show("ingest beside the reads", run)

    return runs, run


def reads():
    stages = []

    # beside ingest a small store would not stay so for long

    with Ours() as server:
        stages.append(stage(server, ROWS[0]))

    shutil.rmtree(FOLDER, ignore_errors=True)
    os.mkdir(FOLDER)

    with Ours(folder=FOLDER) as server:
        for rows in ROWS[1:]:
            stages.append(stage(server, rows))

    return {"stages": stages}
