"""The index for q: what it gives, and what it costs."""

import os

from ingest import fresh
from nginx import Ours, Searching
from reads import FOLDER, both, fill, total
from setting import ROUNDS, ROWS, say


def search():
    ingest = []
    for number in range(1, ROUNDS + 1):
        for name, server in (("search=off", Ours), ("search=on", Searching)):
            ingest.append(fresh(name, server, number))

    os.makedirs(FOLDER, exist_ok=True)
    with Searching(folder=FOLDER) as server:
        fill(server, ROWS[-1])
        rest = server.rest(900)
        rows = total(server)
        size = server.size()
        say("  at rest after %.0f s, %.0f bytes a message"
            % (rest, sum(size.values()) / rows))
        runs, run = both(server, rows, "q")

    return {"rows": rows, "rest": rest, "size": size, "runs": runs,
            "beside": run, "ingest": ingest}
