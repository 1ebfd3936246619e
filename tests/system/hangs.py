"""Groups that hang at their memory limit, for the tests that look at them and that bring them back.

cgroup v1: the kernel's killer is disabled, as `docker run --oom-kill-disable` does. v2 has no such
switch: there the program may not be killed (oom_score_adj -1000). A process of its own ends both
after some time, whatever happens to the test.
"""
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

import harness
from harness import (MIB, PATIENCE, check, group, machine, read, read_int, scratch_dir, wait_for,
                     write)
from runtimes import program

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "1"))
STABLE = float(os.environ.get("PLIMSOLL_STABLE", "1"))  # s that a rescued one is watched
LONGEST = 180 * PATIENCE + 2 * STABLE  # s that any of them lives

WATCHDOG = r"""
import os, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
os.setsid()
print("stands", flush=True)
end = time.monotonic() + seconds
while time.monotonic() < end and os.path.isdir(path):
    time.sleep(0.1)
if os.path.isdir(path):
    try:
        with open(path + "/memory.oom_control", "w") as file:
            file.write("0")
    except OSError:
        pass
    for _ in range(20):
        try:
            with open(path + "/cgroup.procs") as file:
                for pid in file.read().split():
                    os.kill(int(pid), 9)
        except OSError:
            pass
        time.sleep(0.1)
"""


def watchdog(directory, seconds=LONGEST):
    stands = subprocess.Popen([sys.executable, "-S", "-c", WATCHDOG, directory, str(seconds)],
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    check(stands.stdout.readline() == b"stands\n", "the watchdog stands")
    return stands


class Hanger:
    """A program in a group of its own whose tasks wait at the limit instead of being killed."""

    def __init__(self, args, limit, parent_limit=None, disable=True, cwd=None):
        self.over = group("above", limit=parent_limit) if parent_limit else None
        self.box = (self.over.child("box", ("unified",)) if self.over else
                    group("hang", limit=None, controllers=("unified",)))
        if limit:
            self.set_limit(self.box, limit)
        if parent_limit:
            self.set_limit(self.over, parent_limit)
        self.dogs = [watchdog(g.dir) for g in (self.box, self.over) if g]
        if disable and machine.version == "v1":
            for box in (self.over, self.box):
                if box:
                    write(box.dir + "/memory.oom_control", "1")
        self.disable = disable
        self.text = bytearray()
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.stderr, preexec_fn=self.join, cwd=cwd)
        self.pid = self.process.pid
        os.set_blocking(self.process.stdout.fileno(), False)
        harness._loads.append(self)

    def join(self):
        if self.disable and machine.version == "v2":
            write("/proc/self/oom_score_adj", "-1000")
        for directory in self.box.dirs.values():
            write(directory + "/cgroup.procs", "0")

    @staticmethod
    def set_limit(box, size):
        box.limit(size)
        memsw = box.dir + "/memory.memsw.limit_in_bytes"
        if os.path.exists(memsw):
            write(memsw, str(size))
        if machine.version == "v2":
            write(box.dir + "/memory.swap.max", "0")

    def limits(self):
        """All that a rescue changes, as it stands."""
        names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max",
                 "memory.high")
        return {(box.path, name): read_int(f"{box.dir}/{name}")
                for box in (self.over, self.box) if box
                for name in names if os.path.exists(f"{box.dir}/{name}")}

    def waits(self):
        """Whether it hangs now, by the kernel's own word."""
        if machine.version == "v1":
            return "under_oom 1" in read(self.box.dir + "/memory.oom_control")
        before = self.ooms()
        time.sleep(0.3)
        return self.ooms() > before

    def ooms(self):
        return int(re.search(r"^oom (\d+)", read(self.box.dir + "/memory.events"), re.M).group(1))

    def stays(self):
        """Whether it hangs for good: once in a while the kernel finds a page, and it goes on a little."""
        looks = 5 if machine.version == "v1" else 1
        return all(self.waits() and not time.sleep(0.05) for _ in range(looks))

    def wait(self):
        """Until it hangs."""
        wait_for(lambda: not self.alive() or self.stays(), 20, "the group to hang")
        check(self.alive(), f"it hangs instead of ending: {self.last_words()}")
        return self

    def lines(self, seconds=0.0):
        """All it has said so far, after some time."""
        end = time.monotonic() + seconds
        while True:
            left = max(0, end - time.monotonic())
            if select.select([self.process.stdout], [], [], left)[0]:
                chunk = os.read(self.process.stdout.fileno(), 1 << 16)
                if not chunk:
                    break
                self.text += chunk
            elif left == 0:
                break
        return self.text.decode().splitlines()

    def ticks(self, seconds):
        """How many lines come in that time."""
        before = len(self.lines())
        return len(self.lines(seconds)) - before

    def goes_on(self):
        """Until it has said two things more."""
        before = len(self.lines())
        wait_for(lambda: not self.alive() or len(self.lines()) >= before + 2, 10, "a program's word")
        check(self.alive(), f"it ended ({self.process.returncode})")

    def works(self, seconds):
        """How many different things it says of its work (a line less "tick N") in that time. Lines
        alone say little: whoever needs no memory goes on while the others wait for it."""
        before = len(self.lines())
        return len({line.split(" ", 2)[-1] for line in self.lines(seconds)[before:]})

    def last_words(self):
        said = os.pread(self.stderr.fileno(), 600, 0).decode("utf-8", "replace")
        return f"it ended with {self.process.poll()}: {said}"

    def alive(self):
        return self.process.poll() is None

    def end(self):
        if self not in harness._loads:
            return
        harness._loads.remove(self)
        for box in (self.box, self.over):
            if box and machine.version == "v1":
                write(box.dir + "/memory.oom_control", "0")
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        for pid in self.box.pids():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        for box in (self.box, self.over):
            if box:
                box.remove()
        for dog in self.dogs:
            dog.wait()
            dog.stdout.close()


