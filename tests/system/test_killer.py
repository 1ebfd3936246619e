"""Who is ended by `guard --do kill`: the one to blame, who may be, and nobody else."""
import contextlib
import re
import signal
import subprocess
import sys
import tempfile

import harness
from harness import MIB, PATIENCE, check, equal, group, main, needs_cgroups, test, wait_for
from seedload import Guard

LIMIT = 160 * MIB

# Holds so many MiB under a name of its own; "more": that many again once it is told to.
HOLD = r"""
import ctypes, signal, sys, time
signal.alarm(180)
ctypes.CDLL(None).prctl(15, sys.argv[1].encode())
kept = [b"x" * (1 << 20) for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
sys.stdin.readline()
kept += [b"x" * (1 << 20) for _ in range(int(sys.argv[3]))]
print("full", flush=True)
time.sleep(180)
"""


def needs_groups():
    needs_cgroups()


class Held:
    """A process of this name in a group."""

    def __init__(self, box, name, mib, more=0, before=()):
        self.box = box
        self.process = subprocess.Popen(
            [*before, sys.executable, "-S", "-c", HOLD, name, str(mib), str(more)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            preexec_fn=self.join)
        harness._loads.append(self)
        equal(self.process.stdout.readline(), b"ready\n", "what it says")
        self.pid = self.process.pid

    def join(self):
        for directory in self.box.dirs.values():
            with open(directory + "/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")

    def grow(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def lives(self):
        return self.process.poll() is None

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        if self in harness._loads:
            harness._loads.remove(self)


@contextlib.contextmanager
def killing(box, *options):
    with tempfile.TemporaryDirectory(prefix="plimsoll-guard-") as folder:
        guard = Guard(box.path, folder, "--at", "75%", "--do", "kill", *options)
        yield guard
        if guard.stream.process.poll() is None:
            guard.end()


def records(guard):
    guard.stream.read_for(0.01)
    return guard.stream.objects()


def ends(guard):
    """What came of each kill."""
    return [r for r in records(guard) if r["kind"] == "end" and r["action"] == "kill"]


def wait_for_ends(guard, count=1):
    wait_for(lambda: len(ends(guard)) >= count, 10, "the end of a kill")
    return ends(guard)


@test("the largest is ended, the record names it, and the others live", needs=(needs_groups,))
def largest():
    box = group("kill", limit=LIMIT, controllers=("unified",))
    small, large = Held(box, "small", 20), Held(box, "large", 40, more=70)
    with killing(box) as guard:
        large.grow()
        record = wait_for_ends(guard)[0]
        equal(large.process.wait(10 * PATIENCE), -signal.SIGKILL, "how it ended")
        equal((record["outcome"], record["pid"]), ("done", large.pid), "the record")
        check(re.search(r"SIGKILL to \d+ \(large\)", record["text"]), record["text"])
        check(small.lives(), "the other lives")
        begins = [r for r in records(guard) if r["kind"] == "begin"]
        equal(len(begins), len(ends(guard)), "actions that begin and end")
    small.end()


@test("protected names are spared: the next one is ended, or nobody", needs=(needs_groups,))
def protected():
    box = group("kill", limit=LIMIT, controllers=("unified",))
    db, worker = Held(box, "database", 60, more=30), Held(box, "worker", 40)
    with killing(box, "--protect", "data*") as guard:
        db.grow()
        equal(wait_for_ends(guard)[0]["pid"], worker.pid, "who was ended")
        check(db.lives(), "the protected one lives")
    db.end()
    db = Held(box, "database", 60, more=70)
    with killing(box, "--protect", "data*") as guard:
        db.grow()
        record = wait_for_ends(guard)[0]
        equal(record["outcome"], "refused", "nobody else is there")
        check("protected by a rule" in record["text"], record["text"])
        check(db.lives(), "it lives")
    db.end()


@test("preferred names go first, however small", needs=(needs_groups,))
def preferred():
    box = group("kill", limit=LIMIT, controllers=("unified",))
    cache, app = Held(box, "cache", 15), Held(box, "app", 60, more=50)
    with killing(box, "--prefer", "cache") as guard:
        app.grow()
        equal(wait_for_ends(guard)[0]["pid"], cache.pid, "who was ended first")
    app.end()


@test("a dry run decides the same and ends nobody", needs=(needs_groups,))
def dry():
    box = group("kill", limit=LIMIT, controllers=("unified",))
    large = Held(box, "large", 60, more=70)
    with killing(box, "--dry-run") as guard:
        large.grow()
        record = wait_for_ends(guard)[0]
        equal((record["outcome"], record["pid"]), ("dry-run", large.pid), "the record")
        equal(large.process.stdout.readline(), b"full\n", "it goes on")
        check(large.lives(), "it lives")
    large.end()


@test("nobody is ended for what a sibling uses below a limit that both share",
      needs=(needs_groups,))
def sibling():
    pod = group("kill", limit=LIMIT, controllers=("unified",))
    box, other = (pod.child(name, ("unified",)) for name in ("box", "hog"))
    box.limit(LIMIT - 10 * MIB)
    app, hog = Held(box, "app", 10, more=70), Held(other, "hog", 50, more=65)
    with killing(box, "--cooldown", "0s") as guard:
        hog.grow()
        record = wait_for_ends(guard)[0]
        equal(record["outcome"], "refused", "what came of it")
        check("'hog' uses the most" in record["text"], record["text"])
        begin = next(r for r in records(guard) if r["kind"] == "begin")
        equal(begin["facts"]["level"], 1, "whose limit it was")
        check(begin["facts"]["own_used"] < 40 * MIB < begin["facts"]["used"], begin["facts"])
        check(app.lives() and hog.lives(), "both live")
    hog.end()
    with killing(box, "--cooldown", "0s") as guard:
        hog = Held(other, "hog", 50)
        app.grow()
        equal(wait_for_ends(guard)[0]["pid"], app.pid, "who is ended when it uses the most itself")
    hog.end()


@test("a container's pid 1 is spared unless it is to blame, or --kill-init says so",
      needs=(needs_groups,))
def init():
    unshare = ("unshare", "-p", "--fork", "--kill-child")
    box = group("kill", limit=LIMIT, controllers=("unified",))
    other = Held(box, "other", 45)
    first = Held(box, "first", 40, more=40, before=unshare)
    with killing(box) as guard:
        first.grow()
        equal(wait_for_ends(guard)[0]["pid"], other.pid, "larger, but not by far: the other")
        check(first.lives(), "it lives")
    first.end()
    wait_for(lambda: not box.pids(), 10, "an empty group")
    other, first = Held(box, "other", 45), Held(box, "first", 40, more=40, before=unshare)
    with killing(box, "--kill-init") as guard:
        first.grow()
        check("(first)" in wait_for_ends(guard)[0]["text"], "the largest")
        check(other.lives(), "the other lives")
    other.end()
    first.end()
    wait_for(lambda: not box.pids(), 10, "an empty group")
    first = Held(box, "first", 60, more=70, before=unshare)
    with killing(box) as guard:
        first.grow()
        check("(first)" in wait_for_ends(guard)[0]["text"], "alone it is to blame")
    first.end()


main()
