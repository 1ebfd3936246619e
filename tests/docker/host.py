"""What every test with a real container engine needs from the machine, and gives back to it.

Workplace is one temporary folder with everything an engine makes. Whatever happens to the test (a
failure, an exception, SIGTERM) close() ends the processes that came from it, takes its mounts down,
removes the folder, and removes the cgroups and state folders that did not exist before. The test
becomes a child subreaper first: daemons that detach themselves stay findable as its children.
"""

import atexit
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CGROUP = "/sys/fs/cgroup"
PR_SET_CHILD_SUBREAPER = 36
MNT_DETACH = 2
BUSY = 3
LIBC = ctypes.CDLL(None, use_errno=True)

APPLETS = "sh sleep cat dd echo ps true false mkdir hostname head tail ls wc kill".split()

class Missing(Exception):
    """The machine lacks what this test needs; the text says what."""


def clean_env(**more):
    """The engines' environment: nothing of the caller's goes into shims, conmon or containers."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
    env.update(more)
    return env


def need(*programs):
    for program in programs:
        if not os.access(program, os.X_OK):
            raise Missing(f"{program} is not installed")
    if os.geteuid() != 0:
        raise Missing("needs root")


def run(argv, check=True, timeout=60, **more):
    """Runs a command, output captured as text; a failure carries what the command said."""
    more.setdefault("env", clean_env())
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout, text=True, errors="replace",
                          **more)
    if check and done.returncode != 0:
        said = done.stderr.strip()[-800:]
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {said}")
    return done


def wait_for(claim, seconds, step=0.05):
    """Polls until CLAIM() is true, so long on a machine that has time, and several times that on one
    that is busy; its last value."""
    end = time.monotonic() + BUSY * seconds
    while True:
        value = claim()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def read(path, default=None):
    try:
        with open(path, errors="surrogateescape") as f:
            return f.read()
    except OSError:
        if default is None:
            raise
        return default


def parent_of(pid):
    """The parent's pid, from behind the last ')' of /proc/PID/stat; 0: no such process."""
    return int(read(f"/proc/{pid}/stat", ") ? 0").rpartition(")")[2].split()[1])


def children():
    me = os.getpid()
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and parent_of(p) == me]


def mounts_below(folder):
    lines = read("/proc/self/mountinfo").splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [p for p in reversed(points) if p == folder or p.startswith(folder + "/")]


def hierarchies():
    """Mount points of every cgroup hierarchy."""
    return [line.split()[4] for line in read("/proc/self/mountinfo").splitlines()
            if line.partition(" - ")[2].split()[0] in ("cgroup", "cgroup2")]


def hierarchy(controller):
    """Mount point of the hierarchy that has CONTROLLER: v1's own, or else the unified one."""
    unified = None
    for line in read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split()[:3]
        if kind == "cgroup" and controller in options.split(","):
            return left.split()[4]
        if kind == "cgroup2":
            unified = left.split()[4]
    if unified and controller in read(unified + "/cgroup.controllers").split():
        return unified
    raise Missing(f"no cgroup hierarchy has the {controller} controller")


def is_v1():
    return not os.path.exists(hierarchy("memory") + "/cgroup.controllers")


