"""The captured machine of tests/fixtures/engines, read with --root: no engine, no rights needed."""
import csv
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))

from harness import MIB, equal, main, no_control_bytes, plimsoll, test

ROOT = os.path.join(HERE, "..", "fixtures", "engines")


def expected():
    """What the engines said of their containers, by name. An infra container is a pod's sandbox."""
    with open(os.path.join(ROOT, "expected.tsv"), newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")
                if not row["name"].endswith("-infra")}


def rows(*words):
    found = plimsoll("stats", "--no-stream", "--json", "--root", ROOT, *words).objects
    by_name = {row["name"]: row for row in found}
    equal(len(by_name), len(found), "rows with the same name: " + repr([r["name"] for r in found]))
    return by_name


@test("every captured container has the name, id, image and runtime its engine knows")
def identities():
    found = rows()
    want = expected()
    equal(sorted(found), sorted(want), "names")
    for name, row in want.items():
        for key in ("id", "cgroup", "runtime"):
            equal(found[name][key], row[key], f"{key} of {name}")
        equal(found[name]["image"], row["image"] or None, f"image of {name}")
        equal(found[name]["pod"], row["pod"] or None, f"pod of {name}")


@test("limits of the captured machine: the container's own, the parent's, the host's")
def limits():
    found = rows()
    with open(os.path.join(ROOT, "proc", "meminfo")) as file:
        total = int(file.readline().split()[1]) * 1024
    for name, limit in (("web", 64 * MIB), ("worker", 96 * MIB), ("held", 32 * MIB),
                        ("web-1", 48 * MIB), ("db", 64 * MIB), ("after", total)):
        equal(found[name]["limit"], limit, f"limit of {name}")
    equal(found["worker"]["limit_from"], "/plimsoll-parent", "limit_from of worker")


@test("figures of the captured machine are those in its files")
def figures():
    found = rows()
    for name, row in expected().items():
        with open(f"{ROOT}/sys/fs/cgroup/memory{row['cgroup']}/memory.usage_in_bytes") as file:
            equal(found[name]["usage"], int(file.read()), f"usage of {name}")
        with open(f"{ROOT}/sys/fs/cgroup/pids{row['cgroup']}/pids.current") as file:
            equal(found[name]["pids"], int(file.read()), f"pids of {name}")


@test("ps, free and stats of captured containers, a hostile one among them, print clean text")
def other_commands():
    for name in ("worker", "stray", "db"):
        group = expected()[name]["cgroup"]
        with open(f"{ROOT}/sys/fs/cgroup/memory{group}/cgroup.procs") as file:
            want = [int(pid) for pid in file.read().split()]
        objects = plimsoll("ps", name, "--json", "--root", ROOT).objects
        equal(sorted(o["pid"] for o in objects if "pid" in o), sorted(want), f"pids of {name}")
        for words in (["ps", name], ["free", name], ["stats", "--no-stream", name]):
            no_control_bytes(plimsoll(*words, "--root", ROOT).raw, f"{words}")


if __name__ == "__main__":
    main()
