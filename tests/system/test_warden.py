"""What was changed in a group is undone when the one who changed it is killed: limits that were
raised for a loan, the OOM killer that was held."""
import os
import random
import signal
import subprocess
import threading
import time

import harness
from harness import (MIB, Load, check, equal, group, machine, needs_cgroups, needs_v1, note, read,
                     test, wait_for)

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "10"))
LATE = 2.0  # seconds: what warden.h promises


class Tool:
    """tests/loads/wardentool: one word, one answer."""

    def __init__(self, target=None, inside=None):
        program = os.path.join(harness.options.loads, "wardentool")
        if not os.access(program, os.X_OK):
            raise harness.Skip("no wardentool (not in the sanitized build)")
        join = None
        if inside:
            def join():
                harness.write(inside.dir + "/cgroup.procs", "0")
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        preexec_fn=join)
        harness._loads.append(self)
        self.warden = None
        if target:
            self.start()
            equal(self.ask(f"open {target.path}"), "ok", "open")

    def ask(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self):
        return self.process.stdout.readline().decode().rstrip("\n")

    def start(self):
        answer = self.ask("start")
        check(answer.startswith("ok "), f"start: {answer}")
        self.warden = int(answer.split()[1])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):  # with the test, should it fail
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        if self in harness._loads:
            harness._loads.remove(self)


def state(target):
    """All that is changed in a group."""
    names = (("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control")
             if machine.version == "v1" else ("memory.max", "memory.high"))
    found = {}
    for name in names:
        path = f"{target.dir}/{name}"
        if os.path.exists(path):
            found[name] = read(path).split("under_oom")[0].strip()
    return found


def small_group(limit, high=None):
    made = group("warden", limit)
    if machine.version == "v1":
        path = made.dir + "/memory.memsw.limit_in_bytes"
        if os.path.exists(path):
            harness.write(path, limit)
    elif high:
        harness.write(made.dir + "/memory.high", high)
    return made


def seconds_until(condition, most):
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > most:
            return None
        time.sleep(0.0005)
    return time.monotonic() - start


def is_gone(pid):
    """Or a zombie: some machines' pid 1 takes its time."""
    try:
        return read(f"/proc/{pid}/stat").rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def watchdog(target, seconds):
    """A process of its own that enables the killer and ends the group, whatever becomes of us."""
    pid = os.fork()
    if pid:
        return pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(seconds)
    try:
        harness.write(target.dir + "/memory.oom_control", "0")
        for one in target.pids():
            os.kill(one, signal.SIGKILL)
    finally:
        os._exit(0)


