#!/usr/bin/python3
"""What `plimsoll guard` checks and says before it begins, what it says of a loan at its end, and
that it begins and acts on a machine that is full."""
import contextlib
import json
import os
import signal
import subprocess
import tempfile

import harness
from harness import (MIB, PATIENCE, SMALL, Skip, check, equal, group, main, meminfo,
                     needs_cgroups, needs_v1, needs_v2, note, plimsoll, read, test, wait_for)
from hangs import holder
from seedload import Guard

LIMIT = 64 * MIB


def errors_of(guard):
    equal(guard.stream.end(), 0, "the guard's exit code")
    guard.stream.read_for(2)
    return guard.stream.errors()


def begun(target, *options):
    """What a guard says at its start: the text of its first line, and its errors."""
    with tempfile.TemporaryDirectory() as folder:
        stream = harness.Stream("guard", "--audit", folder + "/audit", "--dumps", folder, *options,
                                target)
        stream.read_for(10 * harness.PATIENCE, lambda text: b"\n" in text)
        first = stream.buffer.decode()
        equal(stream.end(), 0, "the guard's exit code")
        return first, stream.errors()


@test("the first line says the limit and whose it is; marks that cannot be passed are told",
      needs=(needs_cgroups,))
def limits():
    box, free = group("start", limit=LIMIT), group("start", limit=None)
    first, err = begun(box.path)
    check("; limit 64.0M, its own" in first, first)
    equal(err, "", "warnings")
    _, err = begun(box.path, "--at", "40M,200M", "--do", "notify,notify")
    check("the mark 200M can never be passed: limit 64.0M, its own" in err, err)
    first, err = begun(free.path, "--dry-run")
    equal(first.count("dry run"), 1, f"how often it says that it is one: {first}")
    if "no limit" in first:  # the machine that tests it has none above
        check("marks in percent are never passed" in err, err)
    below = group("start", limit=LIMIT).child("below")
    first, _ = begun(below.path)
    check(f"limit 64.0M, of {os.path.dirname(below.path)} above it" in first, first)


@test("a second guard of a group is told of the first, and guards all the same",
      needs=(needs_cgroups,))
def second():
    box = group("start", limit=LIMIT)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        one = Guard(box.path, folder)
        two = Guard(box.path, other)
        pid = one.stream.process.pid
        check(f"another guard of this group runs (pid {pid})" in errors_of(two), two.stream.errors())
        equal(errors_of(one), "", "what the first says")
        three = Guard(box.path, other)
        equal(errors_of(three), "", "what one says that is alone again")


@test("what does not fit together, or has no place, is refused before anything begins",
      needs=(needs_cgroups,))
def refused():
    box = group("start", limit=LIMIT)
    with tempfile.TemporaryDirectory() as folder:
        audit = folder + "/audit"

        def guard(*options, code):
            return plimsoll("guard", "--audit", audit, *options, box.path, code=code).err

        check("--inject" in guard("--go-limit", "80%", code=2), "a limit for Go")
        err = guard("--do", "gc", "--hook", "/bin/true", code=2)
        check("--hook is run by notify" in err, err)
        err = guard("--do", "notify", "--hook", "/bin/hook.sh arg", code=1)
        check("its arguments are given by more --hook" in err, err)
        check("TARGET" in guard("--replay", audit, code=2), "a replay of a target")
        with open(folder + "/file", "w", encoding="ascii"):
            pass
        err = guard("--do", "dump", "--dumps", folder + "/file/dumps", code=1)
        check("dumps cannot be written into" in err, err)
        err = guard("--do", "dump", "--dumps", folder + "/none/dumps", code=1)
        check("No such file" in err and not os.path.exists(folder + "/none"), err)
        plimsoll("guard", "--audit", folder + "/none/audit", box.path, code=1)
        check(not os.path.exists(folder + "/none"), "a folder is made for a mistyped name")


@test("options that no action of --do heeds are named, and no others", needs=(needs_cgroups,))
def unheeded():
    box = group("start", limit=LIMIT)
    words = ("--grace", "5s", "--lend", "8M", "--kill-init", "--protect", "web*", "--inject")
    _, err = begun(box.path, "--do", "gc,kill", *words)
    check("--grace does nothing without term in --do" in err, err)
    check("--lend does nothing without rescue in --do" in err, err)
    equal(err.count("does nothing"), 2, f"options of no use: {err}")
    _, err = begun(box.path, "--do", "reclaim", *words, "--prefer", "x")
    for option in ("--kill-init", "--protect", "--prefer"):
        check(f"{option} does nothing without term or kill in --do" in err, err)
    check("--inject does nothing without gc or rescue in --do" in err, err)
    _, err = begun(box.path, "--do", "rescue,term", *words)
    check("does nothing" not in err, err)


