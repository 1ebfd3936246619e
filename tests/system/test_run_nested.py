#!/usr/bin/env python3
"""`plimsoll run` inside of a limit: in another run, or in a shell whose group is limited."""
import os
import signal
import subprocess
import time

from harness import MIB, PATIENCE, check, equal, machine, main, needs_v1, needs_v2, test
from runs import (Run, demo, groups_in, is_alive, members, memory_path, needs_runs, new_name,
                  nothing_left, place, run, run_dir)
import harness


def inner(*args, name="inner"):
    """A run as the program of another one, without --cgroup-parent."""
    return [harness.options.binary, "run", "--name", name, *args]


def wait_gone(pid, seconds=5):
    end = time.monotonic() + seconds * PATIENCE
    while is_alive(pid):
        check(time.monotonic() < end, f"{pid} lives on")
        time.sleep(0.01)


@test("a run in a run is made inside of it, with a limit or without, and is gone when it ends",
      [needs_runs])
def _():
    box = place()
    for limit in (["-m", "60M"], []):
        done = run(box, "-q", *limit, "--", *inner("-q", "-m", "30M", "--", "/bin/cat", "/proc/self/cgroup"),
                   code=0)
        paths = [line.split(":", 2)[2] for line in done.out.splitlines()
                 if "/plimsoll-run-inner/" in line]
        equal(len(paths), 2 if "unified" in box.dirs and machine.version == "v1" else 1,
              f"trees it is in: {done.out!r}")
        for path in paths:
            check(path.startswith(f"{box.path}/plimsoll-run-{done.name}/"), f"path with {limit}: {path}")
        equal(done.err, "", "messages")
        nothing_left(box)


@test("the outer limit holds for a run in a run, and both tell whose limit it was", [needs_runs])
def _():
    box = place()
    climb = ["--restart", "never", "--", *demo("-s", "0", "climb", 100)]
    done = run(box, "-m", "60M", "--restart", "never", "--", *inner("-m", "20M", *climb), code=137)
    check("its own limit of 20.0M" in done.err and "a group inside it" in done.err, done.err)
    equal((done.exit["cause"], done.exit["whose"]), ("oom-child", "inside"), "by the inner limit")
    done = run(box, "-m", "20M", "--restart", "never", "--", *inner("-m", "60M", *climb), code=137)
    check("its own limit of 20.0M" in done.err, done.err)
    # The inner supervisor is in the outer group, where the kernel may take it as well.
    check("(20.0M), a group around it" in done.err or done.exit["cause"] == "oom", done.err)
    equal(done.exit["whose"], "own", "by the outer limit")
    nothing_left(box)


@test("the end of a run ends the run in it, whatever that one ignores, and all its groups go",
      [needs_runs])
def _():
    box = place()
    stubborn = ["/bin/sh", "-c", 'trap "" TERM; echo pid $$; sleep 1000; sleep 1000']
    one = Run(box, "-m", "60M", "--grace", "300ms", "--", *inner("-m", "30M", "--", *stubborn))
    pid = one.wait_out("pid")[0]
    check(memory_path(pid).startswith(f"{box.path}/plimsoll-run-{one.name}/"), memory_path(pid))
    one.signal(signal.SIGTERM)
    one.finish(code=137)
    wait_gone(pid)
    nothing_left(box, "an end by TERM")
    # In the background of a program that ends by itself.
    line = " ".join(f"'{word}'" for word in inner("-q", "-m", "30M", "--", *stubborn))
    one = Run(box, "-m", "60M", "--grace", "300ms", "--", "/bin/sh", "-c", f"{line} & sleep 2")
    pid = one.wait_out("pid")[0]
    one.finish(code=0)
    wait_gone(pid)
    nothing_left(box, "the program's own end")


@test("a run whose program leaves a run behind starts anew with nothing of it", [needs_runs])
def _():
    box = place()
    line = " ".join(inner("-q", "-m", "20M", "--", *demo("sleep")))
    one = Run(box, "-m", "60M", "--grace", "200ms", "--restart", "failure", "--max-restarts", "2",
              "--backoff", "400ms", "--", "/bin/sh", "-c", f"{line} & sleep 0.3; kill -9 $!; exit 1")
    for count in (1, 2):
        one.wait_event("exit", count)
        one.wait_event("start", count + 1)
        names = sorted(os.listdir(run_dir(box, one.name)))
        equal([n for n in names if os.path.isdir(f"{run_dir(box, one.name)}/{n}")], ["w"],
              f"groups at start {count + 1}")
    one.finish(code=137)
    nothing_left(box)


