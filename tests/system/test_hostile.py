"""Whatever a cgroup is called: text without control bytes, JSON that parses, its own figures."""
import os

from harness import (MIB, QUICK, Load, check, equal, group, machine, main, near, needs_cgroups,
                     no_control_bytes, plimsoll, stats_of, test)
import harness
from oddnames import NAMES, box_of


def listed():
    return plimsoll("stats", *QUICK, "--all", "--json").objects


@test("hostile cgroup names: JSON parses and every figure is its own group's", [needs_cgroups])
def _():
    outer = group("hostile", limit=None)
    loads = {}
    for i, name in enumerate(NAMES):
        box = box_of(outer, name)
        Load("anon", 2 * i + 2, groups=[box])
        loads[2 * i + 2] = name
    found = {}
    for o in listed():
        if o["cgroup"].startswith(outer.path + "/"):
            found[round(o["used"] / MIB)] = o["cgroup"]
    equal(sorted(found), sorted(loads), "used memory in MiB of the groups")
    for size, name in loads.items():
        try:
            equal(found[size], outer.path + "/" + name.decode(), f"cgroup of {size} MiB")
        except UnicodeDecodeError:
            check("invalid" in found[size], f"cgroup of {name!r}: {found[size]!r}")


@test("hostile cgroup names: the text has no control bytes and one line a group", [needs_cgroups])
def _():
    outer = group("hostile", limit=None)
    for name in NAMES:
        box_of(outer, name)
    text = plimsoll("stats", *QUICK, "--all").raw
    no_control_bytes(text, "stats --all")
    plain = plimsoll("stats", *QUICK, "--all", "--plain").raw
    no_control_bytes(plain.replace(b"\t", b" "), "stats --all --plain")
    equal(len({line.count(b"\t") for line in plain.splitlines()}), 1, "kinds of lines in --plain")
    # The same number of groups in the text as in the JSON, whatever they are called.
    equal(len(plain.splitlines()) - len(listed()) in (0, 1), True, "lines against objects")
    for form in ("docker", "{{.Name}} {{.MemUsage}}"):
        no_control_bytes(plimsoll("stats", *QUICK, "--all", "--format", form).raw, form)


@test("hostile cgroup names can be asked for by their path", [needs_cgroups])
def _():
    outer = group("hostile", limit=None)
    for i, name in enumerate(NAMES):
        box = box_of(outer, name)
        box.limit((i + 10) * MIB)
        found = plimsoll("stats", *QUICK, "--json", os.fsencode(box.path)).objects
        equal([o["limit"] for o in found], [(i + 10) * MIB], f"limit of {name!r}")


@test("an error about a hostile name prints no control bytes")
def _():
    for name in (b"/\x1b[31mno", b"no\xff\x07such", "n\u202eo".encode()):
        done = plimsoll("stats", *QUICK, name, code=1)
        no_control_bytes(done.raw_err, f"stderr for {name!r}")


@test("a name of 255 bytes is listed and counted", [needs_cgroups])
def _():
    outer = group("long", limit=None)
    box = box_of(outer, b"n" * 255)
    Load("anon", 20, groups=[box])
    near(stats_of(box.path)["used"], 20 * MIB, 2 * MIB, "used")


def deepen(box, depth, name):
    """Makes a chain of cgroups whose path the kernel cannot take in one piece."""
    fd = os.open(box.dir, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        if machine.version == "v2":
            control = os.open("cgroup.subtree_control", os.O_WRONLY, dir_fd=fd)
            os.write(control, b"+memory")
            os.close(control)
        os.close(fd)
        fd = below
    return fd


@test("a path deeper than 4095 bytes: no figure is attributed to another group", [needs_cgroups])
def _():
    outer = group("deep", limit=None)
    depth = 20
    fd = deepen(outer, depth, "d" * 250)
    child = harness.subprocess.Popen([os.path.join(harness.options.loads, "load"), "-t", "60",
                                      "anon", "30"], stdin=harness.subprocess.PIPE,
                                     stdout=harness.subprocess.PIPE,
                                     preexec_fn=lambda: join_by_fd(fd))
    os.close(fd)
    equal(child.stdout.readline(), b"ready\n", "the load")
    try:
        done = plimsoll("stats", *QUICK, "--all", "--json")
        ours = [o for o in done.objects if o["cgroup"].startswith(outer.path)]
        check(len(ours) >= 16, f"only {len(ours)} groups of {depth + 1}")
        for o in ours:  # each is an ancestor of the load's group, so each holds it
            near(o["used"], 30 * MIB, 4 * MIB, f"used of a path of {len(o['cgroup'])} bytes")
        if len(ours) < depth + 1:
            check(done.err.count("\n") == 1, f"stderr has not one line that says so: {done.err!r}")
        no_control_bytes(plimsoll("stats", *QUICK, "--all").raw, "stats --all")
        row = [o for o in plimsoll("ps", "--json").objects[:-1] if o["pid"] == child.pid][0]
        check(row["cgroup"] is None or len(row["cgroup"]) > 4095,
              f"ps names a group that was cut off: {len(row['cgroup'] or '')} bytes")
        plimsoll("ps", "--json", outer.path)
    finally:
        child.stdin.close()
        child.wait()
        child.stdout.close()


def join_by_fd(fd):
    control = os.open("cgroup.procs", os.O_WRONLY, dir_fd=fd)
    os.write(control, b"0")
    os.close(control)


main()
