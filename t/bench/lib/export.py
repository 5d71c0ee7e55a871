"""All of the largest store in one answer, and what ingest is beside it."""

import os
import threading
import time

import load
import process
from ingest import show, verify
from nginx import Ours
from reads import FOLDER, fill, total
from setting import ROUNDS, ROWS, SECONDS, fail, say
from stream import RATE, Follower

EXPORT = "/messages/export"


class Memory(process.Sampler):
    """What workers have from a while after the start of this on, and at most.

    A worker keeps what its first export needs.
    """

    def __init__(self, server):
        super().__init__()
        self.pids = server.worker_pids()
        self.sizes = []

    def sample(self):
        self.sizes.append(sum(map(process.private, self.pids)))

    def growth(self):
        """Bytes, from the first quarter to the last."""

        n = max(len(self.sizes) // 4, 1)
        return max(self.sizes[-n:]) - max(self.sizes[:n])


def whole(server, number):
    rows = total(server)
    with Memory(server) as memory, Follower(server.port, EXPORT, 1,
                                            "count", "\n{") as follower:
        run = follower.wait()

    # the first line follows the head of the answer, and is one of these too

    if run["events"] != rows or run["failed"]:
        fail("%d lines of %d" % (run["events"], rows))

    run.update(round=number, rows=rows, rate=rows / run["seconds"],
               growth=memory.growth(),
               resident=process.resident(server.worker_pids()))
    say("  %-26s %9.0f/s  memory %+.1f MB"
        % ("export", run["rate"], run["growth"] / 1e6))
    return run


def beside(server, number, exports, **options):
    """Ingest while so many exports go on, which begin again and again."""

    before = total(server)
    ended = threading.Event()

    def again():
        while not ended.is_set():
            with Follower(server.port, EXPORT, 1) as follower:
                while follower.process.poll() is None and not ended.wait(0.1):
                    pass

    threads = [threading.Thread(target=again) for _ in range(exports)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)

    run = load.run(server.port, d=SECONDS, **options)

    ended.set()
    for thread in threads:
        thread.join()

    have = total(server)
    verify(run, have, have, before)
    run.update(round=number, exports=exports, rows=have)
    show("ingest, %d exports" % exports, run)
    server.rest()
    return run


def export():
    part = {"rows": ROWS[-1], "runs": [], "full": [], "open": []}

    os.makedirs(FOLDER, exist_ok=True)
    with Ours(folder=FOLDER) as server:
        fill(server, ROWS[-1])
        server.rest()

        for number in range(1, ROUNDS + 1):
            part["runs"].append(whole(server, number))

            for exports in (0, 1):
                part["full"].append(beside(server, number, exports, c=64))
                part["open"].append(beside(server, number, exports, c=64,
                                           r=RATE))

    return part
