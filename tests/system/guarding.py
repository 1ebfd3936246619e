"""Loads that a guard is to act on, and the records of what it did."""
import subprocess

import harness
from harness import BUSY, PATIENCE, check, read, write

GROWER = r"""
import signal, sys, time
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
kept = []
for i in range(int(sys.argv[1]) * 4):
    kept.append(bytearray(b"x") * (256 << 10))
    time.sleep(float(sys.argv[2]))
time.sleep(60)
"""


class Grower:
    """A program that grows to so many MiB in a group, and stays."""

    def __init__(self, box, mib, *words, pause=0.0005, program=GROWER, name="grower"):
        self.box = box
        self.process = subprocess.Popen(
            [name, "-S", "-c", program, str(mib), str(pause), *words],
            executable="/usr/bin/python3", preexec_fn=self.join, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.pid = self.process.pid
        harness._loads.append(self)

    def join(self):
        for directory in self.box.dirs.values() if self.box else ():
            write(directory + "/cgroup.procs", "0")

    def state(self):
        return read(f"/proc/{self.pid}/stat").rpartition(")")[2].split()[0]

    def ended(self, seconds=10):
        self.process.wait(BUSY * seconds * PATIENCE)
        return self.process.returncode

    def end(self):
        self.process.kill()
        self.process.wait()
        if self in harness._loads:
            harness._loads.remove(self)


def records(guard, kind, action=None):
    return [r for r in guard.stream.objects()
            if r["kind"] == kind and action in (None, r.get("action"))]


def wait_record(guard, kind, action=None, seconds=10):
    guard.stream.read_for(BUSY * seconds * PATIENCE, lambda text: records(guard, kind, action))
    found = records(guard, kind, action)
    check(found, f"a record {kind} {action}: {guard.stream.objects()[-3:]}, "
          f"{guard.stream.errors()[-300:]}")
    return found[-1]
