"""`plimsoll rescue` on groups that really hang: their programs go on, limits are what they were."""
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import hangs
import harness
from harness import (MIB, Skip, check, equal, main, needs_cgroups, needs_v1, needs_v2,
                     note, plimsoll, read, test, wait_for, write)
from hangs import STABLE, TRIES, Hanger, file_of, filler, holder, livelocked


class Rescue:
    """One run: its verdict, its audit, how long it took."""

    def __init__(self, hung, *more, code=0, dump=False):
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-rescue-")
        where = ("--dump-dir", self.folder.name + "/dumps") if dump else ("--no-dump",)
        audit = self.folder.name + "/audit"
        start = time.monotonic()
        done = plimsoll("rescue", "--json", "--audit", audit, "--watch", "1", *where, *more,
                        hung.box.path, code=None, timeout=150)
        self.took = time.monotonic() - start
        check(done.objects, f"no answer: {done.err}")
        self.found = done.objects[0]
        self.audit = [json.loads(line) for line in open(audit, encoding="utf-8")]
        check(done.code == code, f"exit code {done.code}, want {code}: "
              f"{json.dumps(self.found, indent=1)} {done.err}")

    def actions(self):
        return [(a["kind"], a["action"]) for a in self.audit]


def limit_key(hung):
    return hung.box.path, "memory.limit_in_bytes" if hangs.machine.version == "v1" else "memory.max"


def is_told(rescue):
    """Each thing done has a beginning and an end, in this order, of one id."""
    open_id = None
    for record in rescue.audit:
        equal(record["by"], "rescue", "by")
        if record["kind"] == "begin":
            equal(open_id, None, "one thing at a time")
            open_id = record["id"]
        else:
            equal((record["kind"], record["id"]), ("end", open_id), "the end of what began")
            check(record["outcome"] in ("done", "partly", "failed", "refused"), record)
            open_id = None
    equal(open_id, None, "what has begun has ended")


def rescued(hung, *more, stable=1.0):
    """It hangs, is rescued, runs, and has its limits back."""
    limits = hung.limits()
    for _ in range(3):  # on a busy machine it may have had no turn to read in while it was watched
        rescue = Rescue(hung, *more)
        if rescue.found["hang"]:
            break
    found = rescue.found
    check(found["running"] and found["restored"] and found["lent_now"] == 0, f"{found}")
    check(found["lent_peak"] >= 16 * MIB or found["lent_peak"] > 0, f"lent: {found}")
    equal(hung.limits(), limits, "the limits")
    is_told(rescue)
    check(hung.alive(), f"the program lives: {hung.last_words()} {found}")
    hung.lines(stable)
    hung.goes_on()
    check(not hung.stays(), f"it does not hang again within {stable} s")
    return rescue


def tell_times(what, times):
    times = sorted(times)
    note(f"{what}: {len(times)} of {len(times)}, running after {times[0]} to {times[-1]} ms, "
         f"median {times[len(times) // 2]} ms")


@test("a C program that hangs for a moment's need goes on, nothing lost", needs=(needs_cgroups,))
def c_burst():
    times = []
    for _ in range(TRIES):
        hung = holder(52, "20", 64 * MIB).wait()
        rescue = rescued(hung)
        times.append(rescue.found["running_ms"])
        equal(hung.lines()[:2], ["ready", "tick 0"], "what it says")
        hung.end()
    tell_times("C", times)


@test("a Go program that hangs at its limit goes on below it, with a limit of its own",
      needs=(needs_cgroups,))
def go_fill():
    times = []
    for _ in range(TRIES):
        hung = filler(128 * MIB).wait()
        rescue = rescued(hung, "--inject", stable=STABLE)
        times.append(rescue.found["running_ms"])
        check(("begin", "gc") in rescue.actions(), rescue.actions())
        wait_for(lambda: hung.works(0.5) >= 2, 10,
                 lambda: f"it to go on to fill and to drop: {hung.lines()[-5:]}")  # noqa: B023
        hung.end()
    tell_times("Go", times)


@test("a Go program that reads its text over and over goes on when it has collected",
      needs=(needs_cgroups,))
def go_refault():
    times, kinds = [], []
    for _ in range(TRIES):
        folder, text = file_of(16, "text")
        hung = livelocked(text)
        rescue = rescued(hung, "--inject", stable=STABLE)
        kinds.append(rescue.found["hang"])
        times.append(rescue.found["running_ms"])
        hung.end()
        folder.cleanup()
    tell_times(f"Go, {', '.join(sorted(set(kinds)))}", times)


