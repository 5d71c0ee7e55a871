"""The figures that are to be reached: goal, floor, and what was measured."""

import statistics

from results import median, pick, ratio


def worst(values):
    """The largest; none if one is missing."""

    values = list(values)
    return max(values) if values and None not in values else None


def runs(results, part, **wanted):
    return pick(results["parts"].get(part, {}).get("runs", []), **wanted)


def rate(results, part, **wanted):
    return median(runs(results, part, **wanted), "rate")


def p99(run):
    """Of a run that got answers, or how long it waited for none."""

    if run is None:
        return None
    if run["acknowledged"] == 0 or run["statuses"] or run["errors"]:
        return float("inf")
    return run["latency_ms"]["p99"]


def typical(found):
    """The median of some runs that all got their answers."""

    values = [p99(run) for run in found]
    return max(values) if float("inf") in values \
        else statistics.median(values) if values else None


def stage(results, rows):
    for s in results["parts"].get("reads", {}).get("stages", []):
        if s["rows"] == rows:
            return s
    return None


def alone(results, kind, rows):
    s = stage(results, rows)
    found = pick(s["runs"], kind=kind, busy=False) if s else []
    return found[0] if found else None


def sizes(results):
    return [s["rows"] for s in
            results["parts"].get("reads", {}).get("stages", [])] or [0]


def whatsapp(r):
    return ratio(rate(r, "whatsapp", target="whatsapp"),
                 rate(r, "whatsapp", target="lyftr"))


def standard(r):
    return ratio(*[spent(runs(r, "whatsapp", target=target))
                   for target in ("lyftr, standard", "lyftr")])


def fifty(r):
    found = [median(runs(r, "whatsapp", target=target), "messages")
             for target in ("whatsapp, 50", "whatsapp")]
    return ratio(*found)


def ingest(r):
    return ratio(rate(r, "ingest", target="ours", connections=64),
                 rate(r, "ingest", target="bare", connections=64))


def sustained(r):
    part = r["parts"].get("sustained")
    if part:
        least = min(m["rate"] for m in part["minutes"])
        return ratio(least, median(part["bare"], "rate"))
    return None


def grown(r):
    return ratio(rate(r, "grown", target="grown"),
                 rate(r, "grown", target="empty"))


def fastapi(r):
    return ratio(rate(r, "peers", target="ours"),
                 rate(r, "peers", target="FastAPI, best"))


def lone(r):
    appends = pick(r["parts"].get("ingest", {}).get("appends", []),
                   kind="body")
    return ratio(median(runs(r, "ingest", target="ours", connections=1),
                        "latency_ms", "p50"), median(appends, "p50"))


def steady(r):
    return typical(runs(r, "open", target="ours", name="5000"))


def stats(r):
    few, many = (alone(r, "/stats", n)
                 for n in (sizes(r)[0], sizes(r)[-1]))
    return ratio(*(run and run["latency_ms"]["p50"] for run in (many, few)))


def pages(r):
    return worst(p99(alone(r, kind, sizes(r)[-1])) for kind in (
        "first page", "keyset page", "from", "since", "from, since"))


def rare(r):
    return typical(runs(r, "search", kind="q rare", busy=False))


def common(r):
    return typical(runs(r, "search", kind="q common", busy=False))


def readers(r):
    return typical([run["readers"] for run in
                    r["parts"].get("grown", {}).get("partly", [])])


def beside(r):
    return ratio(median(r["parts"].get("grown", {}).get("full", []),
                        "ingest", "rate"),
                 rate(r, "grown", target="grown"))


def written(r):
    value = median(runs(r, "ingest", target="ours", connections=64), "bytes")
    return value and value / 1024


def memory(r):
    part = r["parts"].get("grown", {"runs": [], "full": []})
    return worst(run["resident"] / 1e6 for run in
                 pick(part["runs"], target="grown") + part["full"])


def started(r):
    return worst(run["post"] for run in
                 r["parts"].get("grown", {}).get("starts", []))


def files(r):
    return r["parts"].get("grown", {}).get("files", [])


def file_busy(r):
    return worst(run["busy"] for run in files(r))


def file_rest(r):
    return worst(run["rest"] for run in files(r))


def to_one(workers):
    return lambda r: ratio(*(rate(r, "scale", target="ours", workers=n)
                             for n in (workers, 1)))


