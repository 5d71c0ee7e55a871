"""What is to be as fast at the largest store as at an empty one."""

import hashlib
import hmac
import http.client
import itertools
import json
import os
import time
import uuid

import load
import process
from ingest import fresh, measure, show, verify
from nginx import Ours, Searching
from reads import FOLDER, fill, kinds, total
from setting import ROUNDS, ROWS, SECONDS, SECRET, fail, say
from space import space

# posted while the size of the file is watched
MORE = 750000

READS = ("first page", "keyset page", "from", "since", "from, since", "/stats")


class Memory(process.Sampler):
    """The most that a worker has had while this runs."""

    def __init__(self, server):
        super().__init__()
        self.pids = server.worker_pids()
        self.most = 0

    def sample(self):
        self.most = max(self.most, process.resident(self.pids))


def post(port):
    body = json.dumps({
        "message_id": str(uuid.uuid4()), "from": "+917000000000",
        "to": "+14155550100", "ts": "2026-11-23T10:00:00Z", "text": "start"})
    signature = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256)

    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.request("POST", "/webhook", body,
                  {"X-Signature": signature.hexdigest()})
        return c.getresponse().status
    finally:
        c.close()


def start(server, request):
    """Seconds from the command to the first 200."""

    began = time.monotonic()
    server.launch()

    while time.monotonic() < began + 60:
        try:
            if request(server.port) == 200:
                return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.001)

    fail("no 200 within a minute of the start")


def starts(server):
    """Stops and starts a server that runs, and leaves it running."""

    runs = []
    for number in range(1, ROUNDS + 1):
        for end in ("clean", "kill -9"):
            if end == "clean":
                server.stop()
            else:
                with load.Background(server.port, c=64, d=3600):
                    time.sleep(2)
                    server.kill()

            run = {"end": end, "round": number, "post": start(server, post)}
            run["rows"] = total(server)
            runs.append(run)
            say("  first 200 after the start (%s): %.3f s"
                % (end, run["post"]))
            server.rest()

    return runs


def beside(server, paths, **options):
    """Ingest and 16 readers, ten reads a second each."""

    before = total(server)
    with Memory(server) as memory, load.Background(
            server.port, c=64, d=2 * SECONDS, t=10, **options) as ingest:
        readers = load.read(server.port, paths, c=16, r=160, t=10,
                            d=2 * SECONDS - 0.5)
        run = ingest.wait()

    have = total(server)
    verify(run, have, have, before)
    show("ingest beside readers", run)
    show("readers beside ingest", readers)
    server.rest()
    return {"ingest": run, "readers": readers, "resident": memory.most}


def alone(server, number):
    before = total(server)
    with Memory(server) as memory:
        run = measure(server, p=0)

    have = total(server)
    verify(run, have, have, before)
    run.update(target="grown", round=number, rows=before,
               resident=memory.most)
    show("%d rows" % before, run)
    return run


def grown():
    """All of it signs while it runs, so that the two loads begin as one."""

    rows = ROWS[-1]
    runs, full, partly = [], [], []

    os.makedirs(FOLDER, exist_ok=True)
    with Ours(folder=FOLDER) as server:
        fill(server, rows)
        server.rest()
        began = starts(server)

        by_kind = kinds(server, rows)
        paths = [path for group in zip(*(
            itertools.islice(itertools.cycle(by_kind[kind]), 100)
            for kind in READS if by_kind[kind])) for path in group]

        for number in range(1, ROUNDS + 1):
            runs.append(fresh("empty", Ours, number, p=0))
            runs.append(alone(server, number))
            most = runs[1]["rate"]
            full.append(beside(server, paths))
            partly.append(beside(server, paths, r=round(most * 0.7)))

        size = server.size()
        last = total(server)
        files = [space("full store", server, last + MORE)]

    for name, kind in (("search=off", Ours), ("search=on", Searching)):
        with kind() as server:
            files.append(space(name, server, MORE))

    return {"rows": rows, "after": last, "size": size, "starts": began,
            "files": files, "runs": runs, "full": full, "partly": partly,
            "seconds": SECONDS, "rounds": ROUNDS}