@test("a JVM that hangs goes on, and gives back what it was lent", needs=(needs_v1,))
def java():
    classes = os.path.join(harness.options.loads, "rt")
    if shutil.which("java") is None or not os.path.exists(classes + "/Garbage.class"):
        raise Skip("no java, or no javac when this was built")
    times = []
    for _ in range(TRIES):
        hung = Hanger(["java", "-XX:+UseSerialGC", "-Xms16m", "-Xmx160m", "-XX:-UsePerfData", "-cp",
                       classes, "Garbage", "5", "110"], 100 * MIB)
        hung.wait()
        limits = hung.limits()
        rescue = Rescue(hung, "--lend", "160M")  # more than its heap can become, with all beside it
        equal(hung.limits(), limits, "the limits")
        check(hung.alive() and not hung.stays(), f"it runs: {rescue.found}")
        wait_for(lambda: "ready" in hung.lines(), 10, "its word")
        hung.process.stdin.close()
        wait_for(lambda: any(line.startswith("kept ") for line in hung.lines()), 10,
                 "its last word: all it had is still there")
        is_told(rescue)
        times.append(rescue.found["running_ms"])
        hung.process.wait(60)
        hung.process.stdin = open(os.devnull, "rb")
        hung.end()
    tell_times("Java", times)


@test("a limit of a group above is lent to, and is what it was", needs=(needs_v1,))
def above():
    hung = holder(52, "20", None, parent_limit=64 * MIB).wait()
    rescue = rescued(hung)
    equal(rescue.found["limit"], 64 * MIB, "the limit")


@test("what needs more than may be lent is not rescued; it is said how much it needs, and nobody is "
      "killed", needs=(needs_cgroups,))
def too_large():
    hung = holder(40, "+100", 64 * MIB).wait()
    rescue = Rescue(hung, code=3)
    check(not rescue.found["running"], f"{rescue.found}")
    check(rescue.found["needs"] >= 80 * MIB, f"needs {rescue.found['needs']}")
    check("docker update --memory" in rescue.found["next"], rescue.found["next"])
    check(hung.alive(), "nobody is killed")
    lent = hung.limits()[limit_key(hung)] - 64 * MIB
    equal(rescue.found["lent_now"], lent, "what is told as lent is lent")
    is_told(rescue)


@test("a second rescue lends on top of what the first could not take back, and goes back to before it",
      needs=(needs_cgroups,))
def second():
    hung = holder(40, "60", 64 * MIB).wait()
    limits = hung.limits()
    first = Rescue(hung, "--lend", "16M", code=3).found
    equal((first["running"], first["lent_now"]), (False, 16 * MIB), "the first")
    wait_for(hung.waits, 20, "it hangs on the loan as well")
    none = Rescue(hung, "--lend", "16M", code=3).found
    check("lent already" in none["text"] and "--lend 32" in none["next"], f"{none}")
    again = Rescue(hung, "--lend", "64M").found
    equal((again["limit"], again["lent_now"], again["restored"]), (64 * MIB, 0, True), "the second")
    check(again["lent_peak"] >= 32 * MIB, f"{again}")
    equal(hung.limits(), limits, "the limits")
    check(hung.ticks(1) >= 2, "it runs")
    time.sleep(0.6)  # the first one's warden looks every 50 ms
    equal(hung.limits(), limits, "the limits, with the first one's warden still there")


@test("with --kill the process to blame is ended when nothing else has helped, and what is left goes on",
      needs=(needs_v1,))
def too_large_killed():
    hung = holder(40, "+100", 64 * MIB).wait()
    beside = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        beside.stdin.write(b"it is there\n")  # what is still being loaded would not survive the group
        beside.stdin.flush()
        beside.stdout.readline()
        write(hung.box.dir + "/cgroup.procs", str(beside.pid))
        limits = hung.limits()
        dry = plimsoll("rescue", "--kill", "--dry-run", hung.box.path).out
        check(f"would send SIGKILL to {hung.pid} (holder)" in dry, dry)
        rescue = Rescue(hung, "--kill", "--protect", "holder", code=3)
        check(hung.alive() and rescue.found["killed"] is None, f"protected: {rescue.found}")
        wait_for(hung.waits, 20, "it hangs on the loan as well")
        rescue = Rescue(hung, "--kill")
        found = rescue.found
        equal((found["killed"], found["running"], found["restored"], found["outcome"]),
              (hung.pid, True, True, "done"), f"{found}")
        equal(hung.process.wait(30), -signal.SIGKILL, "how it ended")
        equal(hung.limits(), limits, "the limits")
        equal(beside.poll(), None, "what was beside it")
        is_told(rescue)
        kills = [a for a in rescue.audit if a["action"] == "kill"]
        equal([a["kind"] for a in kills], ["begin", "end"], "records of the kill")
        equal(kills[1]["pid"], hung.pid, "whose")
        check(kills[1]["after"] < kills[1]["before"], f"{kills}")
    finally:
        beside.kill()
        beside.communicate()


@test("with --kill nobody is ended whom the kernel's killer may not end either", needs=(needs_v2,))
def unkillable():
    hung = holder(40, "+100", 64 * MIB).wait()
    found = Rescue(hung, "--kill", code=3).found
    check(hung.alive() and found["killed"] is None, f"{found}")
    check(any(step["step"] == "kill" and "nobody to end" in step["text"] for step in found["steps"]),
          f"{found['steps']}")


