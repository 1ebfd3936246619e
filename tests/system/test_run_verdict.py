"""run: the limit holds from birth, each end is told for what it was, and no supervisor is needed
for the limit to stay."""
import os
import queue
import random
import signal
import threading
import time

from harness import MIB, PAGE, SMALL, check, equal, machine, main, note, read, read_int, test
from runs import (Run, demo, godemo, groups_in, is_alive, kill, members, memory_path, needs_go,
                  needs_runs, new_name, nothing_left, place, run, run_dir)
import harness

# PLIMSOLL_TEST_FULL=1: as many on a slow machine as on others, which takes some four minutes there.
FEW = SMALL and os.environ.get("PLIMSOLL_TEST_FULL") != "1"
BURSTS = 10 if FEW else 50
BURST_MIB = 100 if FEW else 200
EACH = 60 if FEW else 200  # ends of each sort
CRASHES = 40 if FEW else 200
WORKERS = 2 if SMALL else 4


# --- from birth ------------------------------------------------------------------------------

def resident_anon(pid):
    """Counted page by page; what "status" has may lag behind."""
    return harness.keyed(read(f"/proc/{pid}/smaps_rollup").replace(" kB", ""))["Anonymous:"] * 1024


def charged_anon(folder):
    """What the group holds in private memory, by its own statistics."""
    stat = harness.keyed(read(folder + "/memory.stat"))
    return stat["total_rss"] if machine.version == "v1" else stat["anon"]


@test(f"a program that takes its memory in its first moments is charged in full, {BURSTS} of "
      f"{BURSTS} starts", [needs_runs])
def _():
    box = place()
    times = []
    for _ in range(BURSTS):
        one = Run(box, "-m", f"{BURST_MIB + 40}M", "--", *demo("burst", BURST_MIB))
        pid = one.wait_out("main")[0]
        equal(one.wait_event("start")["pid"], pid, "pid")
        times.append(one.wait_out("burst_us")[0] / 1000)
        resident, charged = resident_anon(pid), charged_anon(run_dir(box, one.name) + "/w")
        check(resident >= BURST_MIB * MIB, f"resident: {resident}")
        # memory.stat lags by up to 64 updates a CPU.
        slack = 64 * os.cpu_count() * PAGE
        check(abs(charged - resident) <= slack, f"resident {resident}, charged {charged}")
        check(read_int(one.box.file("memory.usage_in_bytes", "memory.current")) >= charged - slack,
              "usage around it")
        one.signal(signal.SIGKILL)  # the program's own end is not the claim here
        one.process.wait()
        one.end()
    note(f"{BURST_MIB} MiB in {min(times):.0f} to {max(times):.0f} ms")


@test("memory from before a fork stays inside, and grandchildren are born inside", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "100M", "--", *demo("before", 20))
    one.wait_out("written")
    one2 = Run(box, "-m", "100M", "--", *demo("-n", 3, "forks", 4))
    pids = [one.wait_out("main")[0], one.wait_out("child")[0]]
    harness.wait_for(lambda: charged_anon(run_dir(box, one.name)) >= 40 * MIB, 5, "both copies charged")
    pids2 = one2.wait_out("child", 3) + one2.wait_out("grandchild", 3)
    for each, mine in ((one, pids), (one2, pids2)):
        for pid in mine:
            check(pid in members(run_dir(box, each.name) + "/w"), f"{pid} is outside")
    harness.wait_for(lambda: charged_anon(run_dir(box, one2.name)) >= 24 * MIB, 5, "24 MiB charged")
    for each in (one, one2):
        each.signal(signal.SIGTERM)
        each.finish()
    nothing_left(box)


# --- the climber -----------------------------------------------------------------------------

