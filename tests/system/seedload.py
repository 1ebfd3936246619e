"""The seed's load, guarded or not, and what is measured of it: how near to its cap it came, and for
how long its log was silent."""
import os
import select
import threading
import time

import harness
from harness import Stream, check, read_int
from runtimes import program

CAP_MIB = 256
# What holds it: Go is told a limit of its own once and collects; the rest is for what else may come.
GUARD = ("--at", "60%,80%,95%", "--do", "gc,gc,rescue", "--inject", "--go-limit", "80%")


# us between two pieces of 1 MiB: some 200 MB/s, which a busy machine's guard can follow too.
STEP = os.environ.get("PLIMSOLL_SEED_STEP", "5000")


FAST = "2000"  # 500 MB/s: its collector alone does not keep up


def command(seconds, step=STEP):
    return [program("goseed"), "-step", step, "-seconds", str(seconds), str(CAP_MIB)]


class Watch:
    """Polls the usage of a group (each ms, beside all else), and reads a log's lines as they come:
    numbers and times of CLOCK_MONOTONIC in ms."""

    def __init__(self, usage, log):
        self.usage, self.log = os.open(usage, os.O_RDONLY), log
        self.peak, self.samples = 0, 0
        self.text = bytearray()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.poll, daemon=True),
                        threading.Thread(target=self.follow, daemon=True)]
        for thread in self.threads:
            thread.start()

    def poll(self):
        while not self.over.is_set():
            try:
                self.peak = max(self.peak, int(os.pread(self.usage, 32, 0)))
            except OSError:
                return  # the group is gone
            self.samples += 1
            time.sleep(0.001)

    def follow(self):
        while not self.over.is_set():
            if select.select([self.log], [], [], 0.1)[0]:
                chunk = os.read(self.log, 1 << 16)
                if not chunk:
                    time.sleep(0.02)  # a file: more may come
                self.text += chunk

    def times(self):
        """Of the lines so far, ms."""
        whole = self.text[:self.text.rfind(b"\n") + 1].decode()
        return [int(line.split()[1]) for line in whole.splitlines()]

    def silence(self):
        """The longest so far, with the one that goes on now; ms."""
        times = self.times()
        check(times, "the log has no line")
        now = time.clock_gettime(time.CLOCK_MONOTONIC) * 1000
        return max(b - a for a, b in zip(times, [*times[1:], now]))

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        os.close(self.usage)


class Guard:
    """`plimsoll guard` of a target, running; its audit is what it has printed."""

    def __init__(self, target, folder, *options, **popen):
        self.stream = Stream("guard", "--json", "--audit", os.path.join(folder, "audit"), "--dumps",
                             os.path.join(folder, "dumps"), *options, target, **popen)
        self.stream.read_for(10 * harness.PATIENCE, lambda text: b"\n" in text)
        check(b"\n" in self.stream.buffer, f"the guard begins: {self.stream.errors()}")

    def end(self):
        code = self.stream.end()
        self.stream.read_for(2)  # to the end of what it has printed
        check(code == 0, f"the guard ends with {code}: {self.stream.errors()}")
        self.records = self.stream.objects()
        return self.records

    def actions(self):
        """(action, outcome): how often."""
        count = {}
        for record in self.records:
            if record["kind"] == "end":
                key = (record["action"], record["outcome"])
                count[key] = count.get(key, 0) + 1
        return count


def reset_peak(path):
    with open(path, "w", encoding="ascii") as file:
        file.write("0")
    return lambda: read_int(path)