def wait_to_one(r):
    return ratio(*(median(runs(r, "scale", target="ours", workers=n),
                          "latency_ms", "p50") for n in (16, 1)))


def to_redis(ours, connections):
    return lambda r: ratio(rate(r, "peers", target=ours),
                           rate(r, "peers",
                                target="Redis XADD, %d" % connections))


def partly(r):
    return typical(runs(r, "open", target="ours", name="70 %"))


def fast(r):
    return typical(runs(r, "open", target="ours", name="20000"))


def fast_last(r):
    return median(runs(r, "open", target="ours", name="20000"), "latency_ms",
                  "p99.9")


def spent(found):
    user, system = median(found, "user"), median(found, "system")
    return user and user + system


def processor(r):
    return spent(runs(r, "ingest", target="ours", connections=256))


def streams(r, name):
    return r["parts"].get("stream", {}).get(name, [])


def event(r):
    return median(streams(r, "soon"), "p99")


def idle(r):
    value = median(streams(r, "idle"), "memory")
    return value and value / 1024


def asleep(r):
    value = median(streams(r, "idle"), "processor")
    return value and value * 100


def live(r):
    found = [median(pick(streams(r, "ingest"), streams=n), "rate")
             for n in (100, 0)]
    return ratio(*found)


def catching_up(r):
    return median(streams(r, "behind"), "rate")


def exports(r, name):
    return r["parts"].get("export", {}).get(name, [])


def exported(r):
    return median(exports(r, "runs"), "rate")


def flat(r):
    return worst(run["growth"] / 1e6 for run in exports(r, "runs"))


def beside_export(r):
    return ratio(*(median(pick(exports(r, "full"), exports=n), "rate")
                   for n in (1, 0)))


def later(r):
    found = [typical(pick(exports(r, "open"), exports=n)) for n in (1, 0)]
    return found[0] - found[1] if None not in found else None


def postgres(r):
    return r["parts"].get("postgres", {})


def in_postgres(r, target, **wanted):
    return median(pick(postgres(r).get("runs", []), target=target, **wanted),
                  "rate")


def to_pgbench(r):
    rates = [in_postgres(r, "ours", connections=n) for n in (64, 256, 1024)]
    return None if None in rates else ratio(
        max(rates), median(pick(postgres(r)["pgbench"], rows=64), "rate"))


def lone_in_postgres(r):
    return ratio(*(median(found, *path) for found, path in (
        (pick(postgres(r).get("runs", []), target="ours", connections=1),
         ("latency_ms", "p50")),
        (pick(postgres(r).get("pgbench", []), rows=1), ("p50",)))))


def standby(r):
    return ratio(*(in_postgres(r, target, connections=64)
                   for target in ("with a standby", "ours")))


def hosts(many, few):
    return lambda r: ratio(in_postgres(r, "hosts", hosts=many),
                           in_postgres(r, "hosts", hosts=few))


def read_from_postgres(*kinds):
    return lambda r: worst(p99(run) for kind in kinds for run in pick(
        r["parts"].get("postgres-reads", {}).get("runs", []), kind=kind))


def elsewhere(r):
    return median(postgres(r).get("soon", []), "p99")


def promoted(r):
    return median(postgres(r).get("promoted", []), "seconds")


# number, name, unit, goal, floor, if more is better, how it is had

