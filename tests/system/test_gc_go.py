"""`plimsoll gc` makes Go programs collect and give memory back, and does them no harm: by pprof,
and with --inject by two words of their memory that are put back whatever happens."""
import contextlib
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import harness
import runtimes
from harness import MIB, PATIENCE, Skip, check, equal, main, note, plimsoll, read, test, wait_for

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "3"))
NO_LIMIT = (1 << 63) - 1
PERIOD = 120 * 10**9
KEEP = 4  # MB in use


class Go:
    """A Go program with memory in use that it checks, and garbage. Ends with `with`."""

    def __init__(self, name="goheap", *args, garbage=120, program=None, before=(), **environ):
        self.program = program or program_of(name)
        self.process = subprocess.Popen(
            [*before, self.program, "-keep", str(KEEP), "-garbage", str(garbage), *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **environ})
        words = self._line().split()
        self.pid, self.port = int(words[1]), int(words[2])
        if before:  # its own number is the one inside
            at = self.process.pid
            self.pid = int(read(f"/proc/{at}/task/{at}/children").split()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _line(self):
        ready = select.select([self.process.stdout], [], [], 20 * PATIENCE)[0]
        check(ready, f"{self.program} does not answer")
        return self.process.stdout.readline().strip()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._line()

    def stats(self):
        return json.loads(self.ask("stats"))

    def unharmed(self):
        """It answers, all that it keeps is as it was, and its soft limit is too."""
        word, checks, broken = self.ask("ping").split()
        equal((word, broken), ("pong", "0"), f"what {self.program} says of its memory")
        check(int(checks) > 0, "it has checked nothing")

    def anon(self):
        return int(re.search(r"RssAnon:\s+(\d+)", read(f"/proc/{self.pid}/status"))[1]) * 1024


def program_of(name):
    path = os.path.join(harness.options.loads, "rt", name)
    if not os.access(path, os.X_OK):
        raise Skip(f"no {name}: Go was not there to build it")
    return path


def needs_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def gc(go, *args, timeout=30):
    found = plimsoll("gc", "--json", *args, go.pid, code=None, timeout=timeout).objects
    equal(len(found), 1, "objects")
    equal((found[0]["pid"], found[0]["runtime"]), (go.pid, "go 1.19.8"), "who was asked")
    return found[0]


def ask_all(programs, *command):
    """Of many programs at the same time: {name: (exit code, stdout, stderr)}."""
    asking = {name: subprocess.Popen([harness.options.binary, *command, "--json", str(go.pid)],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
              for name, go in programs.items()}
    answers = {name: doing.communicate(timeout=60 * PATIENCE) for name, doing in asking.items()}
    return {name: (asking[name].returncode, *answers[name]) for name in programs}


def words_of(go):
    """Where the two words are, by Go's own tools."""
    table = subprocess.run(["go", "tool", "nm", go.program], check=True, capture_output=True,
                           text=True, env={**os.environ, "GOFLAGS": "", "GO111MODULE": "off"})
    line = re.compile(r"^ *([0-9a-f]+) \w runtime\.(gcController|forcegcperiod)$", re.M)
    at = {name: int(place, 16) for place, name in line.findall(table.stdout)}
    return at["forcegcperiod"], at["gcController"] + 8


def needs_go_tool():
    if shutil.which("go") is None:
        raise Skip("needs Go's tools")


# As a container is: loopback of its own, and another user, who need not reach its folder.
INSIDE = """
import fcntl, os, socket, struct, sys
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
program = os.open(sys.argv[1], os.O_RDONLY)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.execve(program, sys.argv[1:], os.environ)
"""


def elsewhere():
    if shutil.which("unshare") is None:
        raise Skip("needs unshare")
    return ["unshare", "-mpn", "--fork", "--kill-child", "--mount-proc",
            sys.executable, "-c", INSIDE]


@test("programs with pprof give back their garbage: busy, idle, stripped, in other "
      "namespaces as another user", [needs_root])
def _():
    with contextlib.ExitStack() as stack:
        programs = {kind: stack.enter_context(Go(name, *args, garbage=0, before=before))
                    for kind, name, args, before in (
                        ("busy", "goheap-pprof", (), ()), ("idle", "goheap-pprof", ["-idle"], ()),
                        ("stripped", "goheap-pprof-stripped", (), ()),
                        ("inside", "goheap-pprof", (), elsewhere()))}
        left = dict(programs)
        for _ in range(5):  # one that works may collect it itself before it is asked
            for go in left.values():
                go.ask("make 55")
            for kind, (_, out, err) in ask_all(left, "gc").items():
                check(out, f"{kind}: no answer; {err}")
                said = json.loads(out)
                equal(said["outcome"], "collected", f"{kind}: outcome of {said}")
                equal(said["how"], f"pprof on port {programs[kind].port}: heap?gc=1, twice", "how")
                note(f"{kind}: from {said['anon_before'] >> 20} to {said['anon_after'] >> 20} MiB, "
                     f"{said['took_ms'] + said['settled_ms']} ms")
                if said["anon_before"] > 55 * MIB:
                    del left[kind]
            if not left:
                break
        check(not left, f"there was no garbage: {', '.join(left)}")
        for kind, go in programs.items():  # Go's scavenger takes the time that it gets
            wait_for(lambda: go.anon() <= 25 * MIB, 60, f"the garbage of {kind} to be given back")
            go.unharmed()


@test("without pprof and without --inject nothing is done, and what would help is said",
      [needs_root])
def _():
    with Go() as go:
        before = go.stats()
        said = gc(go)
        equal(said["outcome"], "refused", "outcome")
        check("--inject" in said["next"] and "net/http/pprof" in said["next"], said["next"])
        equal(go.stats()["gc_count"], before["gc_count"], "collections")
        go.unharmed()


@test("what the service's unit has no rights for is said so, and who gives them", [needs_root])
def _():
    with Go("goheap-pprof", garbage=0, before=elsewhere()) as go:
        for more, why, right in (
                ((), f"the network namespace of process {go.pid} cannot be entered",
                 "CAP_SYS_ADMIN"),
                (("--inject",), f"cannot open the memory of process {go.pid}",
                 "CAP_DAC_OVERRIDE")):
            run = subprocess.run([*runtimes.as_service(), harness.options.binary, "gc", "--json",
                                  *more, str(go.pid)], capture_output=True, text=True, check=False)
            said = json.loads(run.stdout)
            equal(said["outcome"], "refused", f"outcome of {said}")
            check(why in said["why"], said["why"])
            check(right in said["next"] and "guards.conf" in said["next"], said["next"])
        go.unharmed()



for name in ("goheap", "goheap-stripped", "goheap-pie", "goheap-pie-stripped", "goheap-pprof"):
    @test(f"--inject: {name} is at its live memory, {TRIES} times, unharmed",
          [needs_root])
    def _(name=name):
        took = []
        with Go(name) as go:
            for _ in range(TRIES):
                said = gc(go, "--inject")
                equal(said["outcome"], "collected", f"outcome of {said}")
                check(said["anon_after"] <= 25 * MIB, f"{said['anon_after'] >> 20} MiB are left")
                equal(go.stats()["limit"], NO_LIMIT, "soft limit after")
                took.append(said["took_ms"] + said["settled_ms"])
                go.unharmed()
                for _ in range(5):  # it works: it may collect some itself before we look
                    equal(go.ask("make 120"), "made", "new garbage")
                    if go.anon() > 80 * MIB:
                        break
                else:
                    raise AssertionError("there was no garbage")
        note(f"ms: median {sorted(took)[len(took) // 2]}, most {max(took)}")


@test("--inject works in other namespaces and as another user", [needs_root])
def _():
    for name in ("goheap", "goheap-pie-stripped"):
        with Go(name, before=elsewhere()) as go:
            said = gc(go, "--inject")
            equal(said["outcome"], "collected", f"outcome of {said}")
            check(said["anon_after"] <= 25 * MIB, f"{said['anon_after'] >> 20} MiB are left")
            equal(go.stats()["limit"], NO_LIMIT, "soft limit after")
            go.unharmed()


def collected_by_the_clock():
    for name in ("goheap", "goheap-stripped"):
        with Go(name, "-idle") as go:
            said = gc(go, "--inject", "--timeout", "75s", timeout=90)
            equal(said["outcome"], "collected", f"outcome of {said}")
            check(said["anon_after"] <= 25 * MIB, f"{said['anon_after'] >> 20} MiB are left")
            equal(go.stats()["limit"], NO_LIMIT, "soft limit after")
            go.unharmed()


if TRIES >= 30:  # it takes more than a minute
    test("--inject: an idle program that nothing wakes is collected by its own clock",
         [needs_root])(collected_by_the_clock)


def wait_idle(go):
    """Until none of its threads has run for a while."""
    def switches():
        return [re.findall(r"ctxt_switches:\s+(\d+)", read(f"/proc/{go.pid}/task/{task}/status"))
                for task in os.listdir(f"/proc/{go.pid}/task")]

    def rested():
        before = switches()
        time.sleep(0.2)
        return switches() == before
    wait_for(rested, 30, "the program to be idle")


@test("--inject wakes an idle program that listens, and says of another how it could be had",
      [needs_root])
def _():
    with Go("goheap-pprof", "-idle") as go:
        said = gc(go, "--inject")
        equal(said["outcome"], "collected", f"outcome of {said}")
        check(f"to port {go.port}" in said["how"], said["how"])
        check(said["anon_after"] <= 25 * MIB, f"{said['anon_after'] >> 20} MiB are left")
        go.unharmed()
    with Go("goheap", "-idle") as go:
        wait_idle(go)
        said = gc(go, "--inject", "--timeout", "1s")
        equal(said["outcome"], "failed", f"outcome of {said}")
        check("idle" in said["why"] and "--timeout 70s" in said["next"], f"{said}")
        equal(go.stats()["limit"], NO_LIMIT, "soft limit after")
        go.unharmed()


@test(f"both words are put back when plimsoll is killed at any moment, {3 * TRIES} times or more",
      [needs_root, needs_go_tool])
def _():
    caught = [0, 0]
    with Go() as go, open(f"/proc/{go.pid}/mem", "rb", 0) as memory:
        places = words_of(go)

        def changed():
            now = [struct.unpack("q", os.pread(memory.fileno(), 8, at))[0] for at in places]
            return [now[0] != PERIOD, now[1] != NO_LIMIT]

        equal(changed(), [False, False], "the words before")
        for i in range(60 * TRIES):
            if i >= 3 * TRIES and all(caught):
                break
            doing = subprocess.Popen([harness.options.binary, "gc", "--inject", str(go.pid)],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     start_new_session=True)
            end = time.monotonic() + 5
            if i % 3 == 2:
                time.sleep(random.uniform(0, 0.3))
            else:  # as soon as this word is seen changed
                while doing.poll() is None and time.monotonic() < end and not changed()[i % 3]:
                    pass
            seen = changed()
            caught = [caught[0] + seen[0], caught[1] + seen[1]]
            try:
                os.killpg(doing.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            doing.wait()
            end = time.monotonic() + 30 * PATIENCE
            while any(changed()) and time.monotonic() < end:
                time.sleep(0.001)
            equal(changed(), [False, False], "still changed: period, limit")
            equal(go.ask("make 60"), "made", "new garbage")
        go.unharmed()
    note(f"changed when it was killed: period {caught[0]}, limit {caught[1]}")
    check(caught[0] > 0 and caught[1] > 0, "no kill came while a word was changed")


@test("a limit that the program has itself is the one that is put back", [needs_root])
def _():
    with Go(GOMEMLIMIT="1GiB") as go:
        equal(gc(go, "--inject")["outcome"], "collected", "outcome")
        equal(go.stats()["limit"], 1 << 30, "soft limit after")
        equal(go.ask("limit 900000000"), "set", "another limit")
        equal(gc(go, "--inject")["outcome"], "collected", "outcome")
        equal(go.stats()["limit"], 900000000, "soft limit after")
        go.unharmed()


@test("with GOGC=off the soft limit alone brings a collection about", [needs_root])
def _():
    with Go(GOGC="off") as go:
        said = gc(go, "--inject")
        equal(said["outcome"], "collected", f"outcome of {said}")
        check(said["anon_after"] < said["anon_before"] / 3, f"{said['anon_after'] >> 20} MiB")
        equal(go.stats()["limit"], NO_LIMIT, "soft limit after")
        go.unharmed()


@test("a stopped program is left alone, and goes on when it is continued", [needs_root])
def _():
    with Go() as go:
        os.kill(go.pid, signal.SIGSTOP)
        said = gc(go, "--inject", "--timeout", "1s")
        os.kill(go.pid, signal.SIGCONT)
        equal((said["outcome"], said["why"]), ("refused", "the process is stopped"), "it was said")
        equal(go.stats()["limit"], NO_LIMIT, "soft limit after")
        go.unharmed()


@test("a Go version that was not verified is refused by name", [needs_root])
def _():
    with tempfile.TemporaryDirectory() as folder:
        text_file, other = os.path.join(folder, "text"), os.path.join(folder, "goother")
        with open(program_of("goheap"), "rb") as file:
            text = file.read()
        check(b"go1.19.8" in text, "the version does not stand in the program")
        with open(text_file, "wb") as file:
            file.write(text.replace(b"go1.19.8", b"go1.19.7"))
        harness.copy_program(text_file, other)
        os.chmod(other, 0o755)
        with Go(program=other) as go:
            before = go.stats()["gc_count"]
            said = plimsoll("gc", "--json", "--inject", go.pid, code=None).objects[0]
            equal((said["outcome"], said["runtime"]), ("refused", "go 1.19.7"), "it was said")
            check("1.19.7 was not verified" in said["why"], said["why"])
            equal(go.stats()["gc_count"], before, "collections")
            go.unharmed()


LIES = {"silent": "did not answer in time", "binary": "no pprof answers", "head": "no pprof answers",
        "other": "no pprof answers", "endless": "went on", "slow": "did not end",
        "redirect": "refused", "closed": "did not answer",
        # answers whose content nobody looks at
        "bomb": None, "short": None}


@test(f"what answers on the port may lie: {', '.join(LIES)}", [needs_root])
def _():
    with contextlib.ExitStack() as stack:
        elsewhere = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        to = str(elsewhere.getsockname()[1])
        programs = {kind: stack.enter_context(
            Go("goheap-lies", "-idle", garbage=5, LIE=kind, TO=to)) for kind in LIES}
        began = time.monotonic()
        for kind, (_, out, err) in ask_all(programs, "gc", "--timeout", "4s").items():
            check(out.startswith("{"), f"{kind}: no answer; {err}")
            said, word = json.loads(out), LIES[kind]
            if word and word not in said["why"]:  # a busy machine: by itself, then
                said = gc(programs[kind], "--timeout", "4s")
            if word:
                check(said["outcome"] in ("refused", "failed"), f"{kind}: {said}")
                check(word in said["why"], f"{kind}: {said['why']}")
            programs[kind].unharmed()
        note(f"all answered after {time.monotonic() - began:.1f} s")
        equal(select.select([elsewhere], [], [], 0)[0], [], "redirects followed")



def heap(go, *args):
    found = plimsoll("heap", "--json", *args, go.pid).objects
    equal(len(found), 1, "objects")
    return found[0]


FIGURES = {"heap_used": "heap_alloc", "heap_in_use": "heap_inuse", "heap_idle": "heap_idle",
           "heap_released": "heap_released", "heap_sys": "heap_sys", "gc_count": "gc_count",
           "goroutines": "goroutines"}


for name in ("goheap", "goheap-pie", "goheap-stripped", "goheap-pprof"):
    @test(f"heap: the figures of {name} are those that the program reads itself", [needs_root])
    def _(name=name):
        asked = name == "goheap-pprof"  # which costs goroutines and memory of its own
        with Go(name, "-idle", "-sleepers", "40") as go:
            own, seen, after = go.stats(), heap(go)["figures"], go.stats()
            for key, own_key in FIGURES.items():
                if name == "goheap-stripped" and key in ("gc_count", "goroutines"):
                    equal(key in seen, False, f"{key}, which needs symbols, is told")
                    continue
                slack = own["heap_sys"] * 0.02
                if key in ("gc_count", "goroutines"):
                    slack = 3 if asked else 0
                low, high = sorted((own[own_key], after[own_key]))
                check(low - slack <= seen[key] <= high + slack,
                      f"{key}: {seen[key]}, the program says {low} to {high}")
            go.unharmed()


@test("heap: what a program dropped is held by the runtime, not leaked, and never called a leak",
      [needs_root])
def _():
    with Go("goheap-pprof", "-idle") as go:
        notes = " ".join(heap(go, "--live")["notes"])
        check("held by the runtime, not leaked" in notes, notes)
    with Go("goheap", "-idle") as go:
        said = heap(go)
        notes = " ".join(said["notes"])
        check("leak" not in notes.replace("not leaked", ""), notes)
        check("net/http/pprof" in notes, notes)


@test("heap: answers that lie are told, and end", [needs_root])
def _():
    with contextlib.ExitStack() as stack:
        programs = {kind: stack.enter_context(
            Go("goheap-lies", "-idle", garbage=5, LIE=kind, TO="1"))
            for kind in ("endless", "redirect", "bomb", "short", "closed")}
        began = time.monotonic()
        for kind, (code, out, err) in ask_all(programs, "heap").items():
            said = err or " ".join(json.loads(out)["notes"])
            if "did not answer in time" in said:  # a busy machine: by itself, then
                code, out, err = ask_all({kind: programs[kind]}, "heap")[kind]
                said = err or " ".join(json.loads(out)["notes"])
            check(code in (0, 1), f"{kind}: {code}; {err}")
            word = {"endless": "more than 32 MiB", "redirect": "refused", "bomb": "unpacks to"}
            check(word.get(kind, "cut short") in said, f"{kind}: {said}")
            programs[kind].unharmed()
        note(f"all answered after {time.monotonic() - began:.1f} s")


main(at_once=6)
