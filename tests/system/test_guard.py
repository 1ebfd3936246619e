"""`plimsoll guard`: marks, the ladder, what it records, and what it leaves behind."""
import json
import os
import signal
import subprocess
import tempfile
import time

import harness
from guarding import Grower, records, wait_record
from hangs import watchdog
from harness import (MIB, PATIENCE, check, equal, group, machine, main, needs_cgroups, needs_v1,
                     plimsoll, read, test, wait_for, write)
from seedload import Guard

LIMIT = 64 * MIB

HOLDER = r"""
import os, sys
fd = os.memfd_create("room")
block = bytes(4096)
out = os.open(sys.argv[4] + "/cgroup.procs", os.O_WRONLY)
with open(sys.argv[3] + "/cgroup.procs", "w") as file:
    file.write("0")
try:
    while True:
        os.write(fd, block)
except OSError:
    pass
os.write(out, b"0")  # what it has filled stays there; it could not even say so
print("full", flush=True)
sys.stdin.read()
"""


def room(**more):
    return group("guard", limit=LIMIT, controllers=("unified",), **more)


def oom_kills(box):
    file = "memory.oom_control" if machine.version == "v1" else "memory.events"
    return harness.keyed(read(box.dir + "/" + file))["oom_kill"]


@test("the n-th mark starts the n-th action; each has a record before and one after",
      needs=(needs_cgroups,))
def ladder():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        guard = Guard(box.path, folder, "--at", "50%,70%,90%", "--do", "notify,dump,kill")
        grower = Grower(box, 54)  # 60 with the interpreter: above all marks, and nothing for the kernel
        equal(grower.ended(), -signal.SIGKILL, "how the grower ended")
        wait_record(guard, "end", "kill")
        wait_record(guard, "end", "dump", 30)
        equal(guard.stream.end(), 0, "the guard's exit code")
        began = [r["action"] for r in records(guard, "begin")]
        equal(sorted(began), ["dump", "kill", "notify"], "actions")
        for one in records(guard, "begin"):
            ends = [r for r in records(guard, "end") if r["id"] == one["id"]]
            equal(len(ends), 1, f"ends of {one['action']}")
            equal(ends[0]["outcome"] in ("done", "partly"), True,
                  f"{one['action']}: {ends[0]['outcome']}, {ends[0]['text']}")
            check(one["before"] > 0, "before")
        kill = records(guard, "end", "kill")[0]
        equal((kill["pid"], kill["mark"]), (grower.pid, 3), "who was killed, at which mark")
        check(kill["after"] < kill["before"] - 40 * MIB, f"it freed: {kill}")
        equal(oom_kills(box), 0, "kills by the kernel")
        dumped = records(guard, "end", "dump")[0]["file"]
        check(os.path.exists(dumped + "/summary.txt"), f"a dump in {dumped}")
        with open(os.path.join(folder, "audit")) as file:
            told = [r["id"] for r in guard.stream.objects()]
            equal([json.loads(line)["id"] for line in file][:len(told)], told,
                  "the file has the same records")
        equal(os.stat(os.path.join(folder, "audit")).st_mode & 0o777, 0o600, "its mode")
        again = plimsoll("guard", "--replay", os.path.join(folder, "audit"), "--json").objects
        equal([r["replay"] for r in again], ["same"] * 3, "decided again")


@test("what begins anew because all was in vain is decided again by a replay",
      needs=(needs_cgroups,))
def repeated():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        Grower(box, 45)
        guard = Guard(box.path, folder, "--at", "50%", "--do", "notify,reclaim")
        guard.stream.read_for(60 * PATIENCE, lambda _: len(records(guard, "end", "reclaim")) == 3)
        guard.stream.end()
        equal([r["action"] for r in records(guard, "begin")], ["notify", "reclaim"] * 2 + ["reclaim"],
              "notify is repeated more rarely")
        again = plimsoll("guard", "--replay", os.path.join(folder, "audit"), "--json").objects
        equal([r["replay"] for r in again], ["same"] * 5, "decided again")


