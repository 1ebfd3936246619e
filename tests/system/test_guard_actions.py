"""What `plimsoll guard` does to a group that nears its limit: it is slowed down, stopped, relieved of
its cache, told of; and let go again, also when the guard is killed in the middle."""
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time

import harness
from harness import (MIB, check, equal, group, machine, main, mounts, needs_cgroups, note, read,
                     read_int, remove_tree, test, wait_for, write)
from seedload import Guard

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "3"))
LIMIT = 160 * MIB

# Grows from a word on, MiB by MiB, to so many; then it stays. With cache: it reads a file before.
GROW = r"""
import os, signal, sys, time
most, pause = int(sys.argv[1]), float(sys.argv[2])
signal.alarm(180)
if sys.argv[3:]:
    with open(sys.argv[3], "wb") as file:
        for _ in range(40):
            file.write(bytes(1 << 20))
        os.fsync(file.fileno())
print("ready", flush=True)
sys.stdin.readline()
kept = []
while len(kept) < most:
    kept.append(b"x" * (1 << 20))
    if pause:
        time.sleep(pause)
print("full", flush=True)
time.sleep(180)
"""


def mount_of(controller):
    """v1: where a hierarchy is mounted."""
    return next((os.fsdecode(point) for point, kind, flags in mounts()
                 if kind == b"cgroup" and controller.encode() in flags), None)