@test("the climber is killed at its limit, told as OOM by its own limit, and started again with "
      "growing delays; TERM ends it with nothing left", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "60M", "--backoff", "100ms", "--", *demo("-s", 1, "climb", 250))
    for count, delay in ((1, 100), (2, 200), (3, 400)):
        told = one.wait_event("exit", count, 30)
        equal((told["cause"], told["whose"], told["then"], told["delay_ms"], told["exit_code"]),
              ("oom", "own", "again", delay, 137), f"exit {count}")
        equal(told["limit"], 60 * MIB, "limit")
        check(told["oom_kills"] == 1, f"oom_kills: {told['oom_kills']}")
        check(told["peak"] is None or 59 * MIB <= told["peak"] <= 60 * MIB, f"peak: {told['peak']}")
    equal(one.err.count("OOM-killed"), 3, f"lines that say so: {one.err!r}")
    check("60.0M" in one.err, f"the limit is not told: {one.err!r}")
    pid = one.wait_event("start", 4)["pid"]
    one.signal(signal.SIGTERM)
    one.finish()
    check(not is_alive(pid), "the program still runs")
    nothing_left(box)


@test("the climber with --restart never: 137", [needs_runs])
def _():
    done = run(place(), "-m", "60M", "--restart", "never", "--", *demo("-s", 0, "climb", 250), code=137)
    equal([(e["cause"], e["whose"], e["then"]) for e in done.all("exit")], [("oom", "own", "end")],
          "told")
    equal(len(done.all("start")), 1, "starts")


@test("swap does not stretch the limit", [needs_runs])
def _():
    one = Run(place(), "-m", "30M", "--restart", "never", "--", *demo("-s", 0, "climb", 250))
    one.finish(code=137)
    check(max(one.wait_out("climb")) > 0 and "top" not in one.out, "it reached its top")


@test("programs that stay below their limit are left alone, however they come and go", [needs_runs])
def _():
    box = place()
    for cap, load in (("40M", demo("-s", 0, "-n", 6, "saw", 30)),
                      ("256M", demo("-s", 20, "-n", 10, "churn", 200))):
        done = run(box, "-m", cap, "--restart", "never", "--", *load, code=0)
        equal((done.exit["cause"], done.exit["oom_kills"], len(done.events)), ("exited", 0, 3),
              f"told of {load[-2:]}: {done.err!r}")


# --- the matrix ------------------------------------------------------------------------------

class Kind:
    """A way to end: how it is brought about, and what may be told of it."""

    def __init__(self, word, cause, whose, begin, after=None, child_kills=0):
        self.word, self.cause, self.whose = word, cause, whose
        self.begin, self.after, self.child_kills = begin, after, child_kills


def own(box, tight):
    return Run(box, "-m", "8M", "--restart", "never", "--", *demo("-s", 0, "climb", 60))


def around(box, tight):
    return Run(tight, "-m", "64M", "--restart", "never", "--", *demo("-s", 0, "climb", 60))


def inside(box, tight):
    name = new_name("inside")
    return Run(box, "-m", "64M", "--restart", "never", "--",
               *demo("-s", 0, "-g", run_dir(box, name) + "/w", "inside", 60, 8), name=name)


def in_child(box, tight):
    return Run(box, "-m", "8M", "--restart", "never", "--", *demo("-s", 0, "child", 60))


def in_child_that_stays(box, tight):
    return Run(box, "-m", "8M", "--restart", "never", "--", *demo("-s", 0, "child", 60, 1))


def in_wrapped(box, tight):
    return Run(box, "-m", "8M", "--restart", "never", "--", *demo("-s", 0, "wrapper", 60))


def asleep(box, tight):
    return Run(box, "-m", "64M", "--restart", "never", "--", *demo("sleep"))


def asleep_in_tight(box, tight):
    return Run(tight, "-m", "64M", "--restart", "never", "--", *demo("sleep"))


def kill_at_once(one, random):
    pid = one.wait_event("start")["pid"]
    time.sleep(random.uniform(0, 0.02))
    kill(pid)


def kill_after_child(one, random):
    """The counters have moved, and still it is somebody else who kills the main process."""
    pid = one.wait_event("start")["pid"]
    one.wait_out("signal")
    time.sleep(random.uniform(0, 0.02))
    kill(pid)