@test("marks that are passed at once are told in their order, a notify is begun before the kill, "
      "and its hook has its time though the group ends with it", needs=(needs_cgroups,))
def jump():
    with tempfile.TemporaryDirectory() as folder:
        box, told = room(), os.path.join(folder, "told")
        grower = Grower(box, 56)
        wait_for(lambda: box.usage() > 58 * MIB, 10 * PATIENCE, "it has grown")
        guard = Guard(box.path, folder, "--at", "50%,60%,70%", "--do", "notify,reclaim,kill",
                      "--hook", "/bin/sh", "--hook", "-c", "--hook", f"sleep 1; echo $USED > {told}")
        equal(grower.ended(), -signal.SIGKILL, "how the grower ended")
        box.remove()
        wait_record(guard, "over")
        wait_for(lambda: os.path.exists(told), 10 * PATIENCE, "the hook was not ended with the group")
        guard.stream.end()
        lines = guard.stream.objects()
        equal([r["mark"] for r in lines if r["kind"] == "mark" and r["up"]], [1, 2, 3], "passed")
        equal([r["action"] for r in lines if r["kind"] == "begin"][:2], ["notify", "kill"], "order")
        check("which goes on" in records(guard, "end", "notify")[0]["text"], "its end")


@test("a replay tells what would be decided otherwise", needs=(needs_cgroups,))
def replay_differs():
    with tempfile.TemporaryDirectory() as folder:
        box, file = room(), os.path.join(folder, "audit")
        guard = Guard(box.path, folder, "--at", "60%", "--do", "kill")
        Grower(box, 60).ended()
        wait_record(guard, "end", "kill")
        guard.stream.end()
        with open(file) as lines:
            text = lines.read()
        with open(file, "w") as lines:  # as if the mark had been another
            lines.write(text.replace('{"pct":60.00}', '{"pct":99.00}') + "{broken\n")
        check("99.00" in read(file), "the policy is in the record")
        result = plimsoll("guard", "--replay", file, code=3)
        check("now nothing" in result.out and "0 decided again, 1 otherwise" in result.out,
              result.out)
        check("1 lines" in result.err, result.err)


@test("the largest that may be is killed; what is protected is spared", needs=(needs_cgroups,))
def protected():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        spared = Grower(box, 24, name="precious")
        wait_for(lambda: box.usage() > 25 * MIB, 10, "the first to stand")
        guard = Guard(box.path, folder, "--at", "75%", "--do", "kill", "--protect", "prec*")
        second = Grower(box, 20, name="other")
        equal(second.ended(), -signal.SIGKILL, "how the second ended")
        check(spared.process.poll() is None, "the protected one lives")
        equal(wait_record(guard, "end", "kill")["pid"], second.pid, "who was killed")
        guard.stream.end()


@test("where nobody may be killed, that is refused and said", needs=(needs_cgroups,))
def nobody():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        guard = Guard(box.path, folder, "--at", "50%", "--do", "kill", "--protect", "*")
        grower = Grower(box, 45)
        end = wait_record(guard, "end", "kill")
        equal(end["outcome"], "refused", "outcome")
        check(end["text"], "why")
        check(grower.process.poll() is None, "it lives")
        guard.stream.end()


@test("a dry run decides and records, and touches nothing", needs=(needs_cgroups,))
def dry():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        before = box.limit()
        guard = Guard(box.path, folder, "--at", "40%,60%", "--do", "pause,throttle,term,kill",
                      "--dry-run")
        grower = Grower(box, 45)
        wait_record(guard, "end", "kill")
        guard.stream.end()
        check(all(r["outcome"] == "dry-run" for r in records(guard, "end")), "outcomes")
        check(all(r["dry_run"] for r in guard.stream.objects()), "marked as such")
        wait_for(lambda: box.usage() > 45 * MIB, 10, "it to grow on")
        check(grower.process.poll() is None, "it lives")
        equal(box.limit(), before, "the limit")
        equal(plimsoll("guard", "--replay", os.path.join(folder, "audit")).code, 0, "replay")


def stands(box):
    usage = box.usage()
    time.sleep(0.3)
    return box.usage() <= usage


