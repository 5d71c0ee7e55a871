"""What the kernel tells of a group of processes."""

import os
import threading

TICK = os.sysconf("SC_CLK_TCK")


def stat(pid):
    with open("/proc/%s/stat" % pid) as f:
        return f.read().rpartition(")")[2].split()


def fields(pid, name):
    """The lines of a file such as status or io, as numbers."""

    with open("/proc/%d/%s" % (pid, name)) as f:
        pairs = [line.split() for line in f]
    return {p[0].rstrip(":"): int(p[1]) for p in pairs
            if len(p) > 1 and p[1].isdigit()}


def tree(root):
    """A process and all its descendants."""

    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            children.setdefault(int(stat(pid)[1]), []).append(int(pid))
        except OSError:
            pass

    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def usage(pids):
    """Seconds of processors, and bytes that go to the disk."""

    total = {"user": 0, "system": 0, "written": 0}
    for pid in pids:
        times = stat(pid)
        io = fields(pid, "io")
        total["user"] += int(times[11]) / TICK
        total["system"] += int(times[12]) / TICK
        total["written"] += io["write_bytes"] - io["cancelled_write_bytes"]
    return total


def resident(pids, name="VmRSS"):
    """Bytes of memory of the largest of them."""

    return max(fields(pid, "status")[name] for pid in pids) * 1024


def private(pid):
    """Bytes of memory that are no file's, shared ones by their part."""

    with open("/proc/%d/smaps_rollup" % pid) as f:
        return sum(int(line.split()[1]) * 1024 for line in f
                   if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def device(path):
    """Bytes written to the block device under a path, by whomever."""

    number = os.stat(path).st_dev
    number = "%d:%d" % (os.major(number), os.minor(number))
    try:
        with open("/sys/dev/block/%s/stat" % number) as f:
            return int(f.read().split()[6]) * 512
    except OSError:
        return None


class Sampler(threading.Thread):
    """Calls sample() again and again while something else goes on."""

    pause = 0.2

    def __init__(self):
        super().__init__(daemon=True)
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(self.pause):
            self.sample()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