@test("a killed supervisor's run, with a run in it, is ended and replaced by the next of its name",
      [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "60M", "--", *inner("-m", "30M", "--", *demo("sleep")))
    one.wait_event("start")
    end = time.monotonic() + 30 * PATIENCE
    while not (found := [p for p in members(run_dir(box, one.name)) if "plimsoll-run-inner"
                         in memory_path(p)]):
        check(time.monotonic() < end, "no inner program")
        time.sleep(0.01)
    one.signal(signal.SIGKILL)
    one.finish(code=-signal.SIGKILL)
    done = run(box, "-m", "30M", "--", "/bin/true", name=one.name, code=0)
    check("replaced" in done.err, done.err)
    for pid in found:
        wait_gone(pid)
    nothing_left(box)


# --- in a limited shell --------------------------------------------------------------------------

def in_group(box, line):
    """A shell in the group, which stays in it beside what it runs."""
    return subprocess.run(["/bin/sh", "-c", line + "; exit $?"], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=30 * PATIENCE,
                          preexec_fn=lambda: harness.write(box.dir + "/cgroup.procs", "0"))


@test("root in a limited group: the run is made there, also where the unified tree has no such group",
      [needs_runs, needs_v1])
def _():
    for trees in (("unified",), ()):
        box = harness.group("shell", limit=100 * MIB, controllers=trees)
        unified = machine.mount.get("unified", "/none") + box.path
        done = in_group(box, f"{harness.options.binary} run -m 30M --name {new_name()} -- "
                             f"/bin/cat /proc/self/cgroup")
        equal(done.returncode, 0, f"exit code ({done.stderr!r})")
        paths = [line.split(":", 2)[2] for line in done.stdout.splitlines()
                 if line.split(":")[1] == "memory" or (line[:3] == "0::" and "unified" in machine.mount)]
        for path in paths:
            check(path.startswith(box.path + "/plimsoll-run-"), f"path: {done.stdout!r}")
        equal(groups_in(box), [], "groups after the run")
        equal(os.path.isdir(unified), bool(trees) and "unified" in machine.mount, "the unified group")


@test("root in a limited group: the nearest within the limit that can take the run does, or it is refused",
      [needs_runs, needs_v2])
def _():
    box = harness.group("shell", limit=100 * MIB)
    leaf = box.child("leaf")
    command = f"{harness.options.binary} run -m 30M --name {new_name()}"
    done = in_group(leaf, f"{command} -- /bin/cat /proc/self/cgroup")
    check(done.stdout.startswith(f"0::{box.path}/plimsoll-run-"), f"{done.stdout!r} {done.stderr!r}")
    leaf.limit(50 * MIB)
    done = in_group(leaf, f"{command} -- /bin/cat /proc/self/cgroup")
    equal((done.returncode, done.stdout), (125, ""), f"exit code, stdout ({done.stderr!r})")
    check("holds processes" in done.stderr and "limit of 50.0M" in done.stderr and
          "try: --cgroup-parent" in done.stderr, done.stderr)
    done = in_group(leaf, f"{command} --cgroup-parent {box.path} -- /bin/cat /proc/self/cgroup")
    check(done.stdout.startswith(f"0::{box.path}/plimsoll-run-"), f"by name: {done.stdout!r}")
    # Alone in it, it makes room for itself.
    done = in_group(leaf, f"exec {command} -- /bin/cat /proc/self/cgroup")
    check(done.stdout.startswith(f"0::{leaf.path}/plimsoll-run-"), f"alone: {done.stdout!r} {done.stderr!r}")
    for group in (box, leaf):
        equal([g for g in groups_in(group) if "plimsoll" in g.rpartition("/")[2]], [], "groups after the run")


@test("root in a group without a limit has the top, as before", [needs_runs])
def _():
    box = harness.group("shell", limit=None)
    name = new_name()
    done = in_group(box, f"{harness.options.binary} run -m 30M --name {name} -- /bin/cat /proc/self/cgroup")
    check(f":/plimsoll-run-{name}/w\n" in done.stdout, f"{done.stdout!r} {done.stderr!r}")


main()
