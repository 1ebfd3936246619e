"""`plimsoll free`: this container's or a target's memory, beside the host's."""
import os
import re

from harness import (MIB, Load, check, equal, group, main, meminfo, needs_cgroups,
                     no_control_bytes, plimsoll, stats_of, test)


def sizes(line):
    """The sizes in a line of text, in bytes."""
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    return [float(number) * units[unit] for number, unit in
            re.findall(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:iB|B)?\b", line)]


@test("the target's line holds its limit and its used memory", [needs_cgroups])
def _():
    box = group(limit=128 * MIB)
    Load("anon", 50, groups=[box])
    lines = plimsoll("free", box.path).lines
    found = [line for line in lines
             if any(abs(s - 128 * MIB) < MIB for s in sizes(line))
             and any(abs(s - 50 * MIB) < 2 * MIB for s in sizes(line))]
    equal(len(found), 1, f"lines with limit and used in {lines}")


@test("the host's line holds the host's memory", [needs_cgroups])
def _():
    total = meminfo()["MemTotal"]
    lines = plimsoll("free", group().path).lines
    check(any("ost" in line and any(abs(s - total) < total * 0.06 for s in sizes(line))
              for line in lines), f"no host line with {total} bytes in {lines}")


@test("its JSON agrees with stats and meminfo", [needs_cgroups])
def _():
    box = group(limit=128 * MIB)
    Load("mix", 60, groups=[box])
    objects = plimsoll("free", "--json", box.path).objects
    values = list(numbers(objects))
    stats = stats_of(box.path)
    for key in ("limit", "used"):
        check(any(abs(v - stats[key]) < 2 * MIB for v in values), f"{key} of stats is not in it")
    check(meminfo()["MemTotal"] in values, "MemTotal is not in it")


def numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


@test("without a target it tells of the group it runs in", [needs_cgroups])
def _():
    box = group(limit=128 * MIB)
    enter = f"{box.dir}/cgroup.procs"
    done = plimsoll("free", "--json", preexec_fn=lambda: write_self(enter))
    check(128 * MIB in numbers(done.objects), f"the own limit is not in {done.out!r}")
    no_control_bytes(plimsoll("free", preexec_fn=lambda: write_self(enter)).raw, "free")


def write_self(path):
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b"0")
    os.close(fd)


@test("an unknown target is an error of code 1 that names it")
def _():
    done = plimsoll("free", "/plimsoll-no-such-group", code=1)
    check("/plimsoll-no-such-group" in done.err, done.err)


main()
