"""v2: memory.high as the mark of a guard. It wakes the guard, is moved on, and is as it was after."""
import os
import signal
import tempfile
import time

import harness
from guarding import Grower, records, wait_record
from harness import (MIB, check, equal, group, machine, main, needs_cgroups, needs_v2, plimsoll,
                     read, read_int, test, wait_for, write)
from seedload import Guard

LIMIT = 96 * MIB


def room(high=None):
    box = group("high", limit=LIMIT)
    if high is not None:
        write(box.dir + "/memory.high", high)
    return box


def high_of(box):
    return read_int(box.dir + "/memory.high")


def laid(box, mark, seconds=10):
    """Waits until memory.high lies at the mark, or a little above; gives it."""
    wait_for(lambda: high_of(box) is not None and mark <= high_of(box) <= mark + 3 * MIB, seconds,
             lambda: f"memory.high at {mark >> 20} MiB; it is {high_of(box)}")
    return high_of(box)


def high_events(box):
    return harness.keyed(read(box.dir + "/memory.events"))["high"]


@test("memory.high lies at the mark, moves to the next, and is max again after the last and the end",
      needs=(needs_v2,))
def moves():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        guard = Guard(box.path, folder, "--at", "50%,70%", "--do", "notify,notify")
        laid(box, LIMIT // 2)
        first = Grower(box, 50, pause=0.002)
        wait_record(guard, "begin", "notify", 20)
        laid(box, LIMIT * 7 // 10)
        check(high_events(box) > 0, "the kernel has told of it")
        second = Grower(box, 18, pause=0.002)
        guard.stream.read_for(20, lambda text: len(records(guard, "begin")) == 2)
        equal(len(records(guard, "begin")), 2, "notified at both marks")
        wait_for(lambda: high_of(box) is None, 10, "no mark above the last")
        check(first.state() in "SR" and second.state() in "SR", "both run")
        second.end()
        first.end()
        laid(box, LIMIT // 2)
        guard.stream.end()
        equal(high_of(box), None, "memory.high after the guard")
        text = records(guard, "guard")[0]["text"]
        check("memory.high" in text, f"the guard's record says so: {text}")


@test("what memory.high was comes back, also when the guard is killed; a bound below is left alone",
      needs=(needs_v2,))
def comes_back():
    with tempfile.TemporaryDirectory() as folder:
        for how in (signal.SIGTERM, signal.SIGKILL):
            box = room(90 * MIB)
            guard = Guard(box.path, folder, "--at", "60%", "--do", "notify")
            laid(box, LIMIT * 6 // 10)
            guard.stream.process.send_signal(how)
            wait_for(lambda: high_of(box) == 90 * MIB, 10, f"it to be as it was after {how.name}")
            guard.stream.end()
        box = room(40 * MIB)
        guard = Guard(box.path, folder, "--at", "60%", "--do", "notify")
        time.sleep(1.5)
        equal(high_of(box), 40 * MIB, "a bound below the mark")
        write(box.dir + "/memory.high", "max")
        load = Grower(box, 20)
        laid(box, LIMIT * 6 // 10)
        write(box.dir + "/memory.high", 80 * MIB)
        guard.stream.end()
        equal(high_of(box), 80 * MIB, "what somebody has written meanwhile")
        load.end()


@test("a guard that does not turn round any more holds nobody up", needs=(needs_v2,))
def stopped():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        guard = Guard(box.path, folder, "--at", "50%,90%", "--do", "notify,notify")
        laid(box, LIMIT // 2)
        guard.stream.process.send_signal(signal.SIGSTOP)
        try:
            load = Grower(box, 60)
            wait_for(lambda: high_of(box) is None, 10, "memory.high to be as it was")
            wait_for(lambda: box.usage() > 60 * MIB, 10, "the load to be there")
        finally:
            guard.stream.process.send_signal(signal.SIGCONT)
        wait_record(guard, "end", "notify", 10)
        laid(box, LIMIT * 9 // 10)
        guard.stream.end()
        equal(high_of(box), None, "memory.high after the guard")
        load.end()


@test("what a guard and its warden, killed together, have left is found and taken away",
      needs=(needs_v2,))
def left():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        own = group("own", limit=None)
        guard = Guard(box.path, folder, "--at", "50%", "--do", "notify", preexec_fn=lambda: write(
            own.dir + "/cgroup.procs", "0"))
        high = laid(box, LIMIT // 2)
        write(own.dir + "/cgroup.kill", "1")
        guard.stream.process.wait()
        wait_for(lambda: not own.pids(), 10, "all of it to be gone")
        equal(high_of(box), high, "memory.high, which nobody could write back")
        guard = Guard(box.path, folder, "--at", "60%", "--do", "notify")
        laid(box, LIMIT * 6 // 10)
        guard.stream.end()
        equal(high_of(box), None, "memory.high after the next guard")
        check("guard that was killed" in guard.stream.errors(), guard.stream.errors())
        own.remove()


@test("two guards of one group, of which one slows it down, leave nothing", needs=(needs_v2,))
def two():
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        box = room(90 * MIB)
        one = Guard(box.path, first, "--at", "80%", "--do", "notify")
        laid(box, LIMIT * 8 // 10)
        other = Guard(box.path, second, "--at", "50%", "--do", "throttle")
        load = Grower(box, 50)
        wait_record(other, "end", "throttle", 20)
        load.end()
        other.stream.end()
        one.stream.end()
        equal(high_of(box), 90 * MIB, "memory.high")


@test("page cache passes it without an action, and is not kept below the mark", needs=(needs_v2,))
def cache():
    with tempfile.TemporaryDirectory() as folder, \
            tempfile.TemporaryDirectory(dir=harness.scratch_dir()) as disk:
        box = room()
        guard = Guard(box.path, folder, "--at", "50%", "--do", "kill")
        laid(box, LIMIT // 2)
        path = os.path.join(disk, "file")
        load = Grower(box, 0, path, program=READER)
        wait_for(lambda: box.usage() > 75 * MIB, 60,
                 lambda: f"cache of 75 MiB; {box.usage() >> 20} of it")
        check(load.process.poll() is None, "the reader lives")
        equal(records(guard, "begin"), [], "actions")
        guard.stream.end()
        load.end()
        equal(high_of(box), None, "memory.high after the guard")


READER = r"""
import os, sys, time
fd = os.open(sys.argv[3], os.O_RDWR | os.O_CREAT)
block = bytes(1 << 20)
for i in range(120):
    os.write(fd, block)
    if i % 8 == 7:
        os.fdatasync(fd)
while True:
    os.lseek(fd, 0, 0)
    while os.read(fd, 1 << 20):
        pass
    time.sleep(0.05)
"""


@test("it is left alone where that is asked for, in a dry run, and where there is none",
      needs=(needs_cgroups,))
def asked():
    for word in ("--leave-high", "--dry-run", *(() if machine.version == "v2" else ("-i",))):
        with tempfile.TemporaryDirectory() as folder:
            box = room()
            guard = Guard(box.path, folder, "--at", "50%", "--do", "notify", word)
            load = Grower(box, 56)
            wait_record(guard, "end", "notify", 20)
            if machine.version == "v2":
                equal((high_of(box), high_events(box)), (None, 0), f"memory.high with {word}")
            guard.stream.end()
            text = records(guard, "guard")[0]["text"]
            check("memory.high" not in text, f"the guard's record with {word}: {text}")
            load.end()


@test("a group near its guard's mark is not called throttled", needs=(needs_v2,))
def state():
    with tempfile.TemporaryDirectory() as folder:
        box = room()
        guard = Guard(box.path, folder, "--at", "60%", "--do", "notify")
        load = Grower(box, 50)
        wait_for(lambda: box.usage() > 50 * MIB, 20, "the load to stand")
        high = laid(box, LIMIT * 6 // 10)
        time.sleep(1)
        for wire, word in ((True, False), (False, True)):
            if not wire:
                guard.stream.end()
                write(box.dir + "/memory.high", high + 4096)
            said = plimsoll("stats", "--json", "--no-stream", box.path).objects[-1]
            check((said["state"] == "throttled") == word, f"{said['state']}, with a guard: {wire}")
        load.end()


if __name__ == "__main__":
    main()
