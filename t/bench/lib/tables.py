"""The tables of README.md, from build/bench.json."""

from figures import FIGURES, judge, p99
from results import median, pick, ratio
from setting import QUICK

LATENCIES = ("p50", "p99", "p99.9")


def number(value, unit=""):
    """With as many digits as it is good for."""

    if value is None:
        return "–"
    if value == float("inf"):
        return "not all answered"
    if abs(value) >= 100:
        text = "{:,.0f}".format(value)
    elif abs(value) >= 10:
        text = "%.1f" % value
    else:
        text = "%.2f" % value if abs(value) >= 0.1 else "%.3f" % value
    return text + unit


def table(title, head, rows, note=""):
    lines = ["### " + title, "", "| %s |" % " | ".join(head),
             "|" + "---|" * len(head)]
    lines += ["| %s |" % " | ".join(row) for row in rows]
    return "\n".join(lines + ([] if not note else ["", note]))


def figures(results):
    rows = []
    for name, text, unit, goal, floor, more, measured in FIGURES:
        value = measured(results)
        if value is None and QUICK:
            continue
        rows.append((name, text, number(value, unit), "%g%s" % (goal, unit),
                     "%g%s" % (floor, unit), judge(value, goal, floor, more)))
    return table("Figures", ("#", "figure", "measured", "goal",
                             "no less than", "reached"), rows)


def latencies(runs, *path):
    return [number(median(runs, *path, "latency_ms", p)) for p in LATENCIES]


def cost(runs):
    return [number(median(runs, name))
            for name in ("user", "system", "bytes")]


COST = ("user s", "system s", "bytes")

COST_NOTE = ("Latencies in ms; seconds of processor a million messages, and "
             "bytes written to disk a\nmessage, both until the store is at "
             "rest.")


def ingest(part):
    rows = []
    for connections in sorted({r["connections"] for r in part["runs"]}):
        bare, ours = (pick(part["runs"], target=t, connections=connections)
                      for t in ("bare", "ours"))
        rows.append([
            str(connections),
            number(ratio(median(ours, "rate"), median(bare, "rate"))),
            number(median(bare, "rate")), number(median(ours, "rate")),
            *latencies(ours), *cost(ours),
            number(median(ours, "commits_a_second")),
            number(median(ours, "batch"))])

    notes = [COST_NOTE]
    for kind, text in (("body", "as many bytes as a body has"),
                       ("written", "as many as a lone POST writes")):
        some = pick(part["appends"], kind=kind)
        if some:
            notes.append("Appending %s to a file (%s), and its sync: p50 "
                         "%s ms, p99 %s ms." % (
                             text, number(median(some, "size")),
                             number(median(some, "p50")),
                             number(median(some, "p99"))))
    return table("By connections",
                 ("connections", "to bare", "bare /s", "ours /s", *LATENCIES,
                  *COST, "commits /s", "batch"), rows, "\n".join(notes))


def peers(part):
    ours = median(pick(part["runs"], target="ours"), "rate")
    bare = median(pick(part["runs"], target="bare"), "rate")
    rows = []
    for target in dict.fromkeys(r["target"] for r in part["runs"]):
        runs = pick(part["runs"], target=target)
        rate = median(runs, "rate")
        rows.append([target, number(ratio(rate, bare)),
                     number(ratio(ours, rate), " ×"), number(rate),
                     *latencies(runs), *cost(runs)])

    batch = number(median(pick(part["runs"], target="ours"), "batch"))
    return table(
        "Against others, 64 connections",
        ("", "to bare", "ours to it", "/s", *LATENCIES, *COST), rows,
        COST_NOTE + "\n\"No store\": the bodies are signed and parsed, and "
        "refused with 422 for their `ts`.\nSQLite: one thread without HTTP, "
        "batches of %s as ours had.\nRedis has `appendfsync always`, and "
        "neither HTTP, a signature, an index nor ids that are known;\n"
        "PostgreSQL inserts a row a transaction, on a socket; both with as "
        "many connections as is said.\nAppend and sync: one thread, over a "
        "file that is there, in such batches." % batch)


