"""The seed's case in a real container, `docker run --oom-kill-disable`: unguarded it hangs, guarded
by `plimsoll guard` it runs below its cap without a hang, and nothing of it is killed or restarted.

PLIMSOLL_GUARD_SECONDS: how long it is guarded (default 20)."""
import functools
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import harness
import host
from engine import Engine
from hangs import watchdog
from harness import MIB, Skip, check, equal, main, note, read, read_int, test, wait_for
from seedload import CAP_MIB, FAST, GUARD, Guard, STEP, Watch, command

SECONDS = float(os.environ.get("PLIMSOLL_GUARD_SECONDS", "20"))
MOST, SILENT_MS = 0.93, 2000


@functools.cache
def engine():
    if harness.machine.version != "v1":
        raise Skip("v2 has no --oom-kill-disable")
    return Engine()


class Container:
    """The load in a container; it begins when told, so that a guard can be there before."""

    def __init__(self, name, seconds, step=STEP):
        self.name, self.folder = name, engine().place.mkdir("out", name)
        load = " ".join(["/loads/rt/goseed", "-log", "/out/log", *command(seconds, step)[1:]])
        engine().run(name, "--memory", f"{CAP_MIB}m", "--memory-swap", f"{CAP_MIB}m",
                     "--oom-kill-disable", "-v", f"{self.folder}:/out", "-v",
                     f"{os.path.abspath(harness.options.loads)}:/loads:ro", command=(
                         "/bin/sh", "-c",
                         f"while ! [ -e /out/go ]; do sleep 0.1; done; exec {load}"))
        self.pid = engine().pid(name)
        self.group = host.cgroup_dir(self.pid)
        equal(read_int(self.group + "/memory.limit_in_bytes"), CAP_MIB * MIB, "its limit")
        check("oom_kill_disable 1" in self.oom(), "its killer is disabled")
        self.dog = watchdog(self.group, seconds + 180)

    def oom(self):
        return read(self.group + "/memory.oom_control")

    def hangs(self):
        return "under_oom 1" in self.oom()

    def begin(self):
        with open(self.folder + "/go", "w", encoding="ascii"):
            pass
        log = self.folder + "/log"
        wait_for(lambda: os.path.exists(log) and os.path.getsize(log), 20, "its first line")
        return os.open(log, os.O_RDONLY)

    def lines(self):
        return read(self.folder + "/log").count("\n")

    def end(self):
        for pid in read(self.group + "/cgroup.procs").split():
            os.kill(int(pid), 9)
        engine().remove(self.name)
        self.dog.wait()
        self.dog.stdout.close()


@test("unguarded, the seed's container hangs: under_oom 1 and its log silent")
def unguarded():
    load = Container("seed-alone", 120, FAST)
    try:
        os.close(load.begin())
        wait_for(load.hangs, 20, "the container to hang")

        def silent():
            before = load.lines()
            time.sleep(3)
            return load.hangs() and load.lines() <= before + 1

        wait_for(silent, 15, "its log to be silent")  # at first the kernel may find a page yet
        equal(engine().inspect(load.name)["State"]["Running"], True, "what Docker says")
    finally:
        load.end()


@test("guarded, it runs below 0.93 of its cap, its log is never silent for 2 s")
def guarded():
    load = Container("seed", int(SECONDS) + 60)
    try:
        with tempfile.TemporaryDirectory(prefix="plimsoll-seed-") as folder:
            guard = Guard(load.name, folder, *GUARD)
            log = load.begin()
            watch = Watch(load.group + "/memory.usage_in_bytes", log)
            wait_for(lambda: watch.text, 10, "its log")
            end = time.monotonic() + SECONDS
            while time.monotonic() < end and not load.hangs():
                time.sleep(0.1)
            silence, hangs = watch.silence(), load.hangs()
            watch.end()
            guard.end()
            os.close(log)
        peak = max(watch.peak, read_int(load.group + "/memory.max_usage_in_bytes"))
        note(f"{SECONDS:.0f} s: peak {peak / CAP_MIB / MIB:.3f} of the cap ({watch.samples} looks), "
             f"log silent for {silence:.0f} ms at most, {len(watch.times())} lines, "
             f"{guard.actions()}")
        check(not hangs, f"it does not hang: {guard.records[-3:]}")
        check(peak <= MOST * CAP_MIB * MIB, f"peak {peak / CAP_MIB / MIB:.3f} of the cap")
        check(silence <= SILENT_MS, f"its log was silent for {silence:.0f} ms")
        state = engine().inspect(load.name)
        equal((state["State"]["Running"], state["State"]["Pid"], state["RestartCount"]),
              (True, load.pid, 0), "what Docker says")
        equal(read_int(load.group + "/memory.limit_in_bytes"), CAP_MIB * MIB, "its limit")
    finally:
        load.end()


if __name__ == "__main__":
    main()
