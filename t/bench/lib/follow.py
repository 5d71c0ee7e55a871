"""A program that reads streams and exports; tells in JSON what came.

follow.py PORT PATH CONNECTIONS: until SIGINT, or until all have ended.
follow.py PORT PATH CONNECTIONS times FILE: the same, and a line with the id
of each message, the number of the connection and the nanosecond it came at.
follow.py PORT PATH CONNECTIONS count TEXT NUMBER: until a text came so often.
"""

import json
import re
import selectors
import signal
import socket
import sys
import time

ROOM = 1 << 18

# seconds between two looks at what came, where no times are told, so that many
# connections take little from what is measured
PAUSE = 0.005
ID = re.compile(rb'"message_id":"([^"]*)"')


class Reader:
    """A connection, and the end of what came, which may go on."""

    def __init__(self, port, path, number):
        self.number = number
        self.bytes = self.events = 0
        self.rest = b""
        self.first = None
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n"
                            b"Connection: close\r\n\r\n" % path.encode())


class Program:
    def __init__(self, port, path, connections, kind="", name="", number=0):
        self.kind = kind
        self.buffer = bytearray(ROOM)
        self.text = name.encode()
        self.wanted = int(number)
        self.out = open(name, "w") if kind == "times" else None
        self.selector = selectors.DefaultSelector()
        self.ended = False
        self.failed = 0

        signal.signal(signal.SIGINT, self.stop)

        self.readers = [Reader(int(port), path, n)
                        for n in range(int(connections))]
        for reader in self.readers:
            self.selector.register(reader.socket, selectors.EVENT_READ,
                                   reader)

    def stop(self, *_):
        self.ended = True

    def run(self):
        start = time.monotonic()

        while not self.ended and self.selector.get_map():
            for key, _ in self.selector.select(0.2):
                self.read(key.data)
            if not self.kind:
                time.sleep(PAUSE)

        seconds = time.monotonic() - start
        if self.out:
            self.out.close()

        print(json.dumps({
            "seconds": seconds, "connections": len(self.readers),
            "started": sum(r.first is not None for r in self.readers),
            "failed": self.failed,
            "bytes": sum(r.bytes for r in self.readers),
            "events": sum(r.events for r in self.readers)}), flush=True)

    def read(self, reader):
        # what only counts by its bytes need not be copied

        flags = 0 if self.kind or reader.first is None else socket.MSG_TRUNC

        try:
            n = reader.socket.recv_into(self.buffer, ROOM, flags)
        except ConnectionResetError:
            n = 0
            self.failed += 1

        if n == 0:
            self.selector.unregister(reader.socket)
            reader.socket.close()
            return

        now = time.monotonic_ns()
        reader.bytes += n
        reader.first = reader.first or now

        if self.kind == "times":
            self.note(reader, self.buffer[:n], now)

        elif self.kind == "count":
            self.count(reader, n)

    def note(self, reader, data, now):
        whole, mark, rest = (reader.rest + data).rpartition(b"\n\n")
        reader.rest = rest

        for found in ID.findall(whole):
            reader.events += 1
            self.out.write("%s %d %d\n" % (found.decode(), reader.number, now))

    def count(self, reader, n):
        most = len(self.text) - 1
        seam = reader.rest + self.buffer[:min(n, most)]

        reader.events += seam.count(self.text)
        reader.events += self.buffer.count(self.text, 0, n)
        reader.rest = (seam + self.buffer[:n])[-most:] if most else b""

        if self.wanted and reader.events >= self.wanted:
            self.ended = True


Program(*sys.argv[1:]).run()
