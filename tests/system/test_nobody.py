"""Without privileges: what may be read is printed, the rest is unknown, and one line says why."""
import os
import shutil
import tempfile

from harness import (MIB, QUICK, Load, check, equal, group, main, needs_cgroups, no_control_bytes,
                     plimsoll, stats_of, test)
import harness

NOBODY = 65534


def as_nobody(*args, code=0):
    with tempfile.TemporaryDirectory() as folder:  # the build may lie where nobody may not look
        os.chmod(folder, 0o755)
        binary = shutil.copy(harness.options.binary, folder)
        return plimsoll(*args, code=code, binary=binary, user=NOBODY, group=NOBODY,
                        extra_groups=[], cwd="/")


def said(done):
    """The lines on stderr, but for the one about names, if this machine runs containers."""
    return [line for line in done.err.splitlines() if "the names of" not in line]


@test("stats as nobody: the same figures as root's, for these files are open to all",
      [needs_cgroups])
def _():
    box = group(limit=100 * MIB)
    Load("anon", 30, groups=[box])
    found = as_nobody("stats", *QUICK, "--json", box.path).objects[0]
    root = stats_of(box.path)
    for key in ("limit", "limit_from", "peak", "failcnt", "oom_kills", "cgroup", "version"):
        equal(found[key], root[key], key)
    check(abs(found["used"] - 30 * MIB) < 2 * MIB, f"used: {found['used']}")


@test("stats --all as nobody: exit code 0, at most one line on stderr", [needs_cgroups])
def _():
    box = group()
    done = as_nobody("stats", *QUICK, "--all")
    check(box.path in done.out or os.path.basename(box.path) in done.out, "our group is missing")
    check(len(said(done)) <= 1, f"stderr: {done.err!r}")


@test("a group nobody may not read shows as unknown, with one line why", [needs_cgroups])
def _():
    outer = group("closed", limit=None)
    hidden, open_one = outer.child("hidden"), outer.child("open")
    for name in os.listdir(hidden.dir):
        if os.path.isfile(os.path.join(hidden.dir, name)):
            os.chmod(os.path.join(hidden.dir, name), 0o600)
    done = as_nobody("stats", *QUICK, "--json", "--all")
    found = {o["cgroup"]: o for o in done.objects}
    equal((found[hidden.path]["usage"], found[hidden.path]["used"]), (None, None), "hidden figures")
    check(found[open_one.path]["usage"] is not None, "the open group's usage")
    equal(len(said(done)), 1, f"lines on stderr: {done.err!r}")
    text = as_nobody("stats", *QUICK, hidden.path)
    check(" -" in text.out, f"unknown is not printed as '-': {text.out!r}")


@test("ps as nobody: other users' PSS is unknown, RES is known, one line says why",
      [needs_cgroups])
def _():
    box = group()
    load = Load("anon", 20, groups=[box])
    done = as_nobody("ps", "--pss", "--json", box.path)
    row = next(o for o in done.objects if o.get("pid") == load.pid)
    equal((row["pss"], row["uss"]), (None, None), "what only root may read")
    # Since Linux 6.2 the size of /proc/PID/fd is their number, and open to all.
    check(row["fds"] in (None, len(os.listdir(f"/proc/{load.pid}/fd"))), f"fds: {row['fds']}")
    check(row["res"] > 20 * MIB, f"res: {row['res']}")
    equal(done.err.count("\n"), 1, f"lines on stderr: {done.err!r}")
    text = as_nobody("ps", "--pss", box.path)
    check(" - " in text.out, f"unknown is not printed as '-': {text.out!r}")
    no_control_bytes(text.raw_err, "stderr")


@test("map as nobody of another user's process is an error of code 1 that says why")
def _():
    done = as_nobody("map", str(os.getpid()), code=1)
    check("denied" in done.err or "permission" in done.err.lower(), done.err)
    equal(done.out, "", "stdout")


@test("free as nobody works", [needs_cgroups])
def _():
    check(len(as_nobody("free").lines) >= 2, "no lines")


main()
