"""run without rights: as nobody, on a read-only tree, and in what was delegated to a user."""
import os
import shutil
import subprocess
import tempfile

from harness import check, equal, machine, main, needs_v1, needs_v2, no_control_bytes, test
from runs import TREES, demo, needs_runs, new_name, nothing_left, place
import harness

NOBODY = 65534


class Copies:
    """The programs where nobody may read them."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        os.chmod(self.folder.name, 0o755)
        self.binary = shutil.copy(harness.options.binary, self.folder.name)
        self.demo = shutil.copy(demo()[0], self.folder.name)
        self.mark = self.folder.name + "/mark"
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def refused(done, words, what):
    equal((done.returncode, done.stdout), (125, b""), f"{what}: exit code and stdout ({done.stderr!r})")
    text = done.stderr.decode()
    check(text.startswith("plimsoll"), f"{what}: {text!r}")
    check(text.count("\n") <= 2, f"{what}: more than a message and its next step: {text!r}")
    for word in words:
        check(word in text.lower(), f"{what}: {word!r} is not in {text!r}")
    no_control_bytes(done.stderr, what)


@test("as nobody: 125, what is lacking and the next step; nothing is started or left", [needs_runs])
def _():
    box = place()
    with Copies() as copies:
        for parent in (["--cgroup-parent", box.path], []):
            done = subprocess.run([copies.binary, "run", "-m", "30M", "--name", new_name(), *parent, "--",
                                   "/usr/bin/touch", copies.mark], stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=60, user=NOBODY, group=NOBODY,
                                  extra_groups=[], cwd="/")
            refused(done, ["root"] if not parent else [], f"nobody {parent}")
            check("denied" in done.stderr.decode() or "permission" in done.stderr.decode() or
                  "permitted" in done.stderr.decode(), f"no word of permission: {done.stderr!r}")
            check(not os.path.exists(copies.mark), "the command was started")
    nothing_left(box)


@test("on a read-only tree: 125 and told so; nothing is started or left", [needs_runs])
def _():
    box = place()
    with Copies() as copies:
        mounts = [machine.mount[tree] for tree in TREES if tree in machine.mount]
        script = "".join(f"mount -o remount,bind,ro {m} || exit 99; " for m in mounts) + 'exec "$@"'
        done = subprocess.run(["unshare", "-m", "/bin/sh", "-c", script, "sh", copies.binary, "run", "-m",
                               "30M", "--cgroup-parent", box.path, "--", "/usr/bin/touch", copies.mark],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        refused(done, ["read-only"], "read-only")
        check(not os.path.exists(copies.mark), "the command was started")
    nothing_left(box)


@test("without any cgroup file system: 125 and told so", [needs_runs])
def _():
    with Copies() as copies:
        mounts = " ".join(sorted({m.decode() for m, kind, _ in harness.mounts()
                                  if kind in (b"cgroup", b"cgroup2")}, reverse=True))
        done = subprocess.run(["unshare", "-m", "/bin/sh", "-c",
                               f'umount -l {mounts} || exit 99; exec "$@"', "sh", copies.binary, "run", "-m",
                               "30M", "--", "/usr/bin/touch", copies.mark], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        refused(done, ["cgroup"], "no cgroups")
        check(not os.path.exists(copies.mark), "the command was started")


@test("a memory controller that is not mounted: 125, told how to mount it, and no folder is made",
      [needs_runs, needs_v1])
def _():
    point = machine.mount["memory"]
    with Copies() as copies:
        mounts = " ".join(sorted({m.decode() for m, kind, _ in harness.mounts() if kind == b"cgroup2"} |
                                 {point}, reverse=True))
        done = subprocess.run(["unshare", "-m", "/bin/sh", "-c", f'umount -l {mounts} || exit 99; "$@"; '
                               f'echo $? {point}/*', "sh", copies.binary, "run", "-m", "30M", "--",
                               "/usr/bin/touch", copies.mark], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        equal(done.stdout.decode(), f"125 {point}/*\n", f"code and what is there ({done.stderr!r})")
        check(b"not mounted (try: mount " in done.stderr, f"told: {done.stderr!r}")
        check(not os.path.exists(copies.mark), "the command was started")


class Delegated:
    """What a session manager gives a user: a group that is the user's, who sits in a leaf of it."""

    def __init__(self):
        self.box = place("user")
        self.box.delegate()
        self.service = self.box.child("service")
        self.service.delegate()
        self.leaf = self.service.child("leaf")
        for folder in (self.service.dir, self.leaf.dir):
            for file in ("", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"):
                os.chown(folder + file, NOBODY, NOBODY)

    def run(self, copies, *words, parent=(), runtime=None):
        def enter():
            harness.write(self.leaf.dir + "/cgroup.procs", "0")
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        return subprocess.run([copies.binary, "run", *parent, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, preexec_fn=enter, cwd="/",
                              env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": runtime or "/none"})

    def groups(self):
        return [entry for entry in os.listdir(self.service.dir)
                if os.path.isdir(f"{self.service.dir}/{entry}")]


@test("a user runs in what was delegated to him, without root: the limit holds and nothing is left",
      [needs_runs, needs_v2])
def _():
    mine = Delegated()
    harness.Load("anon", 1, groups=[mine.leaf])  # the shell that the user sits in
    with Copies() as copies:
        done = mine.run(copies, "-m", "20M", "--restart", "never", "--", copies.demo, "-s", "0", "climb",
                        "60")
        equal(done.returncode, 137, f"exit code ({done.stderr!r})")
        text = done.stderr.decode()
        check("OOM-killed" in text and "20.0M" in text, f"told: {text!r}")
        done = mine.run(copies, "-m", "20M", "--", "/bin/sh", "-c", "cat /proc/self/cgroup")
        check(done.stdout.decode().startswith(f"0::{mine.service.path}/plimsoll-run-"),
              f"group: {done.stdout!r} ({done.stderr!r})")
        path = mine.service.path
        done = mine.run(copies, "-m", "20M", "--", "/bin/sh", "-c", "exit 4",
                        parent=["--cgroup-parent", path])
        equal(done.returncode, 4, f"with a parent named ({done.stderr!r})")
    equal(mine.groups(), ["leaf"], "groups of the user")


@test("a user alone in his group: the supervisor makes room for itself, and gives it back",
      [needs_runs, needs_v2])
def _():
    mine = Delegated()
    # The leaf itself is all that there is: no group above it is the user's.
    for file in ("", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"):
        os.chown(mine.service.dir + file, 0, 0)
    with Copies() as copies:
        done = mine.run(copies, "-m", "20M", "--restart", "never", "--", copies.demo, "-s", "0", "climb",
                        "60")
        equal(done.returncode, 137, f"exit code ({done.stderr!r})")
        check("OOM-killed" in done.stderr.decode(), f"told: {done.stderr!r}")
    left = [entry for entry in os.listdir(mine.leaf.dir) if os.path.isdir(f"{mine.leaf.dir}/{entry}")
            and "supervisor" not in entry]
    equal(left, [], "groups of the run")


main()
