"""The file to what lives in it."""

import sqlite3
import urllib.parse

import process
from reads import fill, total
from setting import say

# as the module numbers blocks: the bits below those of the segment, or part
TREES = ("lyftr_block", "lyftr_segment", 36, "1")
GRAMS = ("lyftr_gram", "lyftr_search", 40, "level >= 0")

# so much smaller stores have parts of the search index that were replaced
SMALL = 250000


class Space(process.Sampler):
    """The largest that the file is while this runs, to what lives in it."""

    pause = 0.5

    def __init__(self, server):
        super().__init__()
        self.path = server.path(server.database)
        self.most = 0

    def sample(self):
        self.most = max(self.most, ratio(self.path))


def dead(db, blocks, owners, bits, lives):
    """Bytes between the blocks of those that live."""

    low = size = 0
    ids = [row[0] for row in db.execute(
        "SELECT id FROM %s WHERE %s ORDER BY id" % (owners, lives))]

    for number in ids + [1 << (62 - bits)]:
        size += db.execute(
            "SELECT total(length(data)) FROM %s WHERE no >= ? AND no < ?"
            % blocks, (low, number << bits)).fetchone()[0]
        low = (number + 1) << bits

    return size


def ratio(path):
    db = sqlite3.connect("file:%s?mode=ro" % urllib.parse.quote(path),
                         uri=True, timeout=10, isolation_level=None)
    try:
        db.execute("BEGIN")
        pages, free, size = (
            db.execute("PRAGMA " + name).fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size"))
        gone = dead(db, *TREES) + dead(db, *GRAMS)
    finally:
        db.close()

    return pages * size / ((pages - free) * size - gone)


def space(name, server, rows):
    """Of a server that runs, until it has so many rows and rests."""

    fill(server, min(rows, SMALL))
    with Space(server) as file:
        fill(server, rows)
        server.rest(900)

    run = {"target": name, "rows": total(server), "busy": file.most,
           "rest": ratio(file.path)}
    say("  file to what lives in it, %s, %d rows: %.3f, at rest %.3f"
        % (name, run["rows"], run["busy"], run["rest"]))
    return run