def holder(base, more, limit, **how):
    """A C program that hangs `more` MiB before it could go on."""
    return Hanger([program("holder"), str(base), more], limit, **how)


def filler(limit, live=None, **how):
    """A Go program like a cache: fills itself, drops a fifth, and logs; no limit of its own."""
    live = live or limit // MIB * 78 // 100
    return Hanger([program("gofill"), "-step", "5000", str(live)], limit, **how)


def refaults(box):
    """(how often a page of a file was read back so far, pages of files there are now)"""
    stat = box.stat()
    total = "total_" if "total_workingset_refault_file" in stat else ""
    files = stat[total + ("cache" if machine.version == "v1" else "file")]
    return stat.get(total + "workingset_refault_file", 0), files // harness.PAGE


def turns_over(box, seconds=1.0):
    """How many times a second its page cache is read again as a whole."""
    before, _ = refaults(box)
    time.sleep(seconds)
    after, pages = refaults(box)
    return (after - before) / seconds / (pages + 1)


def is_stalled(box):
    """On a busy machine it is the time lost that tells, rather than how often it reads."""
    try:
        text = read(box.dirs["unified"] + "/memory.pressure")
    except (KeyError, OSError):
        return False
    return float(re.search(r"some avg10=([\d.]+)", text).group(1)) > 50


def livelocked(text):
    """A Go program whose heap leaves too little of its group for the file it reads: 9 MiB; a slow
    machine reads less a second, and needs a smaller rest to read it over and over."""
    heap = 121 if harness.SMALL else 116
    hung = Hanger([program("gofill"), "-until", str(heap), "-text", text, "20"], 128 * MIB)
    # Where it may be killed is no matter: it is not out of memory, it has none for its text.
    wait_for(lambda: refaults(hung.box)[0] > (5000 if harness.SMALL else 50000), 30, "refaults")
    wait_for(lambda: turns_over(hung.box) > 15 or is_stalled(hung.box), 20,
             "a cache that is read over and over")
    return hung


def drop_cache(*paths):
    """What is read next is charged to who reads it."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def file_of(mib, name):
    folder = tempfile.TemporaryDirectory(prefix="plimsoll-hang-", dir=scratch_dir())
    path = os.path.join(folder.name, name)
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1024) * 1024)
    drop_cache(path)
    return folder, path


def hang_word():
    return "oom-wait" if machine.version == "v1" else "unkillable"
