"""build/bench.json: what was measured, a part at a time."""

import json
import os
import platform
import statistics
import subprocess
import time

from setting import BUILD, HERE, NGINX, PYTHON, RESULTS, WORKERS


def read():
    try:
        with open(RESULTS) as f:
            results = json.load(f)
    except FileNotFoundError:
        results = {}
    return results if "parts" in results else {"parts": {}}


def save(name, part):
    """Puts a part in the place of its predecessor."""

    results = read()
    part.update(ended=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                commit=output("git", "-C", HERE, "describe", "--always",
                              "--dirty"))
    results["machine"] = machine()
    results["parts"][name] = part

    with open(RESULTS + ".new", "w") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    os.rename(RESULTS + ".new", RESULTS)


def output(*command):
    try:
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True).stdout.strip()
    except OSError:
        return ""


def line(path, start):
    with open(path) as f:
        for text in f:
            if text.startswith(start):
                return text.partition(":")[2].strip()
    return ""


def machine():
    package = "${Package} ${Version}\n"
    return {
        "processors": os.cpu_count(),
        "processor": line("/proc/cpuinfo", "model name"),
        "memory": line("/proc/meminfo", "MemTotal"),
        "system": release(),
        "kernel": platform.release(),
        "disk": output("findmnt", "-no", "FSTYPE,OPTIONS", "-T", BUILD),
        "workers": WORKERS,
        "nginx": output(NGINX, "-v").rpartition("/")[2],
        "packages": output(
            "dpkg-query", "-Wf", package, "nginx", "libsqlite3-0",
            "libnginx-mod-http-lua", "lua-dbi-sqlite3", "python3-fastapi",
            "python3-uvicorn", "python3-uvloop").splitlines(),
        "python": output(PYTHON, "-V"),
    }


def release():
    with open("/etc/os-release") as f:
        pairs = dict(text.rstrip().split("=", 1) for text in f if "=" in text)
    return pairs.get("PRETTY_NAME", "").strip('"')


def pick(runs, **wanted):
    """Of a list of runs those with certain values."""

    return [run for run in runs
            if all(run.get(key) == value for key, value in wanted.items())]


def median(runs, *path):
    """Of one number of each run; None if there is none."""

    values = []
    for value in runs:
        for name in path:
            value = value.get(name) if value is not None else None
        if value is not None:
            values.append(value)
    return statistics.median(values) if values else None


def ratio(a, b):
    return a / b if a is not None and b else None