class Grower:
    """A program in a group of its own, in all trees that a brake may use."""

    def __init__(self, most, pause, *more, unified=True):
        self.group = group("grow", limit=LIMIT, controllers=("unified",) if unified else ())
        memsw = self.group.dir + "/memory.memsw.limit_in_bytes"
        if os.path.exists(memsw):
            write(memsw, str(LIMIT))
        self.cpu = self.group.dir
        if machine.version == "v1" and mount_of("cpu"):
            self.cpu = mount_of("cpu") + self.group.path
            os.makedirs(self.cpu, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", GROW, str(most), str(pause), *more], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=self.join)
        harness._loads.append(self)
        equal(self.process.stdout.readline(), b"ready\n", "what it says")

    def join(self):
        for directory in {*self.group.dirs.values(), self.cpu}:
            write(directory + "/cgroup.procs", "0")

    def go(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def quota(self):
        name = "/cpu.cfs_quota_us" if machine.version == "v1" else "/cpu.max"
        return read(self.cpu + name).split()[0]

    def peak(self):
        return read_int(self.group.file("memory.max_usage_in_bytes", "memory.peak"))

    def grows(self, seconds):
        before = self.group.usage()
        end = time.monotonic() + seconds * harness.PATIENCE
        while time.monotonic() < end:
            time.sleep(0.05)
            if self.group.usage() > before + MIB:
                return True
        return False

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.group.remove()
        if self.cpu != self.group.dir:
            remove_tree(self.cpu)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(self.cpu))


@contextlib.contextmanager
def guarding(target, *options, where=None):
    with tempfile.TemporaryDirectory(prefix="plimsoll-guard-", dir=where) as folder:
        guard = Guard(target, folder, *options)
        yield guard
        if guard.stream.process.poll() is None:
            guard.end()


def ended(guard, action):
    """The record of the action's end, once it is there."""
    def find():
        lines = bytes(guard.stream.buffer).decode().split("\n")[:-1]
        return next((r for r in map(json.loads, lines)
                     if r["kind"] == "end" and r["action"] == action), None)

    guard.stream.read_for(30 * harness.PATIENCE, lambda _: find())
    found = find()
    check(found, f"{action} is done: {guard.stream.buffer[-600:]!r} {guard.stream.errors()}")
    return found


@test("throttle slows a group down before its limit, and what it wrote is taken back",
      needs=(needs_cgroups,))
def throttle():
    load = Grower(400, 0)
    before = load.quota()
    with guarding(load.group.path, "--at", "80%", "--do", "throttle") as guard:
        load.go()
        record = ended(guard, "throttle")
        equal(record["outcome"], "done", f"the outcome of {record['text']!r}")
        check(load.quota() != before, "a quota is set")
        time.sleep(1)
        share = load.group.usage() / LIMIT
        note(f"{record['text']}; a second later {share:.3f} of the limit")
        check(load.process.poll() is None and share < 1, f"it is alive, {share:.3f} of the limit")
    equal(load.quota(), before, "the quota once the guard has ended")
    if machine.version == "v2":
        equal(read(load.group.dir + "/memory.high").strip(), "max", "memory.high")


@test("pause stops a group, by the unified tree or by signals, and it goes on when the guard ends",
      needs=(needs_cgroups,))
def pause():
    for unified in (True, False):
        load = Grower(120, 0.02, unified=unified)
        with guarding(load.group.path, "--at", "40%", "--do", "pause") as guard:
            load.go()
            record = ended(guard, "pause")
            equal(record["outcome"], "done", f"the outcome of {record['text']!r}")
            wait_for(lambda: not load.grows(0.5), 3, "it to stand")  # what was on its way
        check(load.grows(15), "it goes on")
        load.end()
        harness._loads.remove(load)


@test("a guard that is killed leaves nobody stopped", needs=(needs_cgroups,))
def killed():
    for unified in (True, False):
        load = Grower(130, 0.02, unified=unified)
        with guarding(load.group.path, "--at", "40%", "--do", "pause") as guard:
            load.go()
            ended(guard, "pause")
            wait_for(lambda: not load.grows(0.3), 3, "it to stand")
            guard.stream.process.send_signal(signal.SIGKILL)
            guard.stream.process.wait()
            start = time.monotonic()
            check(load.grows(15), "it goes on")
            note(f"it went on {(time.monotonic() - start) * 1000:.0f} ms after the guard's end")
        load.end()
        harness._loads.remove(load)


@test("an allocator at full speed is stopped at 95 %, before its limit", needs=(needs_cgroups,))
def in_time():
    peaks = []
    # The record is written before the action: not to a disk that others keep busy.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    for _ in range(TRIES):
        load = Grower(400, 0)
        with guarding(load.group.path, "--at", "95%", "--do", "pause", where=memory) as guard:
            load.go()
            equal(ended(guard, "pause")["outcome"], "done", "the outcome")
            time.sleep(0.05)
            peaks.append(load.peak() / LIMIT)
            check(load.process.poll() is None, "it is alive")
        load.end()
        harness._loads.remove(load)
    note(f"{TRIES} times: peaks of {min(peaks):.4f} to {max(peaks):.4f} of the limit")
    if machine.version == "v1":  # v2 has no thresholds: a goal for v1, told for v2
        check(max(peaks) < 1, f"the limit was reached: {peaks}")


@test("reclaim takes page cache, and says what stays", needs=(needs_cgroups,))
def reclaim():
    with tempfile.NamedTemporaryFile(dir=harness.scratch_dir()) as file:
        load = Grower(90, 0.005, file.name)
        with guarding(load.group.path, "--at", "50%", "--do", "reclaim") as guard:
            load.go()
            record = ended(guard, "reclaim")
            equal(record["outcome"], "done", f"the outcome of {record['text']!r}")
            check("reclaimed" in record["text"] and "anonymous" in record["text"],
                  f"what it says: {record['text']}")
            note(record["text"])
        stat_now = load.group.stat()
        cache = stat_now.get("total_cache", stat_now.get("file"))
        check(cache < 20 * MIB, f"{cache / MIB:.1f} MiB of cache are left of 40")


@test("notify runs a hook with the facts, and only one that is nobody else's",
      needs=(needs_cgroups,))
def notify():
    with tempfile.TemporaryDirectory(prefix="plimsoll-hook-", dir="/run") as folder:
        hook = folder + "/hook"
        with open(hook, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nenv > {folder}/env\ncat > {folder}/json.part\n"
                       f"mv {folder}/json.part {folder}/json\necho \"$1\"\n")
        os.chmod(hook, 0o755)
        load = Grower(80, 0.002)
        with guarding(load.group.path, "--at", "40%", "--do", "notify", "--hook", hook, "--hook",
                      "a word; $(no) shell") as guard:
            load.go()
            record = ended(guard, "notify")
            equal(record["outcome"], "done", f"the outcome of {record['text']!r}")
            wait_for(lambda: os.path.exists(folder + "/json"), 5, "the hook's input")
            check("a word; $(no) shell" in guard.stream.errors(), "the hook's output")
        told = json.loads(read(folder + "/json"))
        equal((told["action"], told["id"]), ("notify", record["id"]), "the record that it got")
        env = dict(line.split("=", 1) for line in read(folder + "/env").splitlines())
        equal((env["PLIMSOLL_TARGET"], env["PLIMSOLL_MARK"], env["PLIMSOLL_LIMIT"]),
              (load.group.path, "1", str(LIMIT)), "its environment")
        check(int(env["PLIMSOLL_USED"]) >= 0.4 * LIMIT, env["PLIMSOLL_USED"])
        os.chmod(folder, stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
        refused = harness.plimsoll("guard", "--at", "40%", "--do", "notify", "--hook", hook,
                                   "--audit", folder + "/audit", load.group.path, code=None)
        check(refused.code != 0 and "can be written to by others" in refused.err,
              f"{refused.code}: {refused.err}")


@test("a hook is run while something else takes its time", needs=(needs_cgroups,))
def beside():
    path = f"{harness.options.loads}/rt/goheap-lies"
    if not os.access(path, os.X_OK):
        raise harness.Skip("no goheap-lies: Go was not there to build it")
    box = group("slowgc", limit=LIMIT)
    with guarding(box.path, "--at", "25%,60%", "--do", "gc,notify", "--hook", "/bin/true") as guard:
        load = subprocess.Popen([path, "-keep", "2", "-garbage", "0", "-idle"],
                                env={**os.environ, "LIE": "silent", "TO": "1", "GOGC": "off"},
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            load.stdout.readline()
            box.add(load.pid)
            for kind, mib in (("gc", LIMIT // MIB * 30 // 100), ("notify", LIMIT // MIB * 45 // 100)):
                load.stdin.write(f"make {mib}\n")
                load.stdin.flush()
                load.stdout.readline()
                guard.stream.read_for(10 * harness.PATIENCE, lambda text: any(
                    r["kind"] == "begin" and r["action"] == kind for r in guard.stream.objects()))
            record = ended(guard, "notify")
            equal(record["outcome"], "done", f"how it went beside: {record['text']}")
            done = [r["action"] for r in guard.stream.objects() if r["kind"] == "end"]
            note(f"in this order: {done}")
        finally:
            load.kill()
            load.wait()


if __name__ == "__main__":
    main()
