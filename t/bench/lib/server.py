"""What is measured: servers, each in a folder of its own."""

import glob
import http.client
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.parse

import process
from setting import BUILD, fail

PATIENCE = 60


class Server:
    """A process that listens; subclasses tell which."""

    database = None

    def __init__(self, folder=None):
        self.keep = folder
        self.folder = folder or tempfile.mkdtemp(prefix="bench-", dir=BUILD)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        try:
            self.stop(signal.SIGQUIT if kind is None else signal.SIGTERM)
        finally:
            if not self.keep:
                shutil.rmtree(self.folder)

    def start(self):
        self.launch()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop(signal.SIGTERM)
        with open(self.path("stderr")) as f:
            fail("%s did not start: %s" % (type(self).__name__, f.read()))

    def launch(self):
        with open(self.path("stderr"), "w") as f:
            self.process = subprocess.Popen(self.command(), env=self.env(),
                                            cwd=self.folder, stderr=f)

    def env(self):
        return None

    def stop(self, signo=signal.SIGQUIT):
        if self.process.poll() is not None:
            return
        pids = self.pids()
        self.process.send_signal(signo)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
            fail("a server did not stop within %d s" % PATIENCE)

    def kill(self):
        """The master and all workers at once."""

        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def pids(self):
        return process.tree(self.process.pid)

    def usage(self):
        return process.usage(self.pids())

    def path(self, name):
        return os.path.join(self.folder, name)

    # what it has stored

    def query(self, sql):
        db = sqlite3.connect("file:%s?mode=ro" % urllib.parse.quote(
            self.path(self.database)), uri=True)
        try:
            return db.execute(sql).fetchone()
        finally:
            db.close()

    def stored(self):
        """Rows, and rows whose ids differ."""

        return self.query("SELECT count(*), count(DISTINCT message_id)"
                          " FROM messages")

    def size(self):
        return {os.path.basename(name): os.stat(name).st_blocks * 512
                for name in glob.glob(self.path("app.db*"))}

    # requests

    def get(self, path, timeout=PATIENCE):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.request("GET", path)
            r = c.getresponse()
            return r.status, r.headers, r.read().decode()
        finally:
            c.close()

    def metrics(self):
        return {}

    def rest(self, limit=120):
        """Waits until nothing has been written for a while."""

        start = time.monotonic()
        last = changed = None
        while time.monotonic() < start + limit:
            now = self.usage()["written"]
            if now != last:
                last, changed = now, time.monotonic()
            elif time.monotonic() > changed + 3:
                break
            time.sleep(0.25)
        return changed - start


def gauges(text, prefix="lyftr_store_"):
    """Of a page of metrics the gauges and counters of the store."""

    found = {}
    for line in text.splitlines():
        m = re.match(r"(\w+)(\{[^}]*\})? (\S+)$", line)
        if m and (m[1].startswith(prefix)
                  or m[1] == "webhook_requests_total"):
            found[m[1] + (m[2] or "")] = float(m[3])
    return found
