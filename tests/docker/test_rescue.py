"""An engine wedged by an exec into a container that hangs at its memory limit: brought back without
losing the container. The engine is a real one of our own."""
import functools
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import harness
import host
from engine import Engine
from hangs import watchdog
from harness import MIB, Skip, check, equal, main, machine, note, plimsoll, read, test
from host import wait_for

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "1"))


@functools.cache
def engine():
    return Engine()


def needs_engine():
    if machine.version != "v1":
        raise Skip("--oom-kill-disable is of cgroup v1")
    if not os.path.exists(harness.options.loads + "/rt/holder"):
        raise Skip("no holder was built")
    try:
        engine()
    except host.Missing as reason:
        raise Skip(str(reason)) from reason


class Container:
    """It hangs at 48 MiB, 16 short of what it needs."""

    def __init__(self, name):
        self.name = name
        engine().run(name, "--memory", "48m", "--memory-swap", "48m", "--oom-kill-disable", "-v",
                     f"{os.path.abspath(harness.options.loads)}/rt:/loads:ro",
                     command=("/loads/holder", "40", "16", "300"))
        self.pid = engine().pid(name)
        path = next(line.split(":", 2)[2] for line in read(f"/proc/{self.pid}/cgroup").splitlines()
                    if "memory" in line.split(":")[1].split(","))
        self.dir = machine.mount["memory"] + path
        self.dog = watchdog(self.dir, 280)

    def waits(self):
        return "under_oom 1" in read(self.dir + "/memory.oom_control")

    def stuck(self):
        """Processes of execs that wait inside."""
        names = []
        for pid in read(self.dir + "/cgroup.procs").split():
            try:
                if any("mem_cgroup_oom" in read(f"/proc/{pid}/task/{tid}/wchan")
                       for tid in os.listdir(f"/proc/{pid}/task")):
                    names.append(read(f"/proc/{pid}/comm").strip())
            except OSError:
                pass
        return [name for name in names if name.startswith("runc:[")]

    def end(self):
        engine().remove(self.name)
        self.dog.wait(60)
        self.dog.stdout.close()


def wedge(box):
    """An exec that cannot begin; the client that waits for it. One that is refused memory where
    the kernel does not wait for it fails instead: then another is tried."""
    for _ in range(10):
        client = subprocess.Popen(engine().client("exec", box.name, "/bin/sleep", "1"),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        wait_for(lambda: box.stuck() or client.poll() is not None, 60)  # noqa: B023
        time.sleep(0.5)
        if box.stuck() and client.poll() is None:
            return client
        client.wait(60)
    raise AssertionError("no exec gets stuck")


def is_wedged(box):
    try:
        engine().docker("stop", "-t", "1", box.name, timeout=5)
    except subprocess.TimeoutExpired:
        return True
    return False


@test("an exec into a container that hangs wedges the engine; rescued, both go on, nothing lost",
      needs=(needs_engine,))
def wedged():
    times = []
    for i in range(TRIES):
        box = Container(f"hung{i}")
        check(wait_for(box.waits, 60), "it hangs")
        client = wedge(box)
        with tempfile.TemporaryDirectory() as folder:
            done = plimsoll("rescue", "--json", "--no-dump", "--watch", "1", "--audit",
                            folder + "/audit", box.name, code=None, timeout=60)
            audit = [json.loads(line) for line in open(folder + "/audit", encoding="utf-8")]
        found = done.objects[0]
        equal(done.code, 0, f"exit code: {found}")
        equal(found["stuck_execs"], 1, "stuck execs ended")
        check(found["running"] and found["restored"], f"{found}")
        check(any(a["action"] == "kill" and a["kind"] == "end" for a in audit), f"{audit}")
        equal(box.stuck(), [], "what is stuck")
        client.wait(60)
        equal(engine().pid(box.name), box.pid, "the container's process")
        equal(harness.read_int(box.dir + "/memory.limit_in_bytes"), 48 * MIB, "its limit")
        equal(engine().exec(box.name, "/bin/echo", "well", timeout=60).stdout.strip(), "well",
              "an exec afterwards")
        start = time.monotonic()
        engine().docker("stop", "-t", "1", box.name, timeout=60)
        times.append(time.monotonic() - start)
        box.end()
    note(f"{TRIES} of {TRIES}; docker stop took {max(times):.1f} s at most")


@test("wedged, docker stop does not return; a container that cannot be rescued can be stopped "
      "again after its stuck exec is ended", needs=(needs_engine,))
def stop_answers():
    box = Container("stuck")
    check(wait_for(box.waits, 60), "it hangs")
    client = wedge(box)
    check(is_wedged(box), "docker stop does not return")
    with tempfile.TemporaryDirectory() as folder:
        done = plimsoll("rescue", "--json", "--no-dump", "--lend", "2M", "--watch", "1", "--audit",
                        folder + "/audit", box.name, code=None, timeout=60)
    # the stop that waited may end it before the rescue has given up
    gone = done.code == 1 and "removed meanwhile" in done.out
    check(done.code == 3 or gone, f"exit code {done.code}: {done.out}")
    check(json.loads(done.out)["stuck_execs"] >= 1, f"the exec was ended: {done.out}")
    client.wait(60)
    start = time.monotonic()
    engine().docker("rm", "-f", box.name, timeout=60)
    note(f"docker rm -f took {time.monotonic() - start:.1f} s")
    box.dog.wait(60)
    box.dog.stdout.close()


main()