@test("what is paused goes on when the guard ends, by whatever signal", needs=(needs_cgroups,))
def paused():
    for how in (signal.SIGTERM, signal.SIGKILL):
        with tempfile.TemporaryDirectory() as folder:
            box = group("guard", limit=4 * LIMIT, controllers=("unified",))
            guard = Guard(box.path, folder, "--at", "20%", "--do", "pause")
            grower = Grower(box, 200, pause=0.005)  # for seconds: a freeze may take a while
            end = wait_record(guard, "end", "pause")
            equal(end["outcome"], "done", f"{end['text']}")
            wait_for(lambda: stands(box), 5, "it to stand")
            where = box.usage()
            check(51 * MIB < where < 150 * MIB, f"it stands at {where / MIB:.1f} MiB")
            guard.stream.process.send_signal(how)
            wait_for(lambda: box.usage() > where + 8 * MIB, 20, "it to go on")
            guard.stream.end()
            grower.end()


@test("TERM is heeded, or its grace ends in KILL", needs=(needs_cgroups,))
def term():
    for words, grace, want in (((), "30s", -signal.SIGTERM), (("deaf",), "500ms", -signal.SIGKILL)):
        with tempfile.TemporaryDirectory() as folder:
            box = room()
            guard = Guard(box.path, folder, "--at", "60%", "--do", "term", "--grace", grace)
            grower = Grower(box, 50, *words)
            equal(grower.ended(), want, "how it ended")
            end = wait_record(guard, "end", "term")
            check(end["outcome"] in ("done", "partly"), f"{end}")
            guard.stream.end()


@test("TERM waits for those it asked, also in groups below, and not for who comes later",
      needs=(needs_cgroups,))
def term_asked():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        kid = box.child("kid", ("unified",))
        guard = Guard(box.path, folder, "--at", "60%", "--do", "term", "--grace", "1s")
        deaf = Grower(kid, 45, "deaf")
        equal(deaf.ended(), -signal.SIGKILL, "one that is deaf, in a group below")
        check("killed" in wait_record(guard, "end", "term")["text"], "that is told")
        guard.stream.end()
        guard = Guard(box.path, folder, "--at", "60%", "--do", "term", "--grace", "30s")
        equal(Grower(kid, 45).ended(), -signal.SIGTERM, "one that heeds it")
        wait_record(guard, "end", "term", 5)  # long before its grace is over
        equal(Grower(kid, 45).ended(), -signal.SIGTERM, "the next one")
        guard.stream.end()


@test("the next of the list is taken only when the one before did not suffice",
      needs=(needs_cgroups,))
def effect():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        second = Grower(box, 20, name="small")
        wait_for(lambda: box.usage() > 21 * MIB, 10, "the small one to stand")
        guard = Guard(box.path, folder, "--at", "75%", "--do", "reclaim,kill")
        first = Grower(box, 26, name="large")  # with the small one 58: nothing for the kernel
        equal(first.ended(), -signal.SIGKILL, "the large one")
        wait_record(guard, "end", "kill")
        time.sleep(1.5)
        guard.stream.read_for(0.2)
        guard.stream.end()
        equal([r["action"] for r in records(guard, "begin")], ["reclaim", "kill"], "actions")
        check(second.process.poll() is None, "one kill sufficed")


@test("the moment of OOM is held for a dump, then the kernel has its way, each time",
      needs=(needs_v1, needs_cgroups))
def oom_hold():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        guard = Guard(box.path, folder, "--at", "99.9%", "--do", "notify", "--oom-hold")
        disabled = lambda: "oom_kill_disable 1" in read(box.dir + "/memory.oom_control")
        check(disabled(), "it is armed")
        for turn in range(2):
            wait_for(disabled, 5, "it to be armed")
            grower = Grower(box, 80)
            equal(grower.ended(), -signal.SIGKILL, "how the grower ended")
            equal(oom_kills(box), turn + 1, "kills by the kernel")
            wait_for(lambda: len(dumps_of(guard)) == turn + 1, 10,
                     lambda: f"a dump in turn {turn}: {guard.stream.objects()[1:]}")
        for end in dumps_of(guard):
            check(end["outcome"] in ("done", "partly"), f"{end}")
            with open(end["file"] + "/summary.txt", encoding="utf-8") as file:
                check("grower" in file.read(), "the dump shows who grew")
        guard.stream.end()
        check(not disabled(), "the killer is enabled again")