def call_off(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def kill_at_random(target, before, chance):
    """(was something changed at that moment, seconds until nothing was)."""
    tool = Tool(target)
    equal(tool.ask("churn"), "ok churning", "churn")
    time.sleep(chance.random() * 0.02)
    tool.process.send_signal(signal.SIGKILL)
    changed = state(target) != before
    took = seconds_until(lambda: state(target) == before, 30 * harness.PATIENCE)
    tool.end()
    check(took is not None, f"left behind: {state(target)}, was {before}")
    wait_for(lambda: is_gone(tool.warden), 5, "the warden's end")
    equal(state(target), before, "after the warden's end")
    return changed, took


@test("killed at any moment, whoever lends and holds leaves nothing changed", [needs_cgroups])
def killed_anywhere():
    target = small_group(64 * MIB, high=60 * MIB)
    before, chance = state(target), random.Random(7)
    guard = watchdog(target, 300 + TRIES) if machine.version == "v1" else None
    try:
        found = [kill_at_random(target, before, chance) for _ in range(TRIES)]
    finally:
        if guard:
            call_off(guard)
    longest, late = max(took for _, took in found), sum(took > LATE for _, took in found)
    note(f"{len(found)} kills, {sum(changed for changed, _ in found)} while something was changed; "
         f"longest time it stayed so: {longest * 1000:.1f} ms, longer than {LATE:.0f} s: {late}")
    equal(late, 0, f"groups changed for longer than {LATE:.0f} s")


def lent(target, size=32 * MIB, allot=None):
    tool = Tool(target)
    if allot:
        equal(tool.ask(f"allot {allot}"), "ok", "allot")
    equal(tool.ask(f"lend {size}"), "ok", "lend")
    return tool


@test("a loan in use is not taken back by force, and is when it is no longer used", [needs_cgroups])
def used_loan():
    target = small_group(32 * MIB)
    before = state(target)
    tool = lent(target)
    load = Load("anon", 45, groups=[target])
    answer = tool.ask("back 200")
    check(answer.startswith("error EBUSY") and "32.0M" in answer, f"back: {answer}")
    tool.kill()
    time.sleep(1)
    check(load.process.poll() is None, "the load was killed")
    equal(target.limit(), 64 * MIB, "the limit while it is used")
    load.end()
    took = seconds_until(lambda: state(target) == before, 30 * harness.PATIENCE)
    check(took is not None, f"left behind: {state(target)}, was {before}")
    note(f"{took * 1000:.0f} ms after the load's end all was as before")
    wait_for(lambda: is_gone(tool.warden), 5, "the warden's end")


@test("page cache does not keep a loan", [needs_cgroups])
def cached_loan():
    target = small_group(32 * MIB)
    before = state(target)
    tool = lent(target)
    load = Load("read-once", 60, groups=[target])
    check(target.usage() > 40 * MIB, f"usage {target.usage()}: the loan is not in use")
    equal(tool.ask("back 5000"), "ok", "back")
    equal(state(target), before, "after it was taken back")
    load.end()


@test("time up: the loan is taken back though its giver lives", [needs_cgroups])
def deadline():
    target = small_group(32 * MIB)
    before = state(target)
    tool = lent(target, allot=300)
    check(state(target) != before, "nothing was lent")
    took = seconds_until(lambda: state(target) == before, 30 * harness.PATIENCE)
    check(took is not None, f"left behind: {state(target)}, was {before}")
    equal(tool.ask("back 0"), "ok", "back")
    tool.end()


@test("what somebody else wrote meanwhile stays", [needs_cgroups])
def updated():
    target = small_group(32 * MIB)
    tool = lent(target)
    if machine.version == "v1":
        path = target.dir + "/memory.memsw.limit_in_bytes"
        if os.path.exists(path):
            harness.write(path, 200 * MIB)
    target.limit(200 * MIB)
    there = state(target)
    tool.kill()
    wait_for(lambda: is_gone(tool.warden), 5, "the warden's end")
    equal(state(target), there, "after the giver's end")


@test("the warden killed: its owner starts another, which undoes as well", [needs_cgroups])
def warden_killed():
    target = small_group(32 * MIB)
    before = state(target)
    tool = lent(target)
    equal(tool.ask("watch"), "ok watching", "watch")
    os.kill(tool.warden, signal.SIGKILL)
    answer = tool.answer()
    check(answer.startswith("ok "), f"watch: {answer}")
    tool.warden = int(answer.split()[1])
    check(state(target) != before, "the loan was lost")
    tool.kill()
    took = seconds_until(lambda: state(target) == before, 30 * harness.PATIENCE)
    check(took is not None, f"left behind: {state(target)}, was {before}")
    wait_for(lambda: is_gone(tool.warden), 5, "the warden's end")


def fill(target):
    """Fills a group in which the killer is disabled to its last page: the load waits for memory."""
    program = os.path.join(harness.options.loads, "load")
    load = subprocess.Popen([program, "-g", target.dir, "-t", "180", "anon",
                             str(target.limit() // MIB + 8)],
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    wait_for(lambda: "under_oom 1" in read(target.dir + "/memory.oom_control"), 10, "a full group")
    return load


def ask_for(tool, word, seconds):
    """In a full group it may never be answered."""
    answers = []
    asking = threading.Thread(target=lambda: answers.append(tool.ask(word)), daemon=True)
    asking.start()
    asking.join(seconds)
    return answers[0] if answers else "waits for memory"


@test("with our own group full, what is held is undone all the same", [needs_v1])
def own_group_full():
    target, own = small_group(32 * MIB), group("own", 24 * MIB)
    before = state(target)
    guard = watchdog(own, 120)
    load = None
    try:
        ready, late = Tool(target, inside=own), Tool(inside=own)
        equal(ready.ask("lock"), "ok", "lock")
        equal(ready.ask(f"lend {4 * MIB}"), "ok", "lend")
        harness.write(own.dir + "/memory.oom_control", "1")
        load = fill(own)
        answers = []
        for what, tool, word in (("a hold", ready, "keep"), ("a loan", ready, f"lend {8 * MIB}"),
                                 ("a warden", late, "start")):
            note(f"{what}: {ask_for(tool, word, 2)}")
        ready.process.send_signal(signal.SIGKILL)
        took = seconds_until(lambda: state(target) == before, 10)
        check(took is not None, f"left behind: {state(target)}, was {before}")
        note(f"undone after {took * 1000:.1f} ms")
    finally:
        harness.write(own.dir + "/memory.oom_control", "0")
        if load:
            load.kill()
            load.wait()
        call_off(guard)
    for tool in (ready, late):
        tool.end()
    wait_for(lambda: not own.pids(), 10, "all wardens' end")


harness.main()
