"""Those who follow: how soon, how many, beside ingest, and from far back."""

import hashlib
import hmac
import json
import os
import selectors
import socket
import sys
import tempfile
import time
import uuid

import load
import process
from ingest import measure, show, verify
from nginx import Ours
from reads import total
from setting import BUILD, HERE, QUICK, ROUNDS, SECONDS, SECRET, fail, say

STREAM = "/messages/stream"
EVENT = "event: message"
EVENTS = "lyftr_stream_events_total"

# an open loop, whose answers and events are timed one by one
RATE = 1000

IDLE = 1000
LIVE = 100

# seconds that idle streams are looked at, as long as a heartbeat takes to come
WATCH = 5 if QUICK else 15

# rows that are caught up with
BEHIND = 200000 if QUICK else 1000000


class Follower(load.Program):
    name = "a follower"

    def __init__(self, port, path, connections, *options):
        super().__init__(sys.executable, os.path.join(HERE, "lib", "follow.py"),
                         str(port), path, str(connections), *map(str, options))


def streams(server, number):
    """Waits until so many are open."""

    end = time.monotonic() + 30
    while metric(server, "lyftr_streams") != number:
        if time.monotonic() > end:
            fail("there are not %d streams" % number)
        time.sleep(0.1)


def metric(server, name):
    for line in server.get("/metrics")[2].splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    fail("there is no metric " + name)


def delivery(number):
    name = "%s-%d" % (uuid.uuid4(), number)
    body = json.dumps({
        "message_id": name, "from": "+917000000000", "to": "+14155550100",
        "ts": "2026-11-23T10:00:00Z", "text": "one of an open loop"}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return name, (b"POST /webhook HTTP/1.1\r\nHost: a\r\nX-Signature: %s\r\n"
                  b"Content-Length: %d\r\n\r\n%s"
                  % (signature.encode(), len(body), body))


def post(port, seconds):
    """The nanosecond at which each message was answered 200."""

    due = [delivery(n) for n in range(int(RATE * seconds))]
    answered = {}
    selector = selectors.DefaultSelector()
    idle = []

    for _ in range(32):
        idle.append(socket.create_connection(("127.0.0.1", port)))

    start = time.monotonic()
    n = 0
    while len(answered) < len(due):
        now = time.monotonic() - start
        while n < len(due) and n <= now * RATE and idle:
            one = idle.pop()
            one.sendall(due[n][1])
            selector.register(one, selectors.EVENT_READ, due[n][0])
            n += 1

        left = n / RATE - (time.monotonic() - start)
        for key, _ in selector.select(max(left, 0) if n < len(due) else 1):
            data = key.fileobj.recv(4096)
            if not data.startswith(b"HTTP/1.1 200"):
                fail("a message was not stored: %r" % data[:40])
            answered[key.data] = time.monotonic_ns()
            selector.unregister(key.fileobj)
            idle.append(key.fileobj)

    for one in idle:
        one.close()
    return answered


def soon(number):
    """From the 200 of a message to its event, on streams of both workers."""

    connections = 8
    with Ours(2) as server, tempfile.TemporaryDirectory(dir=BUILD) as folder:
        name = os.path.join(folder, "times")
        with Follower(server.port, STREAM, connections, "times",
                      name) as follower:
            streams(server, connections)
            answered = post(server.port, 2 * SECONDS)
            time.sleep(1)
            found = follower.stop()

        times = []
        with open(name) as f:
            for line in f:
                message, _, came = line.split()
                times.append(max(int(came) - answered[message], 0) / 1e6)

    if len(times) != connections * len(answered):
        fail("%d events of %d" % (len(times), connections * len(answered)))

    run = {"round": number, "rate": RATE, "streams": connections,
           "events": found["events"], "max": max(times),
           "p50": load.percentile(times, 0.5),
           "p99": load.percentile(times, 0.99)}
    say("  %-26s p50 %8.3f  p99 %8.3f ms"
        % ("event after the 200", run["p50"], run["p99"]))
    return run


def processor(server):
    """How much of one a server takes."""

    before = server.usage()
    time.sleep(WATCH)
    after = server.usage()
    return sum(after[name] - before[name]
               for name in ("user", "system")) / WATCH


def idle(number):
    """What streams cost to which nothing comes."""

    with Ours(2) as server:
        load.run(server.port, c=16, n=1000)
        with Follower(server.port, STREAM, 16):
            streams(server, 16)
        streams(server, 0)
        server.rest()

        without = processor(server)
        pids = server.worker_pids()
        memory = sum(map(process.private, pids))
        with Follower(server.port, STREAM, IDLE) as follower:
            streams(server, IDLE)
            time.sleep(1)

            used = processor(server)
            each = (sum(map(process.private, pids)) - memory) / IDLE
            found = follower.stop()

    run = {"round": number, "streams": found["started"], "memory": each,
           "seconds": WATCH, "processor": used - without}
    say("  %-26s %8.1f KB each, %.4f of a processor"
        % ("%d idle streams" % IDLE, each / 1024, run["processor"]))
    return run


def ingest(number, live):
    """With streams that follow all of it, or without."""

    with Ours() as server:
        load.run(server.port, c=16, n=1000)
        with Follower(server.port, STREAM, live) as follower:
            streams(server, live)
            run = measure(server, rest=False, p=0)
            run["behind"] = 1 - metric(server, EVENTS) / max(
                live * (total(server) - 1000), 1)

            start = time.monotonic()
            wanted = live * (total(server) - 1000)
            while metric(server, EVENTS) < wanted:
                if time.monotonic() > start + 60:
                    fail("streams do not get all")
                time.sleep(0.05)
            run["caught"] = time.monotonic() - start
            follower.stop()

        verify(run, *server.stored(), before=1000)

    run.update(round=number, streams=live)
    show("ingest, %d streams" % live, run)
    return run


def behind(number, server, rows):
    """All of a store on one connection."""

    with Follower(server.port, STREAM + "?after=0", 1, "count", EVENT,
                  rows) as follower:
        run = follower.wait()

    if run["events"] != rows:
        fail("%d events of %d" % (run["events"], rows))
    run.update(round=number, rate=rows / run["seconds"])
    say("  %-26s %9.0f/s" % ("catching up", run["rate"]))
    return run


def stream():
    part = {"soon": [], "idle": [], "ingest": [], "behind": [],
            "rows": BEHIND}

    for number in range(1, ROUNDS + 1):
        part["soon"].append(soon(number))
        for live in (0, LIVE):
            part["ingest"].append(ingest(number, live))
    part["idle"].append(idle(1))

    with Ours() as server:
        load.run(server.port, c=256, n=BEHIND)
        server.rest()
        for number in range(1, ROUNDS + 1):
            part["behind"].append(behind(number, server, BEHIND))

    return part
