"""`plimsoll free`: this container's or a target's memory, beside the machine's."""
import re
import subprocess

from harness import (MIB, Load, check, equal, group, main, meminfo, near, needs_cgroups,
                     no_control_bytes, plimsoll, stats_of, test, write)


def free(*args, **popen):
    found = plimsoll("free", "--json", *args, **popen).objects
    equal(len(found), 1, "objects")
    return found[0]


def sizes(line):
    """The sizes in a line of text, in bytes."""
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    return [float(number) * units[unit] for number, unit in
            re.findall(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:iB|B)?\b", line)]


def has(line, size, slack=2 * MIB):
    return any(abs(s - size) < slack for s in sizes(line))


@test("the target's figures are those of stats", [needs_cgroups])
def _():
    box = group(limit=160 * MIB)
    Load("mix", 60, groups=[box])
    found, stats = free(box.path), stats_of(box.path)
    equal((found["cgroup"], found["limit_from"]), (box.path, box.path), "whose figures")
    inside = found["container"]
    equal(inside["total"], stats["limit"], "total")
    near(inside["used"], stats["used"], MIB, "used")
    near(inside["free"], stats["limit"] - stats["usage"], MIB, "free")
    near(inside["shared"], stats["shmem"], MIB, "shared")
    near(inside["available"], stats["headroom"], 2 * MIB, "available")
    cache = stats["active_file"] + stats["inactive_file"] + (stats["slab_reclaimable"] or 0)
    near(inside["cache"], cache, MIB, "cache")
    check(cache > 20 * MIB and stats["shmem"] > 10 * MIB, "next to nothing: no proof")


@test("the machine's line is /proc/meminfo's")
def _():
    before, found, after = meminfo(), free(), meminfo()
    host = found["host"]
    equal(host["total"], before["MemTotal"], "total")
    equal(host["swap_total"], before["SwapTotal"], "swap_total")
    for key, word in (("free", "MemFree"), ("available", "MemAvailable"), ("shared", "Shmem")):
        low, high = sorted((before[word], after[word]))
        check(low - 32 * MIB <= host[key] <= high + 32 * MIB, f"{key}: {host[key]}, not {low}")


@test("the machine's total is free(1)'s")
def _():
    out = subprocess.run(["free", "-b"], check=True, capture_output=True, text=True).stdout
    equal(free()["host"]["total"], int(out.splitlines()[1].split()[1]), "total")


@test("the table has a line for the target and one for the machine, in IEC units",
      [needs_cgroups])
def _():
    box = group(limit=128 * MIB)
    Load("anon", 50, groups=[box])
    lines = plimsoll("free", box.path).lines
    equal(len([line for line in lines if has(line, 128 * MIB) and has(line, 50 * MIB)]), 1,
          f"lines with limit and used in {lines}")
    total = meminfo()["MemTotal"]
    check(any(line.startswith("host") and has(line, total, total * 0.06) for line in lines),
          f"no host line with {total} bytes in {lines}")


@test("whose limit it is stands below the table", [needs_cgroups])
def _():
    outer = group("outer", limit=64 * MIB)
    inner = outer.child("inner")
    check(outer.path in plimsoll("free", inner.path).out, "the ancestor is not named")
    check("own" in plimsoll("free", outer.path).out, "the own limit is not called so")
    check("no limit" in plimsoll("free", group(limit=None).path).out, "no limit is not told")


@test("--plain is tab-separated, in bytes", [needs_cgroups])
def _():
    box = group(limit=128 * MIB)
    lines = plimsoll("free", "--plain", box.path).lines
    equal(len({line.count("\t") for line in lines}), 1, "kinds of lines")
    check(any(str(128 * MIB) in line.split("\t") for line in lines), f"no {128 * MIB} in {lines}")


@test("without a target it tells of the group it runs in", [needs_cgroups])
def _():
    box = group(limit=128 * MIB)

    def enter():
        write(box.dir + "/cgroup.procs", "0")
    found = free(preexec_fn=enter)
    equal((found["cgroup"], found["container"]["total"]), (box.path, 128 * MIB), "own group")
    no_control_bytes(plimsoll("free", preexec_fn=enter).raw, "free")


@test("an unknown target is an error of code 1 that names it")
def _():
    done = plimsoll("free", "/plimsoll-no-such-group", code=1)
    check("/plimsoll-no-such-group" in done.err, done.err)
    equal(done.out, "", "stdout")


main()
