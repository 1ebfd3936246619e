"""enter, into real Docker containers that hang at their limit, where the engine's own exec hangs too."""
import functools
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import harness
import host
from engine import Engine
from hangs import watchdog
from harness import MIB, PATIENCE, Skip, check, equal, main, note, plimsoll, read, test, wait_for

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "3"))
FULL = "exec awk 'BEGIN { x = \"xxxxxxxxxxxxxxxx\"; while (1) x = x x }'"


@functools.cache
def engine():
    if harness.machine.version != "v1":
        raise Skip("v2 has no --oom-kill-disable")
    try:
        return Engine()
    except host.Missing as reason:
        raise Skip(str(reason)) from None


class Hung:
    """A container that waits at its limit."""

    def __init__(self, name):
        self.name = name
        engine().run(name, "--memory", "24m", "--memory-swap", "24m", "--oom-kill-disable",
                     command=("/bin/sh", "-c", "sleep 0.5; " + FULL))
        self.pid = engine().pid(name)
        self.group = host.cgroup_dir(self.pid)
        self.ident = engine().inspect(name)["Id"][:12]
        # Beside another engine ours has its containers where no engine has them by default.
        self.target = self.ident if engine().default_parent_is_ours else \
            self.group.removeprefix(harness.machine.mount["memory"])
        self.dog = watchdog(self.group, 280 * PATIENCE)
        wait_for(self.hangs, 20, "the container to hang")

    def hangs(self):
        return "under_oom 1" in read(self.group + "/memory.oom_control")

    def pids(self):
        return [int(pid) for pid in read(self.group + "/cgroup.procs").split()]

    def end(self):
        for pid in self.pids():
            os.kill(pid, 9)
        engine().remove(self.name)
        self.dog.wait()
        self.dog.stdout.close()


def applet(target, *command, **how):
    return plimsoll("enter", target, "--", "/bin/busybox", *command, timeout=60, **how)


@test("enter works in a container that hangs, by its id, and reads what hangs")
def enters_a_hung_container():
    hung, took, states = Hung("enter-hung"), [], []
    try:
        for _ in range(TRIES):
            start = time.monotonic()
            done = applet(hung.target, "sh", "-c", "hostname; cat /proc/1/status; seq 1 2000 | wc -l; id -u")
            took.append((time.monotonic() - start) * 1000)
            equal(done.lines[0], hung.ident, "its host name")
            states.append(next(line for line in done.lines if line.startswith("State:")))
            equal(done.lines[-2:], ["2000", "0"], "processes started inside, as its root")
            wait_for(hung.hangs, 5, "it to hang as before")
            equal(hung.pids(), [hung.pid], "nothing of ours is in its group")
        check("State:\tD (disk sleep)" in states, f"it waits: {states}")  # but for a page now and then
        note("ms: " + " ".join(f"{t:.0f}" for t in sorted(took)))
        equal(plimsoll("enter", hung.pid, "--", "hostname").out.strip(), hung.ident, "by its pid")
    finally:
        hung.end()


@test("the engine's own exec hangs there, and enter still works beside it")
def where_exec_hangs():
    hung = Hung("enter-wedged")
    try:
        for _ in range(10):  # one that is refused memory where nobody waits for it fails instead
            execs = subprocess.Popen(engine().client("exec", hung.name, "true"),
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            wait_for(lambda: len(hung.pids()) > 1 or execs.poll() is not None, 10,  # noqa: B023
                     "the exec to reach the container's group")
            time.sleep(1)
            if execs.poll() is None:
                break
        check(execs.poll() is None, "the exec does not return")
        equal(applet(hung.target, "cat", "/proc/1/comm").out.strip(),
              "awk", "the main process, not the engine's stuck helper")
    finally:
        for pid in hung.pids():  # the helper first: it wedges the engine
            if pid != hung.pid:
                check(re.match("runc:", read(f"/proc/{pid}/comm")), "only the engine's helper")
                os.kill(pid, 9)
        execs.wait(20 * PATIENCE)
        hung.end()


@test("root inside has the container's capabilities, none of its devices, and not its group")
def rights():
    engine().run("enter-rights")
    pid = engine().pid("enter-rights")
    engine().exec("enter-rights", "/bin/busybox", "mknod", "/tmp/null", "c", "1", "3")
    try:
        status = applet(pid, "cat", "/proc/self/status").out
        bound = re.search(r"^CapBnd:\s*(\w+)", read(f"/proc/{pid}/status"), re.M).group(1)
        equal(re.search(r"^CapEff:\s*(\w+)", status, re.M).group(1), bound, "capabilities")
        check("denied" in applet(pid, "cat", "/tmp/null", code=1).err, "a device of its own")
        applet(pid, "sh", "-c", "cat /dev/null > /dev/null && cat /dev/zero | head -c1 >/dev/null")
        equal(applet(pid, "sh", "-c", "cat /proc/self/cgroup").raw.count(b"docker/"), 0,
              "no group of the engine")
    finally:
        engine().remove("enter-rights")


main()