@test("a group that is removed while it is watched is told as gone, and not as hanging again",
      needs=(needs_cgroups,))
def gone():
    hung = holder(40, "20", 56 * MIB).wait()
    with tempfile.TemporaryDirectory() as folder:
        mine = subprocess.Popen([harness.options.binary, "rescue", "--json", "--no-dump", "--audit",
                                 folder + "/audit", "--watch", "60", hung.box.path],
                                stdout=subprocess.PIPE, text=True)
        wait_for(lambda: hung.limits()[limit_key(hung)] > 56 * MIB, 30, "the loan")
        wait_for(lambda: hung.limits()[limit_key(hung)] == 56 * MIB, 30, "the watch")
        hung.process.kill()
        hung.process.wait()
        os.rmdir(hung.box.dir)
        os.mkdir(hung.box.dir)  # another one, for the end of the test
        found = json.loads(mine.communicate(timeout=60)[0])
        equal((mine.returncode, found["running"], found["restored"]), (1, False, True), f"{found}")
        check("was removed" in found["text"] and found["next"] is None, f"{found}")
        check(found["hang_for_ms"] < 5000 * harness.PATIENCE, f"{found}")


@test("what runs on the loan alone is told as such, with the limit that it needs",
      needs=(needs_v1,))
def stays_large():
    hung = holder(40, "+32", 64 * MIB).wait()
    rescue = Rescue(hung, "--timeout", "3", code=3)
    check(rescue.found["running"] and not rescue.found["restored"], f"{rescue.found}")
    hung.goes_on()
    check("still lent" in rescue.found["text"] and "for an hour" in rescue.found["text"], rescue.found)
    check(f"&& echo {64 * MIB} > memory.limit_in_bytes" in rescue.found["text"], rescue.found["text"])


@test("a dump is written before anything is done to it", needs=(needs_v1,))
def dumped():
    hung = holder(52, "20", 64 * MIB).wait()
    rescue = Rescue(hung, dump=True)
    equal(rescue.actions()[0], ("begin", "dump"), "the first thing")
    summary = read(rescue.found["dump"] + "/summary.txt")
    check("mem_cgroup_oom" in summary or str(hung.pid) in summary, summary)


@test("killed in the middle, its loan is taken back within 2 s", needs=(needs_v1,))
def killed():
    for _ in range(TRIES):
        hung = holder(52, "+12", 64 * MIB).wait()  # 64 and a little more: hangs, takes 16
        limits = hung.limits()
        with tempfile.TemporaryDirectory() as folder:
            mine = subprocess.Popen([harness.options.binary, "rescue", "--no-dump", "--audit",
                                     folder + "/audit", "--watch", "60", hung.box.path],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: hung.limits() != limits, 10, "a loan")
            mine.send_signal(signal.SIGKILL)
            mine.wait()
            os.kill(hung.pid, signal.SIGKILL)  # what it uses cannot be taken back
            hung.process.wait(60)
            died = time.monotonic()
            wait_for(lambda: hung.limits() == limits, 2, "the limits to be what they were")
            took = time.monotonic() - died
            check(took < 2, f"the limits were what they were after {took:.1f} s")
        hung.end()


def without_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as on a full disk


@test("what cannot be recorded is not done", needs=(needs_v1,))
def unrecorded():
    hung = holder(52, "20", 64 * MIB).wait()
    limits = hung.limits()
    with tempfile.TemporaryDirectory() as folder:
        done = plimsoll("rescue", "--json", "--no-dump", "--audit", folder + "/audit", hung.box.path,
                        code=3, timeout=100, preexec_fn=without_files)
        found = done.objects[0]
        equal((found["outcome"], found["lent_peak"], found["running"]), ("refused", 0, False), "it")
        check("cannot be recorded" in found["text"], found["text"])
        check("audit cannot be written" in done.err, done.err)
        equal(hung.limits(), limits, "the limits")
        plimsoll("rescue", "--audit", folder + "/none/audit", hung.box.path, code=1)
        check(not os.path.exists(folder + "/none"), "a folder is made for a mistyped name")
    check(hung.waits(), "it hangs as before")


@test("interrupted, it says what is lent", needs=(needs_v1,))
def interrupted():
    hung = holder(40, "+100", 64 * MIB).wait()
    limits = hung.limits()
    with tempfile.TemporaryDirectory() as folder:
        mine = subprocess.Popen([harness.options.binary, "rescue", "--no-dump", "--audit",
                                 folder + "/audit", "--plain", hung.box.path],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while (line := mine.stdout.readline()) and "\tlend\t" not in line:
            pass
        check(hung.limits() != limits, f"a loan: {line!r}")
        mine.send_signal(signal.SIGINT)
        err = mine.communicate(timeout=60)[1]
        equal(mine.returncode, -signal.SIGINT, f"how it ended: {err}")
        check("M are lent; plimsoll-warden" in err, err)


main(at_once=3)  # they mostly wait
