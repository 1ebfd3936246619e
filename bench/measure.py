"""What several benchmarks need: CPU of a running program, a child whose output is thrown away, and a
farm of sleepers in cgroups."""
import os
import signal
import subprocess
import sys
import threading
import time

import harness

WARM_UP_S = 2.5


def cpu_ns(pid):
    """Time on a processor of all threads, in ns, as the scheduler counted it."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        total += int(harness.read(f"/proc/{pid}/task/{task}/schedstat").split()[0])
    return total


class Running:
    """A child whose output is read and thrown away, as a consumer would."""

    def __init__(self, command, lines=None):
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE,
                                      stdin=subprocess.PIPE if lines else subprocess.DEVNULL)
        if lines:
            self.child.stdin.write(b"".join(os.fsencode(line) + b"\n" for line in lines))
            self.child.stdin.close()
        self.got = 0
        self.reader = threading.Thread(target=self.drain, daemon=True)
        self.reader.start()

    def drain(self):
        while chunk := os.read(self.child.stdout.fileno(), 1 << 16):
            self.got += len(chunk)

    def measure(self, seconds):
        """CPU in ms for each second, after a warm-up."""
        time.sleep(WARM_UP_S)
        if self.child.poll() is not None:
            sys.exit(f"{self.child.args[0]} ended with {self.child.returncode}")
        start, begin = cpu_ns(self.child.pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_ns(self.child.pid) - start) / 1e6 / (time.monotonic() - begin)

    def memory(self):
        status = harness.keyed(harness.read(f"/proc/{self.child.pid}/status").replace(" kB", ""))
        return status["VmRSS:"], status["RssAnon:"]

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait(10)
        self.reader.join(5)
        self.child.stdout.close()


class Farm:
    """N sleepers, each in its own cgroup when hierarchies are given."""

    def __init__(self, tools, count, bases=()):
        self.child = subprocess.Popen([os.path.join(tools, "farm"), str(count), *bases],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.child.stdout.readline() != b"ready\n":
            sys.exit("the farm did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait(60)
