"""What the tests of `plimsoll run` share: a place for its groups, a run going on, its events."""
import json
import os
import select
import signal
import subprocess
import tempfile
import time

from harness import PATIENCE, Skip, check, equal, group, machine, needs_cgroups
import harness

TREES = ("unified",) if machine.version == "v2" else ("memory", "unified")
_serial = 0


def demo(*args):
    """The command line of the load that knows nothing of control groups."""
    return [os.path.join(harness.options.loads, "demo"), *map(str, args)]


def needs_runs():
    needs_cgroups()
    if not os.access(demo()[0], os.X_OK):
        raise Skip(f"no program at {demo()[0]}")


def godemo(*args):
    return [os.path.join(harness.options.loads, "godemo"), *map(str, args)]


def needs_go():
    if not os.access(godemo()[0], os.X_OK):
        raise Skip("no Go compiler when the loads were built (apt-get install golang-go)")


def place(name="runs", limit=None):
    """A group that runs are made in, in all trees."""
    return group(name, limit=limit, controllers=("unified",))


def new_name(word="t"):
    """A name that no other run of these tests has."""
    global _serial
    _serial += 1
    return f"{word}-{os.getpid()}-{_serial}"


def groups_in(box):
    """The groups of runs, dead or alive, below a place: full file names."""
    found = []
    for tree in TREES:
        if tree in box.dirs and os.path.isdir(box.dirs[tree]):
            found += [f"{box.dirs[tree]}/{entry}" for entry in sorted(os.listdir(box.dirs[tree]))
                      if os.path.isdir(f"{box.dirs[tree]}/{entry}")]
    return found


def nothing_left(box, what="the run"):
    equal(groups_in(box), [], f"groups after {what}")


def run_dir(box, name, tree=None):
    """The group that has a run's limit, as a directory."""
    return f"{box.dirs[tree] if tree else box.dir}/plimsoll-run-{name}"


def members(folder):
    """Pids in a group and all below it; none when it is gone."""
    pids = []
    for here, _, _ in os.walk(folder):
        try:
            pids += [int(pid) for pid in harness.read(here + "/cgroup.procs").split()]
        except OSError:
            pass
    return pids


def is_alive(pid):
    """A zombie does not count."""
    try:
        return harness.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def state(pid):
    return harness.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0]


def memory_path(pid):
    """The path of a process in the tree that limits memory."""
    for line in harness.read(f"/proc/{pid}/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(",") or (machine.version == "v2" and number == "0"):
            return path
    raise AssertionError(f"no memory group in /proc/{pid}/cgroup")


class Run:
    """`plimsoll run` going on. Its events come through a pipe, stdout and stderr go to files."""

    def __init__(self, box, *args, name=None, binary=None, prefix=(), pass_fds=(), **popen):
        self.box, self.name = box, name or new_name()
        self.events, self._buffer = [], b""
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.stdout, self.stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        parent = ["--cgroup-parent", box.path] if box else []
        command = [*prefix, binary or harness.options.binary, "run", "--name", self.name, *parent,
                   "--events", f"fd:{writer}", *map(str, args)]
        popen = {"stdin": subprocess.DEVNULL, "stdout": self.stdout, "stderr": self.stderr, **popen}
        try:
            self.process = subprocess.Popen(command, pass_fds=(writer, *pass_fds), **popen)
        finally:
            os.close(writer)
        self.pid = self.process.pid
        harness._streams.append(self)

    # --- what it told ---

    def _read_events(self):
        if self.reader < 0:
            return
        try:
            while chunk := os.read(self.reader, 1 << 16):
                self._buffer += chunk
        except BlockingIOError:
            pass
        *lines, self._buffer = self._buffer.split(b"\n")
        self.events += [json.loads(line) for line in lines]

    def all(self, word):
        self._read_events()
        return [e for e in self.events if e["event"] == word]

    def wait_event(self, word, count=1, seconds=10):
        """The count-th event of its kind."""
        end = time.monotonic() + seconds * PATIENCE
        while len(found := self.all(word)) < count:
            left = end - time.monotonic()
            check(left > 0, f"no event {word!r} ({count}) in {seconds * PATIENCE} s; stderr: "
                            f"{self.err!r}; events: {self.events}")
            check(self.process.poll() is None or len(self.all(word)) >= count,
                  f"ended with {self.process.returncode} before event {word!r} ({count}); stderr: "
                  f"{self.err!r}; events: {self.events}")
            select.select([self.reader], [], [], min(left, 0.1))
        return found[count - 1]

    def _text(self, file):
        """Without moving the position, which is the one that the program writes at."""
        size = os.fstat(file.fileno()).st_size
        return os.pread(file.fileno(), size, 0).decode("utf-8", "replace")

    @property
    def err(self):
        return self._text(self.stderr)

    @property
    def out(self):
        return self._text(self.stdout)

    def wait_out(self, word, count=1, seconds=10):
        """The numbers behind a word that the demo printed, once there are as many."""
        def numbers():
            whole = self.out.rpartition("\n")[0]
            lines = (line.split() for line in whole.splitlines())
            return [int(line[1]) for line in lines if len(line) == 2 and line[0] == word]
        end = time.monotonic() + seconds * PATIENCE
        while len(found := numbers()) < count:
            check(time.monotonic() < end, f"no {word!r} ({count}) on stdout: {self.out!r}; "
                                          f"stderr: {self.err!r}")
            time.sleep(0.005)
        return found

    # --- its end ---

    def signal(self, number):
        self.process.send_signal(number)

    def finish(self, seconds=20, code=None):
        """Waits for its end; the exit code."""
        try:
            got = self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {seconds * PATIENCE} s; stderr: {self.err!r}; "
                                 f"events: {self.events}") from None
        self._read_events()
        if code is not None:
            equal(got, code, f"exit code (stderr: {self.err!r})")
        return got

    def exit(self):
        """The last "exit" event."""
        found = self.all("exit")
        check(found, f"no exit event; stderr: {self.err!r}; events: {self.events}")
        return found[-1]

    def end(self):
        """Takes away what is left of it, whatever the test thought; for the harness too."""
        if self in harness._streams:
            harness._streams.remove(self)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.box:
            for tree in TREES:
                if tree in self.box.dirs:
                    harness.remove_tree(run_dir(self.box, self.name, tree))
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1
        self.stdout.close()
        self.stderr.close()


class Done:
    """What stays of a run that ended."""

    def __init__(self, run, code):
        self.code, self.out, self.err, self.events = code, run.out, run.err, run.events
        self.name = run.name

    def all(self, word):
        return [e for e in self.events if e["event"] == word]

    @property
    def exit(self):
        found = self.all("exit")
        check(found, f"no exit event; stderr: {self.err!r}")
        return found[-1]


def run(box, *args, code=None, seconds=20, clean=True, **popen):
    """A run to its end. Nothing of it may be left then."""
    one = Run(box, *args, **popen)
    try:
        done = Done(one, one.finish(seconds, code))
        if clean and box:
            equal([g for g in groups_in(box) if g.endswith("-" + one.name)], [],
                  "groups after the run")
        return done
    finally:
        one.end()


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
