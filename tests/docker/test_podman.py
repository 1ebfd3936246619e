"""Real podman (root, cgroupfs manager): names, images, limits and pods without asking podman."""
import functools
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import harness
import host
from harness import MIB, Skip, check, equal, main, near, plimsoll, test
from host import cgroup_dir, parent_of, read
from podman import IMAGE, Podman


@functools.lru_cache(None)
def started():
    """podman with its containers, or the reason why there is none."""
    try:
        podman = Podman()
    except host.Missing as reason:
        return str(reason)
    podman.run("db", "-m", "64m", "--label", "com.docker.compose.project=shop")
    podman.run("free-range", command=("/bin/sh", "-c", "sleep 601 & exec sleep 600"))
    podman.run("tree", "-m", "48m", "--rootfs", image=None,
               command=(podman.rootfs, "/bin/sleep", "600"))
    podman.run("private", "-m", "32m", "--cgroupns", "private")
    podman.run("first-name")
    podman.podman("rename", "first-name", "second-name")
    return podman


def needs_podman():
    engine()


def engine():
    podman = started()
    if isinstance(podman, str):
        raise Skip(podman)
    return podman


@functools.lru_cache(None)
def pod():
    """A pod with one container beside its infra container; None or the reason why not."""
    podman = engine()
    for words in (["pod", "create", "--name", "shop", "--network", "none", "--infra-image", IMAGE,
                   "--infra-command", "/bin/sleep 600", "--cgroup-parent", podman.parent],
                  ["run", "-d", "--pod", "shop", "--name", "cart", "-m", "40m", IMAGE,
                   "/bin/sleep", "600"]):
        done = podman.podman(*words, check=False)
        if done.returncode != 0:
            return f"no pod: {done.stderr.strip()[-200:]}"
    return None


def needs_pod():
    if pod():
        raise Skip(pod())


def rows(*words):
    engine()
    found = plimsoll("stats", "--no-stream", "--json", *words).objects
    by_name = {row["name"]: row for row in found}
    equal(len(by_name), len(found), "rows with the same name: " + repr([r["name"] for r in found]))
    return by_name


def own(found):
    """The rows below podman's own parent group."""
    return {n: r for n, r in found.items() if r["cgroup"].startswith(engine().parent + "/")}


@test("containers are named, with image, id and runtime, by conmon and the store's files",
      needs=[needs_podman])
def named():
    found = rows()
    for name, image in (("db", IMAGE), ("free-range", IMAGE), ("private", IMAGE), ("tree", None)):
        check(name in found, f"{name} is not among {sorted(found)}")
        row = found[name]
        equal(row["id"], engine().inspect(name)["Id"], f"id of {name}")
        equal(row["runtime"], "podman", f"runtime of {name}")
        equal(row["image"], image, f"image of {name}")
        equal(row["cgroup"], cgroup_path(name), f"cgroup of {name}")


def cgroup_path(name):
    return cgroup_dir(engine().pid(name))[len(host.hierarchy("memory")):]


@test("labels are in podman's database alone: none are shown, and none of its own notes as such",
      needs=[needs_podman, needs_pod])
def labels():
    equal(engine().inspect("db")["Config"]["Labels"]["com.docker.compose.project"], "shop",
          "what podman knows")
    found = rows()
    for name in ("db", "private", "cart"):
        equal(found[name]["labels"], {}, f"labels of {name}")


@test("limits, usage and pids of podman's containers are the kernel's", needs=[needs_podman])
def limits():
    found = rows()
    for name, limit in (("db", 64 * MIB), ("tree", 48 * MIB), ("private", 32 * MIB),
                        ("free-range", harness.meminfo()["MemTotal"])):
        equal(found[name]["limit"], limit, f"limit of {name}")
        file = "memory.usage_in_bytes" if host.is_v1() else "memory.current"
        near(found[name]["usage"], int(read(f"{cgroup_dir(engine().pid(name))}/{file}")), MIB,
             f"usage of {name}")
    equal(found["free-range"]["pids"], 2, "pids")


@test("stats --format docker shows podman's containers as podman names them", needs=[needs_podman])
def beside_podman():
    lines = engine().podman("stats", "--no-stream", "--no-reset",
                            "--format", "{{.ID}} {{.Name}} {{.PIDs}}").stdout.splitlines()
    lines = [line for line in lines if not line.split()[1].endswith("-infra")]
    names = [line.split()[1] for line in lines]
    mine = plimsoll("stats", "--no-stream", "--format", "{{.ID}} {{.Name}} {{.PIDs}}", *names).lines
    equal(sorted(mine), sorted(lines), "id, name, pids")


@test("a renamed container has its new name, though conmon was started with the old one",
      needs=[needs_podman])
def renamed():
    pid = engine().pid("second-name")
    words = read(f"/proc/{parent_of(pid)}/cmdline").split("\0")
    equal(words[words.index("-n") + 1], "first-name", "what conmon was told")
    found = rows()
    check("second-name" in found and "first-name" not in found, f"shown are {sorted(found)}")


@test("conmon's group is no container", needs=[needs_podman])
def conmon_hidden():
    group = cgroup_dir(parent_of(engine().pid("db")))[len(host.hierarchy("memory")):]
    check(group.endswith("/conmon"), f"conmon is in {group}")
    shown = [r["cgroup"] for r in rows().values()]
    check(group not in shown, f"{group} is shown")
    everything = plimsoll("stats", "--no-stream", "--all", "--json").objects
    check(group in [r["cgroup"] for r in everything], f"--all does not show {group}")


@test("a podman container is found by name, id prefix and pid; ps and free work on it",
      needs=[needs_podman])
def targets():
    podman = engine()
    ident, pid = podman.inspect("db")["Id"], podman.pid("db")
    for target in ("db", ident[:12], str(pid), cgroup_path("db")):
        found = plimsoll("stats", "--no-stream", "--json", target).objects
        equal([row["name"] for row in found], ["db"], f"names for {target}")
    objects = plimsoll("ps", "db", "--json").objects
    equal([o["pid"] for o in objects if "pid" in o], [pid], "processes")
    answer = json.loads(plimsoll("free", "db", "--json").raw)["container"]
    equal(answer["total"], 64 * MIB, "total of free")


@test("a container in a pod is named and limited; the pod's own group is no container",
      needs=[needs_pod])
def in_a_pod():
    podman = engine()
    found = rows()
    check("cart" in found, f"shown are {sorted(found)}")
    row = found["cart"]
    equal((row["image"], row["runtime"], row["limit"]), (IMAGE, "podman", 40 * MIB), "cart")
    pod_group = os.path.dirname(cgroup_path("cart"))
    check(pod_group not in [r["cgroup"] for r in found.values()], f"{pod_group} is shown")
    check(f"{pod_group}/conmon" not in [r["cgroup"] for r in found.values()], "conmon is shown")
    names = podman.podman("ps", "--format", "{{.Names}}").stdout.split()
    extra = set(own(found)) - set(names)
    check(not extra, f"rows that podman does not know: {extra}")
    equal(row["pod"], "shop", "pod")
    check(not [n for n in found if n.endswith("-infra")], "the pod's infra container is shown")


@test("a removed container's empty groups do not stay as rows", needs=[needs_podman])
def leftovers():
    podman = engine()
    podman.run("short")
    check("short" in rows(), "the container is not shown")
    podman.podman("rm", "-f", "-t", "0", "short")
    known = set(podman.podman("ps", "--format", "{{.Names}}").stdout.split())
    extra = set(own(rows())) - known
    check(not extra, f"rows that podman does not know: {extra}")


if __name__ == "__main__":
    main()
