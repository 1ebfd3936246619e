"""Which groups hang at their memory limit, and which only use all of it: what `rescue --dry-run`
says of real ones, and that it does nothing."""
import tempfile
import time

import hangs
import harness
from harness import (MIB, check, equal, main, needs_cgroups, needs_v1, note, plimsoll, test,
                     wait_for)
from hangs import TRIES, Hanger, drop_cache, file_of, filler, holder, livelocked


def verdict(hung, *more):
    """(what it says, how long it took to say so)"""
    start = time.monotonic()
    found = plimsoll("rescue", "--dry-run", "--json", *more, hung.box.path, code=None).objects[0]
    return found, time.monotonic() - start


@test("a C program that waits at its limit hangs, and is said to within 2 s; a dry run leaves it",
      needs=(needs_cgroups,))
def c_waits():
    slowest = 0
    for _ in range(TRIES):
        hung = holder(40, "+40", 64 * MIB).wait()
        limits = hung.limits()
        found, took = verdict(hung)
        slowest = max(slowest, took)
        equal(found["hang"], hangs.hang_word(), "the hang")
        equal(found["outcome"], "dry-run", "the outcome")
        equal(found["limit"], 64 * MIB, "its limit")
        equal(hung.limits(), limits, "the limits after a dry run")
        wait_for(hung.stays, 5, "it to wait as before")
        hung.end()
    note(f"said at the latest {slowest:.2f} s after the question")


@test("a Go program that fills its group hangs", needs=(needs_cgroups,))
def go_waits():
    for _ in range(TRIES):
        hung = filler(128 * MIB).wait()
        found, _ = verdict(hung)
        check(found["hang"] in (hangs.hang_word(), "refault-livelock"), f"the hang: {found}")
        if found["hang"] != "refault-livelock":
            wait_for(lambda: hung.works(0.5) <= 1, 5, "it to fill nothing")
        hung.end()


@test("a group above at its limit: what waits below it hangs, and the limit told is that one",
      needs=(needs_v1,))
def above_waits():
    hung = holder(40, "+40", None, parent_limit=64 * MIB).wait()
    found, _ = verdict(hung)
    equal(found["hang"], "oom-wait", "the hang")
    equal(found["limit"], 64 * MIB, "the limit")


@test("a Go program without room for what it reads of its files livelocks, which is told as such",
      needs=(needs_cgroups,))
def go_refaults():
    seen = []
    for turn in range(TRIES + 4):  # when it is asked it may wait for memory in between
        if turn >= TRIES and "refault-livelock" in seen:
            break
        folder, text = file_of(16, "text")
        hung = livelocked(text)
        for _ in range(3):  # on a busy machine it may have had no turn to read in while it was watched
            found, _ = verdict(hung)
            if found["hang"]:
                break
        seen.append(found["hang"])
        check(found["hang"] in ("refault-livelock", hangs.hang_word()), f"the hang: {found}")
        hung.end()
        folder.cleanup()
    note(f"seen: {', '.join(map(str, seen))}")
    check("refault-livelock" in seen, f"no livelock: {seen}")


@test("a large file read in a loop, alone or beside little else, is no hang", needs=(needs_cgroups,))
def streaming():
    folder, path = file_of(160, "large")
    script = ("import os,sys\nhold=bytearray(int(sys.argv[2])<<20)\n"
              "for i in range(0,len(hold),4096): hold[i]=1\n"
              "fd=os.open(sys.argv[1],os.O_RDONLY)\n"
              "print('ready',flush=True)\n"
              "while True:\n"
              "    os.lseek(fd,0,0)\n"
              "    while os.read(fd,1<<18): pass\n")
    for held in (0, 24, 44):
        drop_cache(path)
        reader = Hanger(["/usr/bin/python3", "-S", "-c", script, path, str(held)], 64 * MIB)
        wait_for(lambda: reader.lines() and reader.box.usage() > 62 * MIB, 20, "a full cache")
        time.sleep(0.5)
        found, _ = verdict(reader)
        equal(found["hang"], None, f"a file read in a loop beside {held} MiB")
        equal(found["outcome"], "done", "the outcome")
        reader.end()
    folder.cleanup()


@test("a program that is killed and started again at its limit is no hang", needs=(needs_v1,))
def killed():
    script = ("import os,time\n"
              "while True:\n"
              "    pid=os.fork()\n"
              "    if pid==0:\n"
              "        b=[]\n"
              "        while True: b.append(b'x'*(1<<20))\n"
              "    os.waitpid(pid,0)\n")
    loop = Hanger(["/usr/bin/python3", "-S", "-c", script], 48 * MIB, disable=False)
    wait_for(lambda: "oom_kill 0" not in harness.read(loop.box.dir + "/memory.oom_control"), 20,
             "the first kill")
    for _ in range(3):
        found, _ = verdict(loop)
        equal(found["hang"], None, "a group whose programs are killed")


@test("what does not hang is left alone, and that is a success", needs=(needs_cgroups,))
def healthy():
    fine = holder(20, "4", 64 * MIB)
    wait_for(lambda: len(fine.lines()) > 2, 10, "ticks")
    limits = fine.limits()
    with tempfile.TemporaryDirectory() as folder:
        done = plimsoll("rescue", "--audit", folder + "/audit", "--no-dump", fine.box.path)
        check("does not hang" in done.out, done.out)
        equal(open(folder + "/audit", encoding="ascii").read(), "", "records of nothing done")
    equal(fine.limits(), limits, "the limits")
    fine.goes_on()


main(at_once=3)  # they mostly wait