@test("a guard says that it holds an OOM only where it does, and of a dry run that it would",
      needs=(needs_v1, needs_cgroups))
def oom_hold_told():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        for below, options, holds in (
                (False, (), "; holds an OOM"), (False, ("--dry-run",), "; would hold an OOM"),
                (True, (), None), (True, ("--dry-run",), None)):
            if below:
                os.makedirs(box.dir + "/below", exist_ok=True)
            guard = Guard(box.path, folder, "--at", "90%", "--do", "notify", "--oom-hold", *options)
            text = wait_record(guard, "guard")["text"]
            err = guard.stream.errors()
            guard.stream.end()
            if holds:
                check(holds in text, f"{options}: {text}")
            else:
                check("hold" not in text, f"{options}: {text}")
                check("cannot be held" in err and "groups below" in err, f"{options}: {err}")


def dumps_of(guard):
    guard.stream.read_for(0.2)
    return records(guard, "end", "dump")


@test("a guard whose group is removed ends, and says so", needs=(needs_cgroups,))
def removed():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        guard = Guard(box.path, folder, "--at", "70%", "--do", "notify")
        box.remove()
        over = wait_record(guard, "over")
        equal(over["text"], "the group was removed", "why")
        equal(guard.stream.process.wait(10 * PATIENCE), 0, "exit code")
        harness._streams.remove(guard.stream)


@test("wrong options are told with what would be right")
def options():
    for words, want in ((("--at", "120%"), "no mark"), (("--do", "kil"), "did you mean 'kill'"),
                        (("--at", "80%,90%", "--do", "gc"), "2 marks and 1 action:"),
                        (("--hook", "true"), "full path"), (("--lend", "1K"), "1M at least"),
                        (("--go-limit", "2G"), "share of the limit"),
                        (("--protect", ""), "--protect: an empty text"),
                        (("--do", ""), "unknown action '': notify, gc"),
                        (("--do", "kill,gc"), "nothing can follow 'kill'")):
        result = plimsoll("guard", "nobody", *words, code=2)
        check(want in result.err, f"{words}: {result.err}")
    check("one TARGET" in plimsoll("guard", code=2).err, "no target")
    check("no-such-thing" in plimsoll("guard", "no-such-thing", code=1).err, "unknown target")


@test("it acts with its own group full to the limit", needs=(needs_v1, needs_cgroups))
def own_group_full():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        own, box = group("own", limit=None), room()
        guard = Guard(box.path, folder, "--at", "70%,80%", "--do", "notify,kill",
                      preexec_fn=lambda: write(own.dir + "/cgroup.procs", "0"))
        wait_for(lambda: len(own.pids()) >= 3, 10, "guard, warden, and a hand")
        time.sleep(0.3)
        wait_for(lambda: own.reclaim() < 8 * MIB, 10, "pages of its files to be gone")
        own.limit(8 * MIB)
        watchdog(own.dir, 90 * PATIENCE)
        write(own.dir + "/memory.oom_control", "1")
        filler = Grower(None, 0, own.dir, harness.top().dir, program=HOLDER)
        equal(filler.process.stdout.readline(), b"full\n", "the filler")
        check(own.usage() > 8 * MIB - 256 * 1024, f"its group is full: {own.usage()}")
        grower = Grower(box, 54)
        equal(grower.ended(), -signal.SIGKILL, "how the grower ended")
        equal(oom_kills(box), 0, "kills by the kernel")
        filler.end()
        write(own.dir + "/memory.oom_control", "0")
        end = wait_record(guard, "end", "kill")
        equal(end["outcome"], "done", f"{end}")
        check(guard.stream.process.poll() is None, "the guard lives")
        wait_for(lambda: '"kill"' in read(os.path.join(folder, "audit")), 5, "its record")
        guard.stream.end()