@test("a replay of what has no record fails; damaged lines alone do not")
def replays():
    with tempfile.TemporaryDirectory() as folder:
        file = folder + "/audit"
        with open(file, "w", encoding="ascii") as out:
            out.write("no record\n")
        check("has no records" in plimsoll("guard", "--replay", file, code=1).err, "words")
        with open(file, "a", encoding="ascii") as out:
            out.write(json.dumps({"kind": "over", "id": "1", "at_ms": 1, "by": "guard", "name": "a",
                                  "target": "/a", "guard": "", "dry_run": False, "facts": {}}) + "\n")
        check("1 lines" in plimsoll("guard", "--replay", file).err, "what is damaged")
        with open(file, "w", encoding="ascii") as out:
            out.write(json.dumps({"kind": "begin", "id": "1", "at_ms": 1, "by": "rescue",
                                  "name": "a", "target": "/a", "guard": "", "dry_run": False,
                                  "action": "rescue", "facts": {}}) + "\n")
        result = plimsoll("guard", "--replay", file, code=1)
        check("none of its 1 action can" in result.err and "--audit" in result.err, result.err)
        equal(result.out, "", "what is told of a rescue's records")
        with open(file, "w", encoding="ascii"):
            pass
        check("is empty" in plimsoll("guard", "--replay", file, code=1).err, "an empty file")
    check("is no regular file" in plimsoll("guard", "--replay", "/dev/null", code=1).err, "a device")


@test("ended in the middle of a rescue, the guard says what is lent", needs=(needs_v1,))
def lent():
    hung = holder(40, "+100", 64 * MIB).wait()  # uses up whatever is lent
    limits = hung.limits()
    with tempfile.TemporaryDirectory() as folder:
        guard = Guard(hung.box.path, folder, "--do", "rescue")
        wait_for(lambda: hung.box.usage() > 65 * MIB, 15, "a loan in use")  # or it is back at once
        err = errors_of(guard)
        check("what a rescue has lent is not back yet: " in err, err)
    hung.process.kill()
    wait_for(lambda: hung.limits() == limits, 10, "the limits to be what they were")


# Takes memory until so much of the machine's is available yet, and then what others give back. Were
# there none at all, the kernel would end this one first.
FILLER = r"""
import sys, time
share, kept = float(sys.argv[1]), []
with open("/proc/self/oom_score_adj", "w") as file:
    file.write("1000")
with open(sys.argv[2] + "/cgroup.procs", "w") as file:
    file.write("0")
meminfo = open("/proc/meminfo", "rb", buffering=0)
def available():
    meminfo.seek(0)
    numbers = {line.split()[0]: int(line.split()[1]) for line in meminfo.read().splitlines()}
    return numbers[b"MemAvailable:"] / numbers[b"MemTotal:"]
full = False
while True:
    if available() > share:
        kept.append(b"x" * (1 << 20))
    elif not full:
        full = True
        print("full", flush=True)
    else:
        time.sleep(0.02)
"""


def needs_machine_to_fill():
    needs_v2()
    if not SMALL or meminfo()["MemTotal"] > 2 << 30:
        raise Skip("all of a machine's memory is only filled in the virtual machine")


def available():
    now = meminfo()
    return now["MemAvailable"] / now["MemTotal"]


@contextlib.contextmanager
def full_machine(share=0.05):
    """The filler has a limit of its own: should it be mistaken, it alone is ended."""
    box = group("filler", limit=meminfo()["MemAvailable"])
    filler = subprocess.Popen(["/usr/bin/python3", "-S", "-c", FILLER, str(share), box.dir],
                              stdout=subprocess.PIPE)
    try:
        equal(filler.stdout.readline(), b"full\n", "the filler")
        yield
        equal(filler.poll(), None, "the filler's end")
    finally:
        filler.kill()
        filler.wait()
        filler.stdout.close()


def audited(folder, kind):
    with open(folder + "/audit", encoding="ascii") as file:
        return [r for r in map(json.loads, file) if r["kind"] == kind]


def acts_on_a_load(guard, box, folder, actions):
    """All of the list is done to a load above the mark, and recorded; the last of them ends it."""
    load = subprocess.Popen(
        [os.path.join(harness.options.loads, "load"), "-g", box.dir, "anon", "18"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    wait_for(lambda: len(audited(folder, "end")) == len(actions), 30, f"all of {actions}")
    there = available()
    check(there < 0.055, f"{there:.3f} of the machine's memory is available at the end")
    load.stdin.close()  # were it not ended, it would end by itself now
    equal(load.wait(10 * PATIENCE), -signal.SIGKILL, "how the load ended")
    begun = {r["action"]: r["id"] for r in audited(folder, "begin")}
    equal(list(begun), actions, "what was begun")
    for end in audited(folder, "end"):
        equal(end["id"], begun[end["action"]], "the id of an end")
        check(end["outcome"] in ("done", "partly"), f"{end}")
        note(f"{there:.3f} of the memory available: {end['action']} {end['took_ms']:.1f} ms: "
             f"{end['text']}")
    equal(harness.keyed(read(box.dir + "/memory.events"))["oom_kill"], 0, "kills by the kernel")
    check(guard.stream.process.poll() is None, "the guard lives")


@test("with 95 % of the machine's memory in use, a guard acts and records, and another can begin",
      needs=(needs_v2, needs_machine_to_fill))
def machine_full():
    actions = ["notify", "throttle", "pause", "dump", "kill"]
    options = ("--at", "60%", "--do", ",".join(actions))
    with tempfile.TemporaryDirectory() as before, tempfile.TemporaryDirectory() as then:
        one, other = group("one", limit=24 * MIB), group("other", limit=24 * MIB)
        guard = Guard(one.path, before, *options)
        with full_machine():
            acts_on_a_load(guard, one, before, actions)
            begun = Guard(other.path, then, *options)
            acts_on_a_load(begun, other, then, actions)
            for one_guard in (guard, begun):
                equal(errors_of(one_guard), "", "what a guard says")


main()
