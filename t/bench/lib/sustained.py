"""Full speed for minutes, from an empty store on."""

import re
import time

import load
import process
from ingest import CREATED, fresh, show, verify
from nginx import Nginx, Ours
from reads import total
from setting import SUSTAINED, say

MINUTES = 5


def sustained():
    """Both sign while they run: so many bodies have no room."""

    bare = [fresh("bare", Nginx, 1, p=0)]
    minutes = []

    with Ours() as server:
        with load.Background(server.port, c=64, d=SUSTAINED) as ingest:
            start = last = time.monotonic()
            created = 0

            for number in range(1, MINUTES + 1):
                end = start + SUSTAINED * number / MINUTES - 0.2
                time.sleep(max(end - time.monotonic(), 0))

                minutes.append(minute(server, number, last, created))
                last += minutes[-1]["seconds"]
                created = minutes[-1]["created"]

            run = ingest.wait()

        show("%g s" % SUSTAINED, run)
        run["rest"] = server.rest()
        have = total(server)
        verify(run, have, have)
        run["size"] = server.size()
        say("  at rest after %.1f s" % run["rest"])

    bare.append(fresh("bare", Nginx, 2, p=0))

    return {"seconds": SUSTAINED, "bare": bare, "minutes": minutes,
            "run": run}


def minute(server, number, last, created):
    metrics = server.metrics()
    seconds = time.monotonic() - last

    found = {
        "minute": number,
        "created": metrics[CREATED],
        "seconds": seconds,
        "rate": (metrics[CREATED] - created) / seconds,
        "resident": process.resident(server.worker_pids()),
        "gauges": {name: value for name, value in metrics.items()
                   if not re.search(r"_(total|bucket|sum|count)\b", name)},
        "size": server.size(),
    }
    say("  minute %d: %9.0f/s  %s"
        % (number, found["rate"], found["gauges"] or ""))
    return found