def open_loop(part):
    rows = []
    for name, target in dict.fromkeys((r["name"], r["target"])
                                      for r in part["runs"]):
        runs = pick(part["runs"], name=name, target=target)
        rows.append([name if target == "ours" else target,
                     number(median(runs, "rate")), *latencies(runs),
                     number(median(runs, "latency_ms", "max")),
                     number(max(p99(r) for r in runs))])
    return table("Open loop", ("offered /s", "taken /s", *LATENCIES, "max",
                               "p99, worst round"), rows,
                 "70 %% of %s a second; in ms from the time that each was "
                 "due. Append and sync: at the\nrate above it, all rows that "
                 "are due at once, by one thread, over a file that is there."
                 % number(part["maximum"]))


def reads(part):
    stages = part["stages"]
    rows = []
    for kind in dict.fromkeys(r["kind"] for r in stages[0]["runs"]):
        row = [kind]
        for busy in (False, True):
            for stage in stages:
                runs = pick(stage["runs"], kind=kind, busy=busy)
                row.append(cell(runs[0]) if runs else "–")
        rows.append(row)

    head = ["p50 / p99 in ms"]
    for text in ("", ", ingest"):
        head += ["%s rows%s" % (number(s["rows"]), text) for s in stages]

    notes = ["One connection, without ingest and beside full ingest from 64 "
             "others. An offset of\n1,000,000 is past the end of the smaller "
             "stores.", "Beside ingest they grew: " + ", ".join(
        "from %s to %s rows" % (number(s["rows"]), number(s["after"]))
        for s in stages) + "."]
    notes.append("On disk: " + ", ".join(
        "%s bytes a message at %s rows" % (
            number(sum(s["size"].values()) / s["rows"]), number(s["rows"]))
        for s in stages) + ".")
    points = [p for s in stages[1:] for p in s["points"]]
    if points:
        notes.append("Filling, 256 connections: %s a second at first, %s at "
                     "last." % (number(points[0]["rate"]),
                                number(points[-1]["rate"])))
    notes.append("Of the deliveries beside the reads were refused: %s." % (
        ", ".join("%s at %s rows" % (refused(s["ingest"]), number(s["rows"]))
                  for s in stages)))
    return table("Reads", head, rows, "\n".join(notes))


def refused(run):
    n = run["statuses"].get("503", 0)
    return "%d of %s" % (n, number(n + run["acknowledged"]))


def cell(run):
    odd = sum(run["statuses"].values()) + run["errors"]
    if not run["acknowledged"]:
        return ", ".join(run["statuses"]) or "no answer"
    text = "%s / %s" % (number(run["latency_ms"]["p50"]),
                        number(run["latency_ms"]["p99"]))
    return text + (" (%d of %d failed)" % (odd, run["requests"])
                   if odd else "")


def grown(part):
    rows = []
    for name, runs in (
            ("empty store", pick(part["runs"], target="empty")),
            ("full store", pick(part["runs"], target="grown")),
            ("full store beside readers", [r["ingest"]
                                           for r in part["full"]]),
            ("70 % beside readers", [r["ingest"] for r in part["partly"]])):
        rows.append([name, number(median(runs, "rate")), *latencies(runs),
                     *cost(runs)])
    for name, key in (("readers beside full speed", "full"),
                      ("readers beside 70 %", "partly")):
        runs = [r["readers"] for r in part[key]]
        rows.append([name, number(median(runs, "rate")), *latencies(runs),
                     *cost(runs)])

    starts = ", ".join("%s s (%s)" % (
        number(median(pick(part["starts"], end=end), "post")), end)
        for end in ("clean", "kill -9"))
    memory, beside = (max(r["resident"] for r in runs) / 1e6 for runs in (
        pick(part["runs"], target="grown"), part["full"]))
    files = ", ".join("%s at rest, at most %s (%s)" % (
        number(run["rest"]), number(run["busy"]), run["target"])
        for run in part.get("files", []))
    return table(
        "At %s rows and more" % number(part["rows"]),
        ("", "/s", *LATENCIES, *COST), rows,
        "From the start to the first 200: %s.\nA worker had at most %s MB of "
        "memory at full speed, and %s MB beside the readers.\nThe file to "
        "what lives in it: %s." % (
            starts, number(memory), number(beside), files))


