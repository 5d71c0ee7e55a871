"""The load generator, and other things that put load on a disk."""

import json
import os
import signal
import subprocess
import tempfile
import time

from setting import BUILD, LOAD, SECRET, fail


def command(port, options):
    options = dict({"k": SECRET, "i": "mixed"}, **options)
    return [LOAD, "-P", str(port)] + [
        text for letter, value in options.items()
        for text in ("-" + letter, str(value))]


def run(port, **options):
    """Runs it; options are those of the program by their letters."""

    return Background(port, **options).wait()


class Program:
    """One that runs while something else goes on, and prints JSON."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, text=True,
                                        stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self):
        out = self.process.communicate()[0]
        if self.process.returncode:
            fail(self.name + " has failed")
        return json.loads(out)


class Background(Program):
    name = "the load generator"

    def __init__(self, port, **options):
        super().__init__(*command(port, options))


def read(port, paths, **options):
    """GETs of these paths in turn."""

    with tempfile.NamedTemporaryFile("w", dir=BUILD) as f:
        f.write("".join(path + "\n" for path in paths))
        f.flush()
        return run(port, **dict({"m": "get", "f": f.name}, **options))


def percentile(values, part):
    values = sorted(values)
    return values[min(int(len(values) * part), len(values) - 1)]


def append(size, seconds):
    """Milliseconds of appending so many bytes to a file, and a sync."""

    data = os.urandom(size)
    times = []

    with tempfile.TemporaryFile(dir=BUILD, buffering=0) as f:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            f.write(data)
            os.fdatasync(f.fileno())
            times.append((time.perf_counter() - start) * 1e3)

    return {"size": size, "times": len(times),
            "p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}