@test("a group that is above its mark when the guard begins: the first action is done",
      needs=(needs_cgroups,))
def above_at_start():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        Grower(box, 45)
        wait_for(lambda: box.usage() > 42 * MIB, 10 * PATIENCE, "it has grown")
        guard = Guard(box.path, folder, "--at", "50%,60%", "--do", "notify,gc,kill")
        end = wait_record(guard, "end", "notify")
        equal(end["outcome"], "done", f"{end}")
        end = wait_record(guard, "end", "gc")
        check("stands ready" not in end["text"] and "cannot be made" not in end["text"], f"{end}")
        guard.stream.end()


@test("the end of a kill, and of a TERM that is heeded, is told when the memory has been given back",
      needs=(needs_cgroups,))
def effect_awaited():
    for actions in ("kill", "term,kill"):
        with tempfile.TemporaryDirectory() as folder:
            box = group("guard", limit=1024 * MIB, controllers=("unified",))
            guard = Guard(box.path, folder, "--at", "80%", "--do", actions)
            grower = Grower(box, 860, pause=0)  # takes the kernel some 0.3 s to give back
            grower.ended(30)
            end = wait_record(guard, "end", actions.split(",", maxsplit=1)[0])
            check(end["before"] > 700 * MIB and end["after"] < 100 * MIB, f"its effect: {end}")
            time.sleep(0.3)
            guard.stream.end()
            equal([r["action"] for r in records(guard, "begin")], [end["action"]], "what was begun")
            box.remove()


@test("a hook that takes its time holds nothing up, and its end is told", needs=(needs_cgroups,))
def slow_hook():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        guard = Guard(box.path, folder, "--at", "60%", "--do", "notify,dump,kill", "--deadline", "4s",
                      "--hook", "/bin/sleep", "--hook", "60")
        grower = Grower(box, 58, pause=0.01)
        equal(grower.ended(), -signal.SIGKILL, "how the grower ended")
        equal(oom_kills(box), 0, "kills by the kernel")
        check("took more than" in wait_record(guard, "end", "notify")["text"], "its end, at its time")
        guard.stream.end()
        order = [r["action"] for r in guard.stream.objects() if r["kind"] == "end"]
        equal(order, ["dump", "kill", "notify"], "what ended, in that order")
        again = plimsoll("guard", "--replay", os.path.join(folder, "audit"), "--json").objects
        equal([r["replay"] for r in again], ["same"] * 3, "decided again")


@test("a job that goes on when its guard ends has its record", needs=(needs_cgroups,))
def abandoned():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        Grower(box, 45)
        guard = Guard(box.path, folder, "--at", "50%", "--do", "notify", "--hook", "/bin/sleep",
                      "--hook", "60")
        wait_record(guard, "begin", "notify")
        guard.stream.process.send_signal(signal.SIGTERM)
        end = wait_record(guard, "end", "notify")
        equal(end["outcome"], "failed", f"{end}")
        guard.stream.end()


def full_disk(folder):
    """A file system in which nothing has room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=8", "plimsoll", folder],
                   check=True)
    with open(os.path.join(folder, "audit"), "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)
    fd = os.open(os.path.join(folder, "rest"), os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(fd, bytes(4096))
    except OSError:
        pass
    os.close(fd)


@test("an audit whose disk is full: said at the start, and nothing is lost in silence",
      needs=(needs_cgroups,))
def audit_full():
    with tempfile.TemporaryDirectory() as folder:
        full_disk(folder)
        try:
            box = room()
            guard = Guard(box.path, folder, "--at", "60%", "--do", "kill")
            equal(Grower(box, 50).ended(), -signal.SIGKILL, "how the grower ended")
            wait_record(guard, "end", "kill")
            check("takes no record" in guard.stream.errors(), guard.stream.errors())
            guard.stream.end()
            said = guard.stream.errors()
            check("could not be written" in said, said)
            for kind in ("guard", "begin", "end", "over"):
                check(f'"kind":"{kind}"' in said, f"the record {kind}: {said}")
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


if __name__ == "__main__":
    main(at_once=3)
