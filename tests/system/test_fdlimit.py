"""More groups than descriptors: it falls back to opening files each time, and says so once."""
import resource

from harness import (MIB, QUICK, Load, Stream, check, equal, group, main, needs_cgroups, plimsoll,
                     test, wait_for)

FEW = 256
GROUPS = 300


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW))


def make_groups():
    box = group("fds", limit=None)
    box.make("f", GROUPS)
    return box


@test(f"{GROUPS} groups with {FEW} descriptors: all figures, said once on stderr", [needs_cgroups])
def _():
    box = make_groups()
    full = box.child("full")
    Load("anon", 20, groups=[full])
    stream = Stream("stats", "--all", "--json", "--interval", "0.5", preexec_fn=few_descriptors)
    wait_for(lambda: stream.read_for(0.3) and len(stream.ticks(full.path)) >= 4, 30, "four ticks")
    equal(stream.end(), 0, "exit code")
    ticks = {}
    for o in stream.objects():
        if o["cgroup"].startswith(box.path + "/"):
            ticks.setdefault(o["ts"], []).append(o)
    whole = list(ticks.values())[:3]
    equal([len(tick) for tick in whole], [GROUPS + 1] * 3, "groups in each tick")
    for tick in whole:
        equal([o["cgroup"] for o in tick if o["usage"] is None or o["anon"] is None], [],
              "groups without figures")
        used = next(o["used"] for o in tick if o["cgroup"] == full.path)
        check(abs(used - 20 * MIB) < 2 * MIB, f"used: {used}")
    lines = stream.errors().splitlines()
    equal(len(lines), 1, f"lines on stderr: {lines}")
    check("descriptor" in lines[0] or "open files" in lines[0] or "fd" in lines[0], lines[0])


@test("one tick with few descriptors is complete as well", [needs_cgroups])
def _():
    box = make_groups()
    objects = plimsoll("stats", "--all", *QUICK, "--json", code=0,
                       preexec_fn=few_descriptors).objects
    ours = [o for o in objects if o["cgroup"].startswith(box.path + "/")]
    equal(len(ours), GROUPS, "groups")
    equal([o["cgroup"] for o in ours if o["usage"] is None], [], "groups without figures")


@test("with enough descriptors nothing is said", [needs_cgroups])
def _():
    equal(plimsoll("stats", "--all", *QUICK).err, "", "stderr")


main()
