"""`plimsoll gc --inject` makes programs of the C library give back what their malloc holds, from
outside, and does them no harm: not at work, not when it is killed in the middle."""
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import harness
from harness import (MIB, PATIENCE, Skip, check, equal, group, main, near, needs_cgroups, note,
                     plimsoll, read, test, wait_for)

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "5"))
SIZE = int(os.environ.get("PLIMSOLL_TEST_MIB", "150"))  # garbage
RAND = random.Random(5)


class Native:
    """The load "native": it checks itself, and says at its end what it saw."""

    def __init__(self, way, mib=20, before=(), box=None, **environ):
        program = os.path.join(harness.options.loads, "rt", "native")
        if not os.access(program, os.X_OK):
            raise Skip("the load rt/native is not built")
        for word in before:
            if not word.startswith("-") and not shutil.which(word):
                raise Skip(f"no {word} here")
        self.process = subprocess.Popen([*before, program, way, str(mib)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: box and box.add(os.getpid()),
                                        env={**os.environ, **environ})
        self.pid = self.process.pid
        equal(self._line(), "ready", f"first line of native {way}")
        if before:
            self.pid = int(read(f"/proc/{self.pid}/task/{self.pid}/children").split()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _line(self):
        check(select.select([self.process.stdout], [], [], 30 * PATIENCE)[0], "native is silent")
        return self.process.stdout.readline().strip()

    def alive(self):
        check(self.process.poll() is None, f"it has ended: {self.process.returncode}")

    def end(self):
        """Closes its input; what it counted."""
        self.alive()
        self.process.stdin.close()
        line = self._line()
        equal(self.process.wait(30), 0, "exit code of native")
        words = re.fullmatch(r"eintr (\d+) bad (\d+) signals (\d+) (\d+) rounds (\d+)", line)
        check(words, f"last line of native: {line!r}")
        return dict(zip(("eintr", "bad", "sent", "taken", "rounds"), map(int, words.groups())))


def status(pid):
    found = re.findall(r"^(\w+):\t(.*)$", read(f"/proc/{pid}/status"), re.M)
    return dict(found)


def anon(pid):
    return int(status(pid)["RssAnon"].split()[0]) * 1024


def gc(pid, *more, code=0):
    return plimsoll("gc", pid, "--json", *more, code=code).objects[0]


def collected(pid):
    report = gc(pid, "--inject")
    equal(report["outcome"], "collected", f"outcome ({report['why']})")
    return report


@test(f"{SIZE} MB of free blocks that a live one pins come back: at most 30 MB stay")
def _():
    with Native("nanosleep", SIZE) as load:
        before = anon(load.pid)
        check(before > SIZE * 0.9 * MIB, f"{before} bytes before")
        report = collected(load.pid)
        after = anon(load.pid)
        note(f"{before / MIB:.0f} -> {after / MIB:.1f} MiB in {report['took_ms']} ms")
        check(after < 30 * MIB, f"{after} bytes after")
        check(abs(report["anon_before"] - before) < MIB, "before, as /proc says it")
        check(abs(report["anon_after"] - after) < MIB, "after, as /proc says it")
        seen = load.end()
        equal((seen["bad"], seen["eintr"]), (0, 0), "blocks changed, calls interrupted")


@test("without --inject nothing is done, and what would work is said")
def _():
    with Native("nanosleep", 40) as load:
        before = anon(load.pid)
        report = gc(load.pid, code=1)
        equal(report["outcome"], "refused", "outcome")
        for word in ("--inject", "malloc_trim"):
            check(word in report["why"] + report["next"], f"no {word}: {report}")
        equal(anon(load.pid), before, "anonymous memory")


@test("a program in another pid and mount namespace, of another user, gives back too")
def _():
    with Native("poll", 100, before=["unshare", "--pid", "--mount-proc", "--fork", "setpriv",
                                     "--reuid=65534", "--regid=65534", "--clear-groups"]) as load:
        # setpriv becomes it.
        equal(status(load.pid)["Uid"].split()[0], "65534", "its user")
        collected(load.pid)
        check(anon(load.pid) < 10 * MIB, f"{anon(load.pid)} bytes after")


for _way in ("read", "nanosleep", "poll", "epoll"):
    @test(f"a program that waits in {_way} goes on waiting: its call is not interrupted")
    def _(way=_way):
        with Native(way) as load:
            for _ in range(2):
                collected(load.pid)
            equal(status(load.pid)["State"][0], "S", "state")
            seen = load.end()
            equal((seen["eintr"], seen["bad"]), (0, 0), "interrupted, wrong")


@test(f"{TRIES} of {TRIES} while threads wait, allocate, and take signals: nothing lost or changed")
def _():
    with Native("busy") as load:
        took = [collected(load.pid)["took_ms"] for _ in range(TRIES)]
        seen = load.end()
        note(f"{seen}; took {min(took)} to {max(took)} ms")
        equal(seen["eintr"], 0, "calls interrupted")
        equal(seen["bad"], 0, "blocks, messages or results that are wrong")
        equal(seen["taken"], seen["sent"], "signals taken")
        check(seen["rounds"] > 1000, f"it hardly ran: {seen}")


@test(f"every register, vector ones too, is what it was after {TRIES} calls")
def _():
    with Native("regs") as load:
        for _ in range(TRIES):
            collected(load.pid)
        seen = load.end()
        equal((seen["eintr"], seen["bad"]), (0, 0), "interrupted, wrong")


def is_traced(pid):
    return any(re.search(r"^TracerPid:\t[1-9]", read(f"/proc/{pid}/task/{task}/status"), re.M)
               for task in os.listdir(f"/proc/{pid}/task"))


def is_held(pid):
    """Whether any thread of it is traced or stopped."""
    for task in os.listdir(f"/proc/{pid}/task"):
        status = read(f"/proc/{pid}/task/{task}/status")
        if not re.search(r"^State:\t[RSD]", status, re.M) or "TracerPid:\t0\n" not in status:
            return True
    return False


def kill_at_random(pid, tracer_too):
    """Starts a collection and kills it, and who does the work for it, after a while; who traces
    finishes alone, if not killed too. Whether it was at it."""
    done = subprocess.Popen([harness.options.binary, "gc", str(pid), "--inject"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children, end = [], time.monotonic() + 5
    while not children and done.poll() is None and time.monotonic() < end:
        children = read(f"/proc/{done.pid}/task/{done.pid}/children").split()
    time.sleep(RAND.uniform(0, 0.03))
    tracer = status(pid)["TracerPid"]
    for child in children + [tracer] * (tracer_too and tracer != "0"):
        try:
            os.kill(int(child), signal.SIGKILL)
        except ProcessLookupError:
            pass
    done.kill()
    done.wait()
    return tracer != "0"


for _way in ("busy", "regs", "read"):
    @test(f"killed at {TRIES} random moments, a program ({_way}) lives on and is right")
    def _(way=_way):
        with Native(way, 50) as load:
            hits = sum(kill_at_random(load.pid, i % 2 == 0) for i in range(TRIES))
            # What traces finishes though its parent is gone: a moment later, on a busy machine.
            wait_for(lambda: not is_held(load.pid), 20, "every thread to be let go")
            collected(load.pid)
            seen = load.end()
            note(f"{hits} of {TRIES} while it was traced; {seen}")
            equal(seen["bad"], 0, "blocks, registers or results that are wrong")
            allowed = 0 if way == "read" else TRIES
            check(seen["eintr"] <= allowed, f"{seen['eintr']} calls interrupted by {TRIES} deaths")
            equal(seen["taken"], seen["sent"], "signals taken")


@test("a program whose seccomp filter kills for all that malloc_trim does not call gives back")
def _():
    with Native("allowed", 50) as load:
        for _ in range(2):
            collected(load.pid)
        check(anon(load.pid) < 10 * MIB, f"{anon(load.pid)} bytes after")
        load.process.stdin.close()
        equal(load.process.wait(20), 0, "exit code: its blocks are right")


@test("a program that never waits is left alone after the deadline, with words")
def _():
    with Native("spin") as load:
        report = gc(load.pid, "--inject", "--timeout", "2", code=1)
        check(report["outcome"] in ("refused", "failed"), str(report))
        check("safe point" in report["why"] or "running" in report["why"], report["why"])
        equal(load.end()["bad"], 0, "wrong")


for _way in ("handler", "nodefer", "unblocked", "altstack"):
    @test(f"a program in a signal handler ({_way}) is left alone, with words")
    def _(way=_way):
        with Native(way) as load:
            time.sleep(0.1)
            report = gc(load.pid, "--inject", "--timeout", "2", code=1)
            check("signal handler" in report["why"], report["why"])
            load.alive()


@test("a program whose handlers have come and gone gives back: what they left does not matter")
def _():
    with Native("handled") as load:
        for _ in range(2):
            collected(load.pid)
        equal(load.end()["eintr"], 0, "interrupted")


@test("a group at its limit is not asked: a call might need memory", [needs_cgroups])
def _():
    box = group("full", limit=64 * MIB)
    with Native("nanosleep", 60, box=box) as load:
        room = max(box.usage() * 101 // 100, 4 * MIB)
        box.limit(room)
        report = gc(load.pid, "--inject", code=1)
        check("limit" in report["why"] and "limit" in report["next"], str(report))
        box.limit(200 * MIB)
        collected(load.pid)
        equal(load.end()["bad"], 0, "wrong")


@test("the heap's figures are the kernel's, and with --inject malloc's own: what is in use is known")
def _():
    if not os.access(harness.options.binary + "-inspect", os.X_OK):
        raise Skip("no plimsoll-inspect beside it")
    with Native("poll", 100) as load:
        text = read(f"/proc/{load.pid}/smaps")
        heap = re.search(r"\[heap\]\n(?:.*\n)*?Rss:\s+(\d+) kB", text).group(1)
        seen = plimsoll("heap", load.pid, "--json").objects[0]
        near(seen["figures"]["heap_resident"], int(heap) * 1024, MIB, "resident of [heap]")
        check("malloc_used" not in seen["figures"], "figures that only malloc knows")
        check("--inject" in " ".join(seen["notes"]), str(seen["notes"]))
        seen = plimsoll("heap", load.pid, "--json", "--inject").objects[0]
        kept = 100 * (MIB // 4000) // 100 * 4016  # blocks of 4000 bytes, with their heads
        near(seen["figures"]["malloc_used"], kept, kept // 20, "in use")
        check(seen["figures"]["held"] > 90 * MIB, f"held: {seen['figures']}")
        check("free but held by malloc" in " ".join(seen["notes"]), str(seen["notes"]))
        collected(load.pid)
        seen = plimsoll("heap", load.pid, "--json", "--inject").objects[0]
        check(seen["figures"]["held"] < 10 * MIB, f"held after: {seen['figures']}")
        equal(load.end()["bad"], 0, "wrong")


@test("what a trim leaves is not promised of the next one: it is fragmentation")
def _():
    if not os.access(harness.options.binary + "-inspect", os.X_OK):
        raise Skip("no plimsoll-inspect beside it")
    with Native("scattered", 40) as load:
        collected(load.pid)
        seen = plimsoll("heap", load.pid, "--json", "--inject").objects[0]
        figures, said = seen["figures"], " ".join(seen["notes"])
        check(figures["held"] > 15 * MIB, f"held: {figures}")
        equal(figures["held"] + figures["given_back"], figures["malloc_free"], "all that is free")
        check("at most" in said and "fragmentation" in said, said)
        equal(load.end()["bad"], 0, "wrong")


@test("a thread that waits for the rest of a message is not made to return with a part")
def _():
    with Native("waitall", 20) as load:
        collected(load.pid)  # in its other thread
        time.sleep(0.05)
        equal(load.end()["bad"], 0, "messages cut short")


@test("a call that outlasts the timeout goes on, and is brought to its end: that is what is said")
def _():
    code = ("import gc, os, time\n"
            "gc.callbacks.append(lambda phase, info: time.sleep(1.5))\n"
            "gc.disable()\n"
            "print('ready', flush=True)\n"
            "os.read(0, 1)\n")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as made:
        try:
            equal(made.stdout.readline(), b"ready\n", "its first line")
            report = gc(made.pid, "--inject", "--timeout", "0.7", code=1)
            equal(report["outcome"], "failed", "outcome")
            check("goes on" in report["why"], report["why"])
            check(is_traced(made.pid), "who brings it back has gone")
            end = time.monotonic() + 10 * PATIENCE
            while is_traced(made.pid) and time.monotonic() < end:
                time.sleep(0.05)
            check(not is_traced(made.pid), "it is traced still")
            wait_for(lambda: status(made.pid)["State"][0] == "S", 10, "it to wait as before")
            made.stdin.close()
            equal(made.wait(10 * PATIENCE), 0, "its exit code")
        finally:
            made.kill()


@test("another user may not, and is told what it takes", [needs_cgroups])
def _():
    with Native("poll") as load:
        done = plimsoll("gc", load.pid, "--inject", code=None, user=65534, group=65534,
                        extra_groups=[])
        check(done.code in (1, 2), f"exit code {done.code}")
        check("root" in done.out + done.err, done.out + done.err)
        load.alive()


for _name, _library in (("jemalloc", "libjemalloc.so.2"),
                        ("tcmalloc", "libtcmalloc_minimal.so.4")):
    @test(f"{_name} gives back what it holds")
    def _(name=_name, library=_library):
        path = f"/usr/lib/x86_64-linux-gnu/{library}"
        if not os.path.exists(path):
            raise Skip(f"no {library}")
        with Native("poll", 150, LD_PRELOAD=path) as load:
            before = anon(load.pid)
            report = collected(load.pid)
            note(f"{before / MIB:.0f} -> {anon(load.pid) / MIB:.1f} MiB: {report['how']}")
            check(name in report["how"], report["how"])
            check(anon(load.pid) < 30 * MIB, f"{anon(load.pid)} bytes after")
            equal(load.end()["bad"], 0, "blocks changed")


main(at_once=6)