FIGURES = (
    ("1", "ingest, 64 connections, empty store, to bare nginx", "",
     0.6, 0.4, True, ingest),
    ("1b", "the same for 5 minutes, the slowest fifth", "",
     0.45, 0.25, True, sustained),
    ("2", "ingest at the most rows, to the empty store", "",
     0.9, 0.7, True, grown),
    ("3", "ingest to FastAPI, its best case", " ×", 100, 40, True, fastapi),
    ("4", "p50 of a lone POST, to an append and its sync", " ×",
     1.2, 2, False, lone),
    ("5", "p99 at 5,000 a second, open loop", " ms", 3, 10, False, steady),
    ("6", "/stats at the most rows, to the fewest", " ×", 1, 2, False, stats),
    ("7", "pages, `from`, `since` at the most rows: p99 of the slowest",
     " ms", 2, 10, False, pages),
    ("8", "`search=on`, `q` rare at the most rows: p99", " ms", 10, 50, False,
     rare),
    ("8", "`search=on`, `q` common at the most rows: p99", " ms", 300, 2000,
     False, common),
    ("9", "16 readers beside ingest at 70 %: p99", " ms", 10, 25, False,
     readers),
    ("9", "full ingest beside 16 readers, to ingest alone", "",
     0.8, 0.6, True, beside),
    ("10", "written to disk a message, 64 connections", " KB", 1, 4, False,
     written),
    ("11", "memory of a worker at the most rows", " MB", 100, 200, False,
     memory),
    ("12", "start to the first 200 at the most rows, clean or killed", " s",
     0.5, 2, False, started),
    ("13", "2 workers to 1", "", 1.3, 1.1, True, to_one(2)),
    ("13", "4 workers to 1", "", 1.3, 1, True, to_one(4)),
    ("13", "8 workers to 1", "", 1.2, 1, True, to_one(8)),
    ("13", "16 workers to 1", "", 1.1, 0.9, True, to_one(16)),
    ("13", "p50 at 16 workers, to 1", " ×", 1.1, 1.5, False, wait_to_one),
    ("14", "deliveries of WhatsApp to those of `lyftr`", "", 0.8, 0.8, True,
     whatsapp),
    ("14", "messages in deliveries of 50 to those in single ones", " ×", 3, 3,
     True, fifty),
    ("14", "processor of a message signed as `standard`, to `lyftr`", " ×",
     1.05, 1.05, False, standard),
    ("15", "to Redis XADD, appendfsync always, 64 connections", "",
     1.2, 1, True, to_redis("ours", 64)),
    ("15", "the same, 256 connections", "",
     1.5, 1, True, to_redis("ours, 256", 256)),
    ("16", "open loop at 70 %: p99", " ms", 5, 12, False, partly),
    ("16", "p99 at 20,000 a second, open loop", " ms", 3, 6, False, fast),
    ("16", "p99.9 at 20,000 a second", " ms", 8, 12, False, fast_last),
    ("17", "processor a message, 256 connections", " µs", 10, 13, False,
     processor),
    ("18", "from the 200 to the event at 1,000 a second, two workers: p99",
     " ms", 50, 50, False, event),
    ("18", "memory of an idle stream, of 1,000", " KB", 16, 16, False, idle),
    ("18", "processor of 1,000 idle streams", " %", 1, 2, False, asleep),
    ("18", "ingest beside 100 live streams, to ingest alone", "",
     0.8, 0.8, True, live),
    ("18", "catching up, one connection, a second", "", 100000, 100000, True,
     catching_up),
    ("19", "export at the most rows, rows a second", "", 200000, 200000, True,
     exported),
    ("19", "memory of the workers meanwhile, growth", " MB", 2, 4, False,
     flat),
    ("19", "ingest beside an export, to ingest alone", "", 0.8, 0.8, True,
     beside_export),
    ("19", "p99 at 1,000 a second beside an export, more than alone", " ms",
     5, 5, False, later),
    ("20", "PostgreSQL: ingest to pgbench's best", "", 0.7, 0.5, True,
     to_pgbench),
    ("20", "p50 of a lone POST to a lone insert", " ×", 1.3, 2, False,
     lone_in_postgres),
    ("20", "with a standby to without", "", 0.8, 0.6, True, standby),
    ("20", "16 hosts to 4", "", 0.8, 0.6, True, hosts(16, 4)),
    ("20", "two hosts to one", "", 1.2, 1, True, hosts(2, 1)),
    ("20", "`from`, `since`, an offset of 1,000,000: p99 of the slowest",
     " ms", 10, 50, False,
     read_from_postgres("from", "since", "offset 1,000,000")),
    ("20", "/stats: p99", " ms", 5, 20, False, read_from_postgres("/stats")),
    ("20", "`q` rare: p99", " ms", 10, 50, False,
     read_from_postgres("q rare")),
    ("20", "from the 200 to the event on another host: p99", " ms", 50, 200,
     False, elsewhere),
    ("20", "promotion to the first 200", " s", 1, 3, False, promoted),
)


def judge(value, goal, floor, more):
    if value is None:
        return "not measured"
    for limit, word in ((goal, "goal"), (floor, "floor")):
        if value >= limit if more else value <= limit:
            return word
    return "**no**"
