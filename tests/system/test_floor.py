"""`used` is what stays when the kernel has reclaimed all it can: measured for 14 kinds of load."""
import os

from harness import (MIB, Load, Skip, check, group, main, machine, near, needs_cgroups, note,
                     read, stats_of, test)

TOLERANCE = {"v1": 4000000, "v2": 2000000}
LOADS = (
    ("anon", 100, "private memory"),
    ("read-once", 100, "a file read once"),
    ("read-thrice", 100, "a file read three times"),
    ("written", 100, "a file written"),
    ("mmap-scan", 100, "a file mapped and scanned"),
    ("mlock", 100, "half a file locked in memory"),
    ("tmpfs", 100, "a file in tmpfs"),
    ("shared-anon", 100, "memory shared by 4 processes"),
    ("forks", 100, "private memory and 3 forks"),
    ("madv-free", 100, "memory given back with MADV_FREE"),
    ("sparse-thp", 100, "huge pages with one byte touched"),
    ("dentries", 250000, "names looked for in vain"),
    ("pipes", 100, "full pipes"),
    ("mix", 100, "a mix of five kinds"),
)


def show(kind, stats, usage, floor):
    note(f"{kind}: usage {usage / MIB:.1f}, used {stats['used'] / MIB:.1f}, "
         f"floor {floor / MIB:.1f} MiB, off by {(stats['used'] - floor) / MIB:+.1f}")


def thp_off():
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    return not os.path.exists(path) or "[never]" in read(path)


def used_is_the_floor(kind, amount):
    if kind == "sparse-thp" and thp_off():
        raise Skip("no transparent huge pages here")
    box = group(kind)
    load = Load(kind, amount, groups=[box])
    stats, usage = stats_of(box.path), box.usage()
    floor = box.reclaim()
    show(kind, stats, usage, floor)
    if kind == "dentries" and machine.version == "v1":
        flagged_as_kernel(stats, floor)
    else:
        near(stats["used"], floor, TOLERANCE[machine.version], "used against the floor")
    load.end()


def flagged_as_kernel(stats, floor):
    """v1 does not tell which kernel memory is reclaimable, so the row is told apart instead."""
    check(stats["kernel"] >= 30 * MIB, f"kernel is only {stats['kernel']}")
    check(stats["kernel_reclaimable_unknown"] is True, "not flagged as reclaimable kernel memory")
    check(floor < stats["used"] - 30 * MIB, "the kernel did not reclaim it: nothing to flag")


for _kind, _amount, _what in LOADS:
    _claim = f"used is the floor: {_what}"
    if _kind == "dentries" and machine.version == "v1":
        _claim = f"used is flagged as reclaimable kernel memory: {_what}"
    test(_claim, [needs_cgroups])(
        lambda kind=_kind, amount=_amount: used_is_the_floor(kind, amount))

main()