KINDS = (
    Kind("own limit", "oom", "own", own),
    Kind("killed", "killed", None, asleep, kill_at_once),
    Kind("parent's limit", "oom", "ancestor", around),
    Kind("killed, limit on the parent", "killed", None, asleep_in_tight, kill_at_once),
    Kind("limit inside", "oom", "inside", inside),
    Kind("only a child", "exited", None, in_child, child_kills=1),
    Kind("only a child, then killed", "killed", None, in_child_that_stays, kill_after_child, 1),
    Kind("a wrapper's child", "oom-child", "own", in_wrapped),
)


def plan_of_ends():
    """OOM kills and kills by others, EACH of both in all, mixed."""
    oom = [KINDS[i] for i in (0, 2, 4, 7)]
    other = [KINDS[i] for i in (1, 3, 5, 6)]
    plan = [kind for kinds in (oom, other) for kind in kinds for _ in range(-(-EACH // 4))]
    random.Random(7).shuffle(plan)
    return plan


def judge(kind, one, code):
    told = one.exit()
    got = (told["cause"], told["whose"])
    line = f"{kind.word}: told {got}, exit code {code}, stderr {one.err!r}, event {told}"
    check(told["cause"] == kind.cause, line)
    equal(code, 137 if kind.cause != "exited" else 0, line)
    if kind.whose is not None:
        check(told["whose"] in (kind.whose, "unknown"), line)
        check(told["sure"] is not True or told["whose"] == kind.whose, line)
    else:
        equal(told["whose"], None, line)
        check("OOM-killed" not in one.err.splitlines()[-1] or kind.child_kills, line)
    if kind.child_kills:
        check(told["child_kills"] >= 1 or one.all("child-oom"), f"no word of the child: {line}")
    if kind.cause == "killed" and not kind.child_kills:
        equal(told["oom_kills"], 0, line)
    return told["whose"] == kind.whose


def end_many(work, wrong, known):
    box, tight = place("ends"), place("tight", limit=8 * MIB)
    chance = random.Random(id(box))
    while True:
        try:
            kind = work.get_nowait()
        except queue.Empty:
            break
        one = None
        try:
            one = kind.begin(box, tight)
            if kind.after:
                kind.after(one, chance)
            known.append(judge(kind, one, one.finish(30)))
        except Exception as error:
            wrong.append(str(error))
        finally:
            if one is not None:
                one.end()
    for each in (box, tight):
        left = groups_in(each)
        if left:
            wrong.append(f"groups left: {left}")


@test(f"SIGKILL from outside is never told as OOM and an OOM kill never as anything else: "
      f"{4 * -(-EACH // 4)} of each, mixed, {WORKERS} at a time, with limits around and inside",
      [needs_runs])
def _():
    work, wrong, known = queue.Queue(), [], []
    plan = plan_of_ends()
    for kind in plan:
        work.put(kind)
    start = time.monotonic()
    workers = [threading.Thread(target=end_many, args=(work, wrong, known)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    note(f"{len(plan)} ends in {time.monotonic() - start:.0f} s; whose limit was known in "
         f"{sum(known)} of {len(known)}")
    check(not wrong, f"{len(wrong)} of {len(plan)}:\n" + "\n".join(wrong[:5]))


@test("whose limit it was is told for sure when ends are apart", [needs_runs])
def _():
    box, tight = place(), place("tight", limit=8 * MIB)
    time.sleep(5.1)  # the kernel tells of ten in five seconds, and there may have been many
    for kind in (KINDS[0], KINDS[2], KINDS[4], KINDS[7]):
        one = kind.begin(box, tight)
        one.finish(30)
        told = one.exit()
        equal((told["whose"], told["sure"], told["limit"]), (kind.whose, True, 8 * MIB),
              f"{kind.word}: {one.err!r}")
        if kind.whose == "ancestor":
            check(tight.path in (told["limit_path"] or ""), f"limit_path: {told['limit_path']}")
        one.end()
    nothing_left(box)


@test("a child's OOM kill is told while the main process goes on, with its name", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "8M", "--", *demo("-s", 0, "child", 60, 1))
    child = one.wait_out("child")[0]
    told = one.wait_event("child-oom")
    equal((told["whose"], told["limit"], told["kills"]), ("own", 8 * MIB, 1), "told")
    if told["victim"] is not None:
        equal(told["victim"], {"pid": child, "comm": "demo"}, "victim")
    check(told["pid"] == one.wait_out("main")[0], "main pid")
    check(one.err.count("goes on") == 1, f"stderr: {one.err!r}")
    check(one.process.poll() is None, "the run ended")
    one.signal(signal.SIGTERM)
    one.finish()
    equal(one.exit()["cause"], "stopped", "cause in the end")
    nothing_left(box)


@test("a killed main process whose daemons had been OOM-killed before is not called OOM",
      [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "12M", "--restart", "never", "--", "/bin/sh", "-c",
              " ".join(demo("-s", 0, "climb", 60)) + "; echo main $$; sleep 60")
    pid = one.wait_out("main")[0]
    kill(pid)
    one.finish(code=137)
    equal((one.exit()["cause"], one.exit()["whose"]), ("killed", None), f"told: {one.err!r}")
    check(one.exit()["child_kills"] >= 1 or one.all("child-oom"), "no word of the child")


@test("a program that goes into the background is ended with its run, and told how to do better",
      [needs_runs])
def _():
    done = run(place(), "-m", "64M", "--grace", "1s", "--", *demo("-s", 0, "-n", 2, "daemons", 4), code=0)
    equal((done.exit["cause"], done.exit["left"]), ("exited", 2), f"told: {done.err!r}")
    check("2 processes it left behind are ended (" in done.err and "foreground" in done.err,
          f"stderr: {done.err!r}")


PID_NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@test("in a pid namespace, where the log's pids say nothing: a main process that lives 0.6 s after "
      "its child's OOM kill was not the one; what climbs by itself still is", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "8M", "--restart", "never", "--", *demo("-s", 0, "child", 60, 1),
              prefix=PID_NAMESPACE)
    one.wait_out("signal")
    time.sleep(1)
    pids = members(run_dir(box, one.name) + "/w")  # as they are out here
    equal(len(pids), 1, f"processes of the run: {pids}")
    kill(pids[0])
    one.finish(code=137)
    equal((one.exit()["cause"], one.exit()["sure"]), ("killed", True), f"told: {one.err!r}")
    equal([e["kills"] for e in one.all("child-oom")], [1], f"of the child: {one.events}")
    done = run(box, "-m", "8M", "--restart", "never", "--", *demo("-s", 0, "climb", 60), code=137,
               prefix=PID_NAMESPACE)
    equal((done.exit["cause"], done.exit["whose"]), ("oom", "own"), f"told: {done.err!r}")
    nothing_left(box)


# --- the supervisor dies ---------------------------------------------------------------------

def marked(word):
    """Processes with a word among their arguments: (pid, runs the demo already)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                arguments = file.read().split(b"\0")
        except OSError:
            continue
        if word.encode() in arguments and is_alive(pid):
            found.append((int(pid), os.path.basename(arguments[0]) == b"demo"))
    return found


def settled(word):
    """The programs that an orphaned start became; no start is between fork and exec any more."""
    end = time.monotonic() + 30 * harness.PATIENCE
    while True:
        found = marked(word)
        if all(running for _, running in found):
            return [pid for pid, _ in found]
        check(time.monotonic() < end, f"a start hangs between fork and exec: {found}")
        time.sleep(0.005)


def crash_once(box, delay):
    """Kills a supervisor, looks, lets the next run of that name replace it. Whether a program
    lived."""
    name = new_name("dead")
    # "-g NAME" is nothing to the sleeper but a word to find it by; a climber dies and comes again.
    kind = ["sleep"] if random.random() < 0.5 else ["-s", 0, "climb", 60]
    one = Run(box, "-q", "-m", "8M", "--backoff", "5ms", "--", *demo("-g", name, *kind), name=name)
    time.sleep(delay)
    one.process.kill()
    one.process.wait()
    pids = settled(name)
    limit = "memory.limit_in_bytes" if machine.version == "v1" else "memory.max"
    for pid in pids:
        try:
            path = memory_path(pid)
        except OSError:
            continue  # the climber, at its limit
        if path != f"{box.path}/plimsoll-run-{name}/w":  # v1: who is about to be gone is in "/"
            harness.wait_for(lambda: not is_alive(pid), 5, f"the end of a program in {path}")
        for inner in ("", "/w"):
            equal(read_int(f"{run_dir(box, name)}{inner}/{limit}"), 8 * MIB, "limit after the kill")
    next_one = Run(box, "-m", "8M", "--", "/bin/true", name=name)
    next_one.finish(code=0)
    left = [pid for pid in pids if is_alive(pid)]
    equal(left, [], f"programs that outlived the next run ({next_one.err!r})")
    equal([g for g in groups_in(box) if g.endswith("/plimsoll-run-" + name)], [], "groups")
    next_one.end()
    one.end()
    return bool(pids)


@test(f"kill -9 of the supervisor at {CRASHES} random moments: the limit stays in force, and the "
      "next run of that name replaces what it left", [needs_runs])
def _():
    wrong, lived = [], []
    begin, one = time.monotonic(), Run(place(), "-q", "-m", "8M", "--", *demo("sleep"))
    one.wait_out("main")
    span = max(0.15 * harness.PATIENCE, 4 * (time.monotonic() - begin))  # or few would have begun
    one.end()

    def crash_many(count):
        box = place("dead")
        for _ in range(count):
            delay = random.uniform(0, span)
            try:
                lived.append(crash_once(box, delay))
            except Exception as error:
                wrong.append(f"after {delay * 1000:.0f} ms: {error}")
        if groups_in(box):
            wrong.append(f"groups left: {groups_in(box)}")
    workers = [threading.Thread(target=crash_many, args=(CRASHES // 2,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    note(f"a program was running {sum(lived)} of {len(lived)} times")
    check(not wrong, f"{len(wrong)} of {CRASHES}:\n" + "\n".join(wrong[:5]))
    check(sum(lived) > CRASHES // 4, f"a program ran only {sum(lived)} times")


@test("empty groups that dead supervisors left are cleared away by any run in the same place",
      [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "8M", "--", *demo("sleep"))
    pid = one.wait_event("start")["pid"]
    one.process.kill()
    one.process.wait()
    kill(pid)
    harness.wait_for(lambda: not members(run_dir(box, one.name)), 5, "the program's end")
    check(groups_in(box), "nothing was left to clear")
    run(box, "-m", "8M", "--", "/bin/true", code=0)
    nothing_left(box, "another run")


@test("groups that a dead supervisor left with a program in them are left alone by other names",
      [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "8M", "--", *demo("sleep"))
    pid = one.wait_event("start")["pid"]
    one.process.kill()
    one.process.wait()
    run(box, "-m", "8M", "--", "/bin/true", code=0)
    check(is_alive(pid), "another run killed it")
    check(groups_in(box), "another run took its group")
    one.end()


# --- hints that matter -----------------------------------------------------------------------

SECONDS = 10


@test("Go, 200 MiB live of 256: dies without hints, holds with them", [needs_runs, needs_go])
def _():
    box = place()
    load = godemo("-seconds", SECONDS, "churn", 200)
    without = run(box, "-m", "256M", "--restart", "never", "--hints", "off", "--", *load, seconds=30)
    equal((without.code, without.exit["cause"], without.exit["whose"]), (137, "oom", "own"), "without")
    held = run(box, "-m", "256M", "--restart", "never", "--", *load, seconds=60)
    equal((held.code, held.exit["cause"]), (0, "exited"), f"with hints ({held.err!r})")
    check("collections=" in held.err, f"no figures: {held.err!r}")
    if held.exit["peak"] is not None:
        note(f"peak {held.exit['peak'] / (256 * MIB):.3f} of the cap in {SECONDS} s")
    nothing_left(box)


main()