def search(part):
    rows = []
    for kind in dict.fromkeys(r["kind"] for r in part["runs"]):
        rows.append([kind] + [cell(pick(part["runs"], kind=kind, busy=busy)[0])
                              for busy in (False, True)])

    on, off = (median(pick(part["ingest"], target=name), "rate")
               for name in ("search=on", "search=off"))
    return table(
        "With search=on, at %s rows" % number(part["rows"]),
        ("p50 / p99 in ms", "alone", "beside ingest"), rows,
        "Ingest with 64 connections into an empty store: %s a second, and "
        "%s without the index (%s).\nThe index was caught up %s s after the "
        "start, and then there were %s bytes a message on disk.\nOf the "
        "deliveries beside the reads were refused: %s." % (
            number(on), number(off), number(ratio(on, off)),
            number(part["rest"]),
            number(sum(part["size"].values()) / part["rows"]),
            refused(part["beside"])))


def sustained(part):
    bare = median(part["bare"], "rate")
    rows = [[str(m["minute"]), number(ratio(m["rate"], bare)),
             number(m["rate"]), number(sum(m["size"].values()) / 1e6),
             number(m["resident"] / 1e6),
             *(number(m["gauges"]['lyftr_store_%s{store="main"}' % name])
               for name in ("unindexed_rows", "uncounted_rows")),
             number(m["gauges"]['lyftr_store_wal_bytes{store="main"}'] / 1e6)]
            for m in part["minutes"]]
    return table("Sustained, fifths of %s s" % number(part["seconds"]),
                 ("", "to bare", "/s", "files, MB", "a worker, MB",
                  "not in an index", "not counted", "WAL, MB"),
                 rows,
                 "At rest %s s after the end." % number(part["run"]["rest"]))


def whatsapp(part):
    rows = []
    own = median(pick(part["runs"], target="lyftr"), "rate")
    one = median(pick(part["runs"], target="whatsapp"), "messages")
    for target in ("lyftr", "lyftr, standard", "bare, whatsapp", "whatsapp",
                   "whatsapp, 50"):
        runs = pick(part["runs"], target=target)
        rate, messages = median(runs, "rate"), median(runs, "messages")
        rows.append([target, number(rate), number(messages),
                     number(ratio(rate, own)), number(ratio(messages, one)),
                     *latencies(runs), *cost(runs)])
    return table("WhatsApp", ("deliveries", "/s", "messages /s", "to lyftr",
                              "messages to single ones", *LATENCIES, *COST),
                 rows, "Our own bodies, signed in our way and in that of Standard "
                 "Webhooks; deliveries of one message of some 700 bytes, and "
                 "of 50. 64 connections.")


def scale(part):
    rows = []
    one = median(pick(part["runs"], target="ours", workers=1), "rate")
    for workers in sorted({r["workers"] for r in part["runs"]}):
        bare = median(pick(part["runs"], target="bare", workers=workers),
                      "rate")
        runs = pick(part["runs"], target="ours", workers=workers)
        rate = median(runs, "rate")
        rows.append([str(workers), number(ratio(rate, one)),
                     number(ratio(rate, bare)), number(bare), number(rate),
                     *latencies(runs), *cost(runs)])
    return table("Workers", ("workers", "to one", "to bare", "bare /s",
                             "ours /s", *LATENCIES, *COST), rows,
                 "64 connections; bare nginx has as many workers as ours.")


def stream(part):
    rows = [["from the 200 to the event", number(median(part["soon"], "p50")),
             number(median(part["soon"], "p99")),
             number(max(run["max"] for run in part["soon"]))]]

    beside = ", ".join("%s a second with %d" % (
        number(median(pick(part["ingest"], streams=n), "rate")), n)
        for n in (0, 100))
    last = pick(part["ingest"], streams=100)
    idle = part["idle"][0]
    return table(
        "Streams", ("ms", "p50", "p99", "max"), rows,
        "1,000 messages a second, two workers, eight streams.\n"
        "Ingest with 64 connections beside streams: %s; these had %s %% of "
        "the events\nwhen it ended, and the rest %s s later.\n"
        "%s idle streams: %s KB of memory each, %s %% of a processor.\n"
        "One that catches up with %s rows: %s events a second." % (
            beside, number(100 * (1 - median(last, "behind"))),
            number(median(last, "caught")), number(idle["streams"]),
            number(idle["memory"] / 1024), number(100 * idle["processor"]),
            number(part["rows"]), number(median(part["behind"], "rate"))))


