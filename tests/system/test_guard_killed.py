#!/usr/bin/python3
"""`plimsoll guard` and `plimsoll rescue`, ended by SIGKILL at random moments: all that they had
changed in a group is as it was, soon, and stays so.

PLIMSOLL_TRIES trials (14), PLIMSOLL_AT_ONCE side by side (4), PLIMSOLL_SEED for other moments.
"""
import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import random
import re
import signal
import subprocess
import tempfile
import time

import hangs
import harness
from harness import (MIB, PATIENCE, SMALL, Stream, check, equal, group, machine, main,
                     needs_cgroups, note, read, test)

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "5" if SMALL else "14"))
AT_ONCE = int(os.environ.get("PLIMSOLL_AT_ONCE", "1" if SMALL else "4"))
SEED = os.environ.get("PLIMSOLL_SEED", "1")
LIMIT = 32 * MIB
LATE = 2.0  # seconds: what warden.h promises

# What a guard changes, by hierarchy; of some files one line.
FILES = {"memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control"),
         "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us"),
         "unified": ("memory.max", "memory.high", "memory.swap.max", "cpu.max", "cgroup.freeze",
                     "cgroup.events")}
LINES = {"memory.oom_control": "oom_kill_disable", "cgroup.events": "frozen"}


# --- what is looked at --------------------------------------------------------------------------

class Watched:
    """All that a guard may change in a group, read over and over."""

    def __init__(self, box):
        self.procs = os.open(box.dir + "/cgroup.procs", os.O_RDONLY)
        self.files = [(name, os.open(f"{folder}/{name}", os.O_RDONLY))
                      for hierarchy, folder in box.dirs.items() for name in FILES[hierarchy]
                      if os.path.exists(f"{folder}/{name}")]

    def close(self):
        for fd in (self.procs, *(fd for _, fd in self.files)):
            os.close(fd)

    def state(self):
        found = {}
        for name, fd in self.files:
            text = os.pread(fd, 4096, 0).decode()
            if name in LINES:
                text = next(line for line in text.splitlines() if line.startswith(LINES[name]))
            found[name] = text.strip()
        found["stopped"] = sum(is_stopped(pid) for pid in os.pread(self.procs, 4096, 0).split())
        return found


def is_stopped(pid):
    try:
        return read(f"/proc/{int(pid)}/stat").rpartition(")")[2].split()[0] in "Tt"
    except (FileNotFoundError, ProcessLookupError):
        return False


def seconds_until(condition, most, pause=0.0003):
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > most * PATIENCE:
            return None
        time.sleep(pause)
    return time.monotonic() - start


# --- a group, its load, and who is killed -------------------------------------------------------

@dataclasses.dataclass
class Kind:
    """What is done to a group, and by which load."""
    name: str
    options: tuple          # of guard; none: `plimsoll rescue`
    moments: tuple          # functions of a scene and a random.Random: they return when it is to be
                            # killed; seconds: TERM first, KILL so much later
    load: tuple = ()        # kind and amount; none: a program that hangs
    mark: float = 1.0       # the first mark: a share of the limit
    unified: bool = True    # in the unified tree as well
    v1_only: bool = False
    wire: bool = False      # v2: memory.high is the mark; else what is seen to change is the action


