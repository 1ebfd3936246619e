"""Inside a container: its own limit and memory, not the host's, with one static file."""
import json
import os
import shlex
import shutil
import stat
import subprocess
import tempfile

from harness import (MIB, PATIENCE, Load, Skip, check, equal, group, machine, main, near,
                     needs_cgroups, needs_v1, needs_v2, no_control_bytes, test)
import harness

MARK = "=== "


def needs_static():
    if not os.access(harness.options.static, os.X_OK):
        raise Skip(f"no static program at {harness.options.static} (make static)")


def needs_busybox():
    if shutil.which("busybox") is None:
        raise Skip("no busybox")


class Container:
    """A root folder with a busybox and a static plimsoll, and new mount, pid and cgroup
    namespaces. What `run` starts in it is a member of `box`."""

    def __init__(self, box, cgroup_namespace=True):
        self.box, self.cgroup_namespace = box, cgroup_namespace
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-root-", dir="/var/tmp")
        self.root = self.folder.name
        for name in ("bin", "dev", "proc", "sys/fs/cgroup", "tmp"):
            os.makedirs(os.path.join(self.root, name))
        os.mknod(self.root + "/dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        shutil.copy(shutil.which("busybox"), self.root + "/bin/busybox")
        shutil.copy(harness.options.static, self.root + "/bin/plimsoll")

    def mounts(self):
        """Shell lines, run outside the root folder but inside the new namespaces."""
        root = shlex.quote(self.root)
        lines = [f"mount -t proc proc {root}/proc"]
        if machine.version == "v2":
            lines.append(f"mount -t cgroup2 cgroup2 {root}/sys/fs/cgroup")
        else:
            lines += [f"mount -t tmpfs tmpfs {root}/sys/fs/cgroup",
                      f"mkdir {root}/sys/fs/cgroup/memory"]
            if self.cgroup_namespace:
                lines.append(f"mount -t cgroup -o memory cgroup {root}/sys/fs/cgroup/memory")
            else:  # what Docker does on v1 by default
                source = shlex.quote(self.box.dir)
                lines += [f"mount --bind {source} {root}/sys/fs/cgroup/memory",
                          f"mount -o remount,bind,ro {root}/sys/fs/cgroup/memory"]
        return lines

    def run(self, *commands):
        """[(exit code, stdout, stderr)] of shell commands run one after the other inside."""
        inside = "".join(f'{c} 2>/tmp/err; code=$?; echo; echo "{MARK}$code"; cat /tmp/err; '
                         f'echo "{MARK}"\n' for c in commands)
        outer = "\n".join(["set -e", *self.mounts(),
                           f"exec chroot {shlex.quote(self.root)} /bin/busybox sh -c "
                           + shlex.quote("export PATH=/bin; busybox --install -s /bin\n" + inside)])
        flags = ["-m", "-p", "-f", "--propagation", "private"] + ["-C"] * self.cgroup_namespace
        join = os.path.join(self.box.dir, "cgroup.procs")
        done = subprocess.run(["unshare", *flags, "/bin/sh", "-c", outer], capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=60 * PATIENCE,
                              preexec_fn=lambda: harness.write(join, "0"))
        equal((done.returncode, done.stderr), (0, b""), "the container itself")
        results, text = [], done.stdout.decode()
        for _ in commands:
            out, _, text = text.partition("\n" + MARK)
            code, _, text = text.partition("\n")
            err, _, text = text.partition(MARK + "\n")
            results.append((int(code), out, err))
        return results

    def json(self, command):
        (code, out, err), = self.run(command)
        equal(code, 0, f"exit code of {command}; stderr: {err!r}")
        return [json.loads(line) for line in out.splitlines() if line.strip()]


STATIC = [needs_cgroups, needs_static, needs_busybox]


def truth(box, container):
    """free, stats and ps of a container that has a limit of 96 MiB and uses 40."""
    Load("anon", 40, groups=[box])
    found = container.json("plimsoll free --json")[0]["container"]
    equal(found["total"], 96 * MIB, "total of free")
    near(found["used"], 40 * MIB, 4 * MIB, "used of free")
    stats = container.json("plimsoll stats --no-stream --json")
    equal(len(stats), 1, "objects of stats")
    equal(stats[0]["limit"], 96 * MIB, "limit")
    near(stats[0]["used"], 40 * MIB, 4 * MIB, "used")
    texts = container.run("plimsoll free", "plimsoll ps", "plimsoll stats --no-stream")
    for code, out, err in texts:
        equal((code, err), (0, ""), "exit code and stderr")
        no_control_bytes(out.encode(), "text")
    name = stats[0]["name"]
    check(not name.startswith("/"), f"the container is called '{name}'")
    check(f"\n{name}: " in texts[1][1] and " charged to the group" in texts[1][1],
          f"ps calls the group by another name than '{name}': {texts[1][1][-400:]!r}")


@test("a static file in a busybox root with its own namespaces shows the container's truth",
      STATIC)
def _():
    box = group("box", limit=96 * MIB)
    truth(box, Container(box))


@test("so it does where the container sees its cgroup through a bind mount, without a namespace",
      [*STATIC, needs_v1])
def _():
    box = group("box", limit=96 * MIB)
    truth(box, Container(box, cgroup_namespace=False))


@test("ps inside lists the container's processes by their pids there", STATIC)
def _():
    container = Container(group("box", limit=96 * MIB))
    (_, out, _), = container.run(
        'sleep 77 & while [ "$(cat /proc/$!/comm)" != sleep ]; do :; done;'  # until it is one
        'plimsoll ps --json; kill $!')
    objects = [json.loads(line) for line in out.splitlines() if line.strip()]
    rows = {o["pid"]: o for o in objects[:-1]}
    check(1 in rows and len(rows) <= 4, f"processes: {sorted(rows)}")
    check("sleep 77" in [o["command"] for o in rows.values()], f"commands: {rows}")
    equal(objects[-1]["total"]["processes"], len(rows), "processes in the sum")


@test("map inside shows a process there", STATIC)
def _():
    container = Container(group("box", limit=96 * MIB))
    (code, out, err), = container.run("plimsoll map 1")
    equal((code, err), (0, ""), "exit code and stderr")
    check("busybox" in out, f"no busybox in {out!r}")


@test("v1: the limit of an ancestor outside the cgroup namespace is found", [*STATIC, needs_v1])
def _():
    outer = group("outer", limit=64 * MIB)
    container = Container(outer.child("inner"))
    stats, = container.json("plimsoll stats --no-stream --json")
    equal(stats["limit"], 64 * MIB, "limit")
    check("host" not in str(stats["limit_from"]), f"limit_from: {stats['limit_from']!r}")
    found, = container.json("plimsoll free --json")
    equal((found["container"]["total"], found["limit_certain"]), (64 * MIB, True), "free's total")


@test("v2: that an ancestor's limit cannot be known from inside is said", [*STATIC, needs_v2])
def _():
    outer = group("outer", limit=64 * MIB)
    container = Container(outer.child("inner"))
    found, = container.json("plimsoll free --json")
    equal(found["limit_certain"], False, "limit_certain")
    (_, text, _), = container.run("plimsoll free")
    check("may have a tighter one" in text, f"not a word of it: {text!r}")


@test("a cgroup namespace that sees the host's mounts does not confuse it", [needs_cgroups])
def _():
    box = group("box", limit=96 * MIB)
    Load("anon", 40, groups=[box])
    join = os.path.join(box.dir, "cgroup.procs")
    done = subprocess.run(["unshare", "-C", harness.options.binary, "free", "--json"],
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=60,
                          preexec_fn=lambda: harness.write(join, "0"))
    equal(done.returncode, 0, f"exit code; stderr: {done.stderr!r}")
    found = json.loads(done.stdout)
    # Which group is its own cannot always be told; but it must not tell a wrong one.
    if found["container"] is not None:
        equal(found["container"]["total"], 96 * MIB, "total")
        near(found["container"]["used"], 40 * MIB, 4 * MIB, "used")


main()