def export(part):
    rows = []
    for name in ("full", "open"):
        for n in (0, 1):
            runs = pick(part[name], exports=n)
            rows.append(["%s, %d" % ("full speed" if name == "full"
                                     else "1,000 a second", n),
                         number(median(runs, "rate")), *latencies(runs)])

    runs = part["runs"]
    return table(
        "Exports at %s rows" % number(part["rows"]),
        ("ingest, exports beside it", "/s", *LATENCIES), rows,
        "An export: %s rows a second; the workers' memory grew by %s MB at "
        "most from the first\nquarter of it to the last." % (
            number(median(runs, "rate")),
            number(max(run["growth"] for run in runs) / 1e6)))


def postgres(part):
    def ours(target, *path, **wanted):
        return median(pick(part["runs"], target=target, **wanted), *path)

    best = median(pick(part["pgbench"], rows=64), "rate")
    lone = median(pick(part["pgbench"], rows=1), "p50")
    rows = []
    for target in ("ours", "with a standby"):
        for n in sorted({r["connections"] for r in pick(
                part["runs"], target=target)}):
            runs = pick(part["runs"], target=target, connections=n)
            rows.append([
                "%s, %d" % (target, n), number(median(runs, "rate")),
                number(ratio(median(runs, "rate"), best)),
                number(ratio(median(runs, "rate"),
                             ours("ours", "rate", connections=n))),
                *latencies(runs), number(median(runs, "batch"))])
    for n in sorted({r["hosts"] for r in pick(part["runs"], target="hosts")}):
        rate = ours("hosts", "rate", hosts=n)
        rows.append(["%d hosts, 64 together" % n, number(rate),
                     number(ratio(rate, best)),
                     number(ratio(rate, ours("hosts", "rate", hosts=1))),
                     "–", "–", "–", "–"])

    return table(
        "In PostgreSQL", ("connections", "/s", "to pgbench",
                          "to ours, or to one host", *LATENCIES, "batch"),
        rows, "pgbench inserts 64 rows a statement from 4 connections, on the "
        "same machine, into a table\nwith the same indexes: %s rows a second; "
        "a lone row takes it %s ms.\nFrom the 200 on one host to the event on "
        "another: p50 %s ms, p99 %s ms.\nFrom the promotion of the standby to "
        "the first 200: %s s." % (
            number(best), number(lone), number(median(part["soon"], "p50")),
            number(median(part["soon"], "p99")),
            number(median(part["promoted"], "seconds"))))


def postgres_reads(part):
    return table(
        "Reads in PostgreSQL, at %s rows" % number(part["rows"]),
        ("one connection, `search=on`", "p50 / p99 in ms"),
        [[run["kind"], cell(run)] for run in part["runs"]],
        "The rows were counted and folded %s s after they were there."
        % number(part["rest"]))


def machine(m):
    return "%d processors (%s), %s of memory, %s, kernel %s, %s. nginx %s " \
        "with %d workers, %s, %s." % (
            m["processors"], m["processor"], m["memory"], m["system"],
            m["kernel"], m["disk"].split()[0], m["nginx"], m["workers"],
            ", ".join(m["packages"]), m["python"])


PARTS = {"ingest": ingest, "peers": peers, "open": open_loop, "reads": reads,
         "grown": grown, "search": search, "sustained": sustained,
         "whatsapp": whatsapp, "stream": stream, "export": export,
         "scale": scale, "postgres": postgres,
         "postgres-reads": postgres_reads}


def text(results):
    parts = results["parts"]
    tables = [figures(results)]
    tables += [make(parts[name]) for name, make in PARTS.items()
               if name in parts]
    if "machine" in results:
        tables.append(machine(results["machine"]))
    return "\n\n".join(tables)