def cgroup_dir(pid, controller="memory"):
    """The directory of a process' group, as the kernel names it."""
    unified = None
    for line in read(f"/proc/{pid}/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return hierarchy(controller) + path
        if not names:
            unified = path
    return hierarchy(controller) + unified


def subgroups(folder):
    """FOLDER and all groups below it, deepest first."""
    return [d for d, _, _ in os.walk(folder, topdown=False)]


def kill_wait(pids, seconds=10):
    """SIGKILL, then until none is left (a zombie counts as gone, ours are reaped)."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_for(lambda: not [p for p in pids if alive(p)], seconds)


def alive(pid):
    state = read(f"/proc/{pid}/stat", ") X").rpartition(")")[2].split()[0]
    if state == "Z" and parent_of(pid) == os.getpid():
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
    return state not in "ZX"


class Workplace:
    """A temporary folder, the cgroups of the engine in it, and the way back to how it was."""

    def __init__(self, name, groups, states):
        """GROUPS: names directly below the hierarchies' roots that the engine will make.
        STATES: folders outside the workplace that it makes however it is configured."""
        self.folder = tempfile.mkdtemp(prefix=f"plimsoll-{name}-")
        self.groups = [g for g in groups if not self.group_exists(g)]
        self.states = [d for d in states if not os.path.exists(d)]
        self.keep_alive = set(children())
        self.closers = []
        self.closed = False
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda n, _: sys.exit(128 + n))

    @staticmethod
    def group_exists(name):
        return any(os.path.isdir(f"{h}/{name}") for h in hierarchies())

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def mkdir(self, *parts):
        os.makedirs(self.path(*parts), exist_ok=True)
        return self.path(*parts)

    def on_close(self, closer):
        self.closers.append(closer)

    def on_close_last(self, closer):
        """For what the engine's own end has to come before."""
        self.closers.insert(0, closer)

    def rootfs(self, files=()):
        """A tiny root file system: busybox, links to it, and FILES as (source, path inside)."""
        need("/usr/bin/busybox")
        root = self.mkdir("rootfs")
        for name in ("bin", "proc", "sys", "dev", "tmp", "etc", "run", "root"):
            os.makedirs(f"{root}/{name}", exist_ok=True)
        shutil.copy("/usr/bin/busybox", f"{root}/bin/busybox")
        for name in APPLETS:
            if not os.path.lexists(f"{root}/bin/{name}"):
                os.symlink("busybox", f"{root}/bin/{name}")
        with open(f"{root}/etc/passwd", "w") as f:
            f.write("root:x:0:0:root:/root:/bin/sh\n")
        for source, inside in files:
            os.makedirs(os.path.dirname(root + inside), exist_ok=True)
            shutil.copy(source, root + inside)
            os.chmod(root + inside, 0o755)
        return root

    def own_groups(self):
        return [f"{h}/{g}" for h in hierarchies() for g in self.groups if os.path.isdir(f"{h}/{g}")]

    def group_pids(self):
        pids = set()
        for top in self.own_groups():
            for group in subgroups(top):
                pids.update(int(p) for p in read(group + "/cgroup.procs", "").split() or ())
        return pids

    def thaw(self):
        """A frozen process takes no SIGKILL on v1."""
        for top in self.own_groups():
            for group in subgroups(top):
                for name, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                    if os.path.exists(f"{group}/{name}"):
                        with open(f"{group}/{name}", "w") as f:
                            f.write(value)

    def close(self):
        if self.closed:
            return
        self.closed = True
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for step in [*reversed(self.closers), self.end_processes, self.unmount, self.remove_groups,
                     self.remove_folders]:
            try:
                step()
            except Exception as problem:  # the next steps matter more than this one
                name = getattr(step, "__qualname__", step)
                print(f"# clean-up: {name}: {problem}", file=sys.stderr)

    def end_processes(self):
        self.thaw()
        # Killing a shim orphans its container's processes to us: again until no child is left.
        wait_for(lambda: self.end_once() == 0, 20)

    def end_once(self):
        pids = self.group_pids() | {p for p in children() if p not in self.keep_alive}
        kill_wait(pids, 5)
        for pid in pids:
            alive(pid)
        return len([p for p in pids if alive(p)]) + len(self.group_pids())

    def unmount(self):
        for folder in [self.folder] + self.states:
            for point in mounts_below(folder):
                LIBC.umount2(point.encode(), MNT_DETACH)

    def remove_groups(self):
        for top in self.own_groups():
            for group in subgroups(top):
                wait_for(lambda: self.try_rmdir(group), 3)

    @staticmethod
    def try_rmdir(group):
        try:
            os.rmdir(group)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True

    def remove_folders(self):
        for folder in [self.folder] + self.states:
            if os.path.isdir(folder) and not mounts_below(folder):
                shutil.rmtree(folder, ignore_errors=True)
        left = [d for d in [self.folder] + self.states + self.own_groups() if os.path.exists(d)]
        if left:
            print(f"# clean-up: left behind: {' '.join(left)}", file=sys.stderr)