class Scene:
    def __init__(self, kind, chance, stack):
        self.kind, self.load, self.hung = kind, None, None
        if kind.load:
            self.box = self.small_group(stack)
        else:
            more = chance.choice(("22", "30"))  # which one loan of 16 MiB is enough for, or is not
            self.hung = hangs.holder(20, more, LIMIT).wait()
            stack.callback(self.hung.end)
            self.box = self.hung.box
        self.seen = Watched(self.box)
        stack.callback(self.seen.close)
        self.own = group("own", limit=None)
        stack.callback(self.own.remove)
        self.folder = stack.enter_context(tempfile.TemporaryDirectory(
            dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        self.before = self.seen.state()
        self.stream = self.start()
        stack.callback(self.stream.end)

    def small_group(self, stack):
        box = group("killed", limit=None,
                    controllers=("cpu", "unified") if self.kind.unified else ("cpu",))
        hangs.Hanger.set_limit(box, LIMIT)
        dog = hangs.watchdog(box.dir)
        stack.callback(dog.stdout.close)
        stack.callback(dog.wait)
        stack.callback(box.remove)
        stack.callback(self.end_load)
        if not self.kind.unified:  # more than one to be stopped
            bystanders = harness.Load("forks", 2, groups=[box])
            stack.callback(bystanders.end)
        return box

    def start(self):
        words = ["--audit", self.folder + "/audit"]
        if self.kind.options:
            words = ["guard", *words, "--dumps", self.folder + "/dumps", *self.kind.options,
                     *(() if self.kind.wire else ("--leave-high",))]
        else:
            words = ["rescue", *words, "--dump-dir", self.folder + "/dumps", "--lend", "32M"]
        return Stream(*words, self.box.path, preexec_fn=self.join_own)

    def join_own(self):
        harness.write(self.own.dir + "/cgroup.procs", "0")

    def guards(self):
        """It has said that it does."""
        self.stream.read_for(10 * PATIENCE, lambda text: b"\n" in text)
        check(b"\n" in self.stream.buffer, f"the guard begins: {self.stream.errors()}")

    def go(self):
        """The load begins to grow, at once and as fast as it can."""
        words = [word for folder in self.box.dirs.values() for word in ("-g", folder)]
        self.load = subprocess.Popen(
            [os.path.join(harness.options.loads, "load"), *words, "-t", str(30 * PATIENCE),
             *self.kind.load],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end_load(self):
        if self.load:
            self.load.kill()
            for pid in self.box.pids():  # one that waits for memory or is stopped
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.load.wait()
            self.load.stdin.close()

    def changed(self):
        now = self.seen.state()
        return {name for name, value in now.items() if value != self.before[name]}

    def await_change(self):
        took = seconds_until(self.changed, 15)
        check(took is not None, f"nothing was changed: {self.stream.buffer[-900:]!r} "
              f"{self.stream.errors()}")

    def kill(self, after_term=None):
        """What was changed at that moment, for how long some of it was so yet, and whether the load
        had to be ended for that: one that waits for more than was lent uses all of it, and v1 sets
        no limit below what is used. after_term: seconds between TERM, which lets go, and KILL."""
        if after_term is not None:
            self.stream.process.terminate()
            spin(after_term)
            changed = set()
        else:
            changed = self.changed()
        start = time.monotonic()
        self.stream.process.send_signal(signal.SIGKILL)
        changed |= self.changed()
        in_use = False
        if seconds_until(lambda: not self.changed(), 0.5) is None and self.hung:
            seconds_until(lambda: not self.changed() or self.hung.waits(), 5)
            in_use = self.changed() and self.box.usage() > LIMIT
        if in_use:
            self.hung.process.kill()
            self.hung.process.wait()
            start = time.monotonic()
        check(seconds_until(lambda: not self.changed(), 10) is not None,
              f"left behind: {self.seen.state()}, was {self.before}; {self.box.usage()} in use, "
              f"processes {self.box.pids()}")
        return changed, time.monotonic() - start if changed else 0.0, bool(in_use)

    def all_over(self):
        """Nobody of it is left, so nobody can change anything any more."""
        self.stream.end()
        check(seconds_until(lambda: not self.own.pids(), 10, pause=0.005) is not None,
              f"somebody is left: {[read(f'/proc/{pid}/comm') for pid in self.own.pids()]}")
        equal(self.seen.state(), self.before, "when all processes of the guard had ended")


# --- moments ------------------------------------------------------------------------------------

def wait_some(chance, least, most):
    time.sleep(chance.uniform(least, most) * PATIENCE)


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def at_its_start(scene, chance):
    wait_some(chance, 0.003, 0.03)


def armed(scene, chance):
    scene.guards()
    wait_some(chance, 0, 0.1)


def at_the_mark(scene, chance):
    """Around the change: before, in the middle, after."""
    scene.guards()
    scene.go()
    mark = scene.kind.mark * LIMIT
    check(seconds_until(lambda: scene.box.usage() >= mark - 16384 or scene.load.poll() is not None,
                        10, pause=0) is not None, "the load grows")
    wait_some(chance, 0, 0.003)


def while_held(scene, chance):
    scene.guards()
    scene.go()
    scene.await_change()
    wait_some(chance, 0, 0.3)


def while_released(scene, chance):
    while_held(scene, chance)
    return chance.uniform(0, 0.0006) * PATIENCE


def in_oom(scene, chance):
    """While it is held and written down, when the kernel has its way, when it is armed again."""
    scene.guards()
    scene.go()
    check(seconds_until(lambda: "under_oom 1" in read(scene.box.dir + "/memory.oom_control")
                        or scene.load.poll() is not None, 10) is not None, "it is out of memory")
    wait_some(chance, *chance.choice(((0, 0.02), (0.02, 0.5))))


def once_begun(scene, chance):
    """Its record is there: before the loan, in the middle, after."""
    began = re.compile(r'"kind":"begin".*"action":"rescue"')
    path = scene.folder + "/audit"
    check(seconds_until(lambda: os.path.exists(path) and began.search(read(path)), 15) is not None,
          "a rescue begins")
    wait_some(chance, 0, 0.06 if scene.kind.options else 0.002)


def laid(scene, chance):
    """memory.high is the mark: before it is passed, as it is, and moved to the next."""
    scene.guards()
    if chance.random() < 0.5:
        scene.await_change()
        scene.go()
        wait_some(chance, 0, 0.1)
    else:
        wait_some(chance, 0, 0.05)


def with_a_loan(scene, chance):
    scene.await_change()
    wait_some(chance, 0, 0.33)


def loan_released(scene, chance):
    with_a_loan(scene, chance)
    return chance.uniform(0, 0.0006) * PATIENCE


BRAKE = (while_held, at_the_mark, while_released, while_held)
LOAN = (with_a_loan, once_begun, with_a_loan, once_begun, loan_released)
KINDS = (
    Kind("throttle", ("--at", "60%", "--do", "throttle"), BRAKE, ("anon", "28"), 0.6),
    Kind("freeze", ("--at", "60%", "--do", "pause"), BRAKE, ("anon", "28"), 0.6),
    Kind("memory.high as the mark", ("--at", "30%,50%,70%", "--do", "notify,notify,throttle"), (laid,), ("anon", "28"),
         wire=True),
    Kind("rescue by a guard", ("--do", "rescue", "--lend", "32M"), LOAN),
    Kind("hold of an OOM", ("--at", "99%", "--do", "notify", "--oom-hold"),
         (in_oom, at_its_start, in_oom, while_released, armed), ("anon", "40"), 0.99, v1_only=True),
    Kind("stop by signals", ("--at", "60%", "--do", "pause"), BRAKE, ("anon", "24"), 0.6,
         unified=False, v1_only=True),
    Kind("plimsoll rescue", (), LOAN[:2]),
    Kind("all at once", ("--at", "50%,52%", "--do", "throttle,pause", "--oom-hold"), BRAKE,
         ("anon", "40"), 0.5, v1_only=True),
)


# --- the trials ---------------------------------------------------------------------------------

@dataclasses.dataclass
class Outcome:
    what: str
    moment: str
    changed: set
    seconds: float
    in_use: bool = False
    failure: str = ""


def one_trial(number):
    kinds = [kind for kind in KINDS
             if (not kind.wire if machine.version == "v1" else not kind.v1_only)]
    kind, turn = kinds[number % len(kinds)], number // len(kinds)
    moment = kind.moments[turn % len(kind.moments)]
    out = Outcome(kind.name, moment.__name__, set(), 0)
    chance = random.Random(f"{SEED}/{number}")
    try:
        with contextlib.ExitStack() as stack:
            scene = Scene(kind, chance, stack)
            after_term = moment(scene, chance)
            out.changed, out.seconds, out.in_use = scene.kill(after_term)
            scene.all_over()
    except Exception as error:  # told with all others
        out.failure = f"trial {number}, {kind.name}, {moment.__name__}: {error!r}"
    return out


def tell(outcomes):
    by_kind = collections.defaultdict(list)
    for one in outcomes:
        by_kind[one.what, one.moment].append(one)
    for (what, moment), ones in sorted(by_kind.items()):
        hit = [one for one in ones if one.changed]
        files = sorted(set().union(*(one.changed for one in ones)))
        in_use = [one for one in hit if one.in_use]
        note(f"{what}, {moment}: {len(ones)} kills, {len(hit)} with something changed"
             + (f" ({' '.join(files)}), longest {longest_ms(hit):.1f} ms" if hit else "")
             + (f"; {len(in_use)} with all of the loan in use by who waited for more, longest "
                f"{longest_ms(in_use):.1f} ms after its end" if in_use else ""))


def longest_ms(outcomes):
    return max((one.seconds for one in outcomes), default=0) * 1000


@test("killed at any moment, a guard and a rescue leave no limit, quota, freeze or killer changed",
      [needs_cgroups])
def killed_anywhere():
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(one_trial, range(TRIES)))
    tell(outcomes)
    hit = [one for one in outcomes if one.changed]
    late = [one for one in hit if one.seconds > LATE]
    failures = [one.failure for one in outcomes if one.failure]
    note(f"{len(outcomes)} kills, {len(hit)} with something changed; longest until it was as "
         f"before: {longest_ms(hit):.1f} ms")
    check(not failures, "\n".join(failures[:20]))
    check(not late, f"longer than {LATE:.0f} s: {late}")
    check(len(hit) * 3 >= len(outcomes) or len(outcomes) < 4, "too few kills in the middle")


if __name__ == "__main__":
    main()
