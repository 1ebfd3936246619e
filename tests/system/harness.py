"""What the system tests share: TAP, scratch cgroups on v1 and v2, loads, and the program's output.

A test is a function decorated with @test("the claim it proves"). A file ends with main().
  test_X.py --binary build/plimsoll [--loads DIR] [-k WORD]
prints TAP with its plan first. All cgroups are made under one folder plimsoll-test-PID, and
are taken away again however the run ends.
"""
import argparse
import atexit
import errno
import itertools
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
SMALL = os.environ.get("PLIMSOLL_TEST_SMALL") == "1"  # a slow machine: fewer rounds, same claims
PATIENCE = 4 if SMALL else 1
BUSY = 3  # times as long as it takes on a machine that has nothing else to do


class Skip(Exception):
    """The machine lacks what a test needs; the text says what."""


# --- running tests ---------------------------------------------------------------------------

# With it a program in Python writes a line and its end apart, and is read in between.
os.environ.pop("PYTHONUNBUFFERED", None)

_tests = []
options = None


def test(claim, needs=()):
    """Registers a test. `needs` are functions called first; they raise Skip."""
    def register(function):
        _tests.append((claim, needs, function))
        return function
    return register


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def equal(got, want, what):
    check(got == want, f"{what}: got {got!r}, want {want!r}")


def near(got, want, tolerance, what):
    check(got is not None and abs(got - want) <= tolerance,
          f"{what}: got {got!r}, want {want!r} within {tolerance}")


def note(text):
    lines = "".join(f"# {line}\n" for line in str(text).splitlines())
    _said.lines = getattr(_said, "lines", "") + lines
    if threading.current_thread() is threading.main_thread():
        _print_notes()


_said = threading.local()  # what a test says beside others comes out with its result


def _print_notes(end=""):
    sys.stdout.write(getattr(_said, "lines", "") + end)
    sys.stdout.flush()
    _said.lines = ""


def main(needs_programs=True, at_once=1):
    """`at_once`: so many tests run side by side, when they mostly wait."""
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default="build/plimsoll")
    parser.add_argument("--static", help="a static plimsoll (BUILD-static/plimsoll)")
    parser.add_argument("--loads", help="folder of the load program (BUILD/tests/loads)")
    parser.add_argument("-k", metavar="WORD", help="only tests whose claim holds WORD")
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    beside = os.path.dirname(options.binary)
    options.static = options.static or os.path.join(beside + "-static", "plimsoll")
    options.static = os.path.abspath(options.static)
    if options.loads is None:
        options.loads = os.path.join(beside, "tests", "loads")
    for program in (options.binary, os.path.join(options.loads, "load")):
        if needs_programs and not os.access(program, os.X_OK):
            print(f"Bail out! no program at {program}")
            sys.exit(1)
    sys.stdout.reconfigure(errors="backslashreplace")
    chosen = [t for t in _tests if (not options.k or options.k in t[0]) and not _is_for_other(t[1])]
    print(f"TAP version 13\n1..{len(chosen)}", flush=True)
    good = _run_all(chosen, at_once)
    _clean_up()
    sys.exit(0 if good else 1)


def _run_all(chosen, at_once):
    if at_once == 1 or SMALL:
        return all([_run_one(number, *one) for number, one in enumerate(chosen, 1)])
    if os.geteuid() == 0 and machine.version:
        top()  # one for all of them
    waiting, results = enumerate(chosen, 1), []
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                number, one = next(waiting, (None, None))
            if one is None:
                return
            results.append(_run_one(number, *one))

    # Daemons: a run that is ended does not wait for them.
    workers = [threading.Thread(target=work, daemon=True) for _ in range(at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(results) == len(chosen) and all(results)


def _is_for_other(needs):
    """A claim about one version of cgroups has no place in the plan on the other: each version has
    its own run of these files. One that has nothing to do with either is in the run of v1 alone: the
    virtual machine's processors are emulated."""
    if SMALL and once in needs:
        return True
    return (machine.version == "v1" and needs_v2 in needs) or (machine.version == "v2" and
                                                              needs_v1 in needs)


def _run_one(number, claim, needs, function):
    start = time.monotonic()
    result, directive = "ok", ""
    try:
        for need in needs:
            need()
        function()
    except Skip as reason:
        directive = f" # SKIP {reason}"
    except Exception as error:  # a broken test is a failed test, the others still run
        result = "not ok"
        note(str(error) if isinstance(error, AssertionError) else traceback.format_exc())
    finally:
        _end_loads(_loads.mine(), _streams.mine())
    took = time.monotonic() - start
    with _one_result:
        _print_notes(f"{result} {number} - {claim}{directive}\n"
                     + (f"# took {took:.0f} s\n" if took > 5 else ""))
    return result == "ok"


_one_result = threading.Lock()


# --- the machine -----------------------------------------------------------------------------

def unescape(text):
    return re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m.group(1), 8)]), text)


def mounts():
    """(mount point, type, super options) of every mount, as bytes."""
    found = []
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            left, _, right = line.rstrip(b"\n").partition(b" - ")
            kind, _, rest = right.partition(b" ")
            found.append((unescape(left.split(b" ")[4]), kind, rest.split(b" ")[-1].split(b",")))
    return found


class Machine:
    """Which cgroup hierarchies there are: version, and the mount point of each controller."""

    def __init__(self):
        self.mount = {}
        for point, kind, flags in mounts():
            if kind == b"cgroup2":
                self.mount.setdefault("unified", os.fsdecode(point))
            elif kind == b"cgroup":
                for controller in ("memory", "cpu", "cpuacct", "pids", "blkio"):
                    if controller.encode() in flags:
                        self.mount.setdefault(controller, os.fsdecode(point))
        self.version = "v1" if "memory" in self.mount else "v2"
        if self.version == "v2" and not self._has_memory_v2():
            self.version = None

    def _has_memory_v2(self):
        root = self.mount.get("unified")
        return root is not None and "memory" in read(root + "/cgroup.subtree_control").split()


def read(path):
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


def read_int(path):
    """A one-number file; None for "max" and for the v1 sentinel of "no limit"."""
    text = read(path).strip()
    if text == "max" or int(text) >= 1 << 62:
        return None
    return int(text)


def keyed(text):
    """The "key number" lines of a file as a dict."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def meminfo():
    return {key.rstrip(":"): int(value) * 1024
            for key, value in re.findall(r"^(\S+)\s+(\d+)", read("/proc/meminfo"), re.M)}


def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text if isinstance(text, bytes) else str(text).encode())
    finally:
        os.close(fd)


machine = Machine()


def once():
    """What a test claims that needs this is the same whatever the version of cgroups."""


def needs_cgroups():
    if os.geteuid() != 0:
        raise Skip("needs root")
    if machine.version is None:
        raise Skip("no memory controller to make cgroups in")
    top()


def needs_v1():
    needs_cgroups()
    if machine.version != "v1":
        raise Skip("needs cgroup v1")


def needs_v2():
    needs_cgroups()
    if machine.version != "v2":
        raise Skip("needs cgroup v2")


def scratch_dir():
    """A folder on a file system with a page cache of its own and no tmpfs below it."""
    for candidate in (os.environ.get("PLIMSOLL_TEST_DIR"), "/var/tmp", os.getcwd()):
        if candidate is None or not os.access(candidate, os.W_OK):
            continue
        real = os.fsencode(os.path.realpath(candidate))
        around = [m for m in mounts()
                  if real == m[0] or real.startswith(m[0].rstrip(b"/") + b"/")]
        best = max(around, key=lambda m: len(m[0]))
        if best[1] in (b"ext4", b"ext3", b"xfs", b"btrfs"):
            return candidate
    raise Skip("no ext4, xfs or btrfs folder (set PLIMSOLL_TEST_DIR)")


def copy_program(source, target):
    """By another process: a child that a test beside is just starting would have our descriptor for
    a moment, and what somebody has open for writing cannot be executed."""
    subprocess.run(["cp", "--", source, target], check=True)
    return target


# --- cgroups ---------------------------------------------------------------------------------

class Group:
    """A cgroup of ours: the same path in the memory hierarchy and in others asked for."""

    def __init__(self, parent, name, controllers=()):
        self.path = (parent.path if parent else "") + "/" + name
        hierarchies = ["unified"] if machine.version == "v2" else ["memory", *controllers]
        self.dirs = {h: machine.mount[h] + self.path for h in hierarchies if h in machine.mount}
        self.dir = self.dirs["unified" if machine.version == "v2" else "memory"]
        for directory in self.dirs.values():
            os.makedirs(directory, exist_ok=True)
        if parent and machine.version == "v2":
            parent.delegate()

    def delegate(self):
        """v2: gives the controllers on to children. Only for groups without processes."""
        have = read(self.dir + "/cgroup.controllers").split()
        write(self.dir + "/cgroup.subtree_control", " ".join("+" + c for c in have))

    def child(self, name, controllers=()):
        return Group(self, name, controllers)

    def make(self, prefix, count):
        """Many empty children: PREFIX0, PREFIX1 ..."""
        if machine.version == "v2":
            self.delegate()
        for i in range(count):
            os.mkdir(f"{self.dir}/{prefix}{i}")

    def file(self, v1, v2):
        return self.dir + "/" + (v1 if machine.version == "v1" else v2)

    def add(self, pid):
        for directory in self.dirs.values():
            write(directory + "/cgroup.procs", str(pid))

    def usage(self):
        return read_int(self.file("memory.usage_in_bytes", "memory.current"))

    def limit(self, size=None):
        """Sets (when given) and returns the group's own limit."""
        path = self.file("memory.limit_in_bytes", "memory.max")
        if size is not None:
            write(path, str(size))
        return read_int(path)

    def stat(self):
        return keyed(read(self.dir + "/memory.stat"))

    def pids(self):
        return [int(pid) for pid in read(self.dir + "/cgroup.procs").split()]

    def reclaim(self):
        """Makes the kernel give back all it can without swap; returns the usage that stays."""
        os.sync()
        usage, idle = self.usage(), 0
        for _ in range(40):
            try:
                if machine.version == "v1":
                    write(self.dir + "/memory.force_empty", "0")
                else:
                    write(self.dir + "/memory.reclaim", str(usage))
            except OSError as error:  # "less was reclaimed than asked for"
                if error.errno not in (errno.EAGAIN, errno.EBUSY):
                    raise
            before, usage = usage, self.usage()
            idle = idle + 1 if before - usage < 16 * PAGE else 0
            if idle == 3:
                break
        return usage

    def remove(self):
        for directory in self.dirs.values():
            remove_tree(directory)


_top = None


def top():
    """The one folder all cgroups of this run are made in. It has no limit."""
    global _top
    if _top is None:
        _top = Group(None, f"plimsoll-test-{os.getpid()}", ("cpuacct", "pids", "blkio", "unified"))
    return _top


_serial = itertools.count(1)


def group(name="g", limit=400 * MIB, controllers=()):
    """A fresh cgroup with room for a load, below top()."""
    made = top().child(f"{name}{next(_serial)}", controllers)
    if limit:
        made.limit(limit)
    return made


def remove_tree(path):
    """Removes a cgroup and all below it, bottom up and relative to open folders: a path may be
    longer than the kernel lets us name. Only paths below plimsoll-test- are accepted."""
    assert "/plimsoll-test-" in os.fsdecode(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    stack = [(fd, None)]  # (open folder, its name in the one before)
    while stack:
        here, name = stack[-1]
        child = next((e for e in _subfolders(here)), None)
        if child is not None:
            stack.append((os.open(child, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here), child))
            continue
        stack.pop()
        os.close(here)
        if name is not None:
            _rmdir(name, stack[-1][0])
    _rmdir(path, None)


def _subfolders(fd):
    with os.scandir(fd) as entries:
        return [os.fsencode(e.name) for e in entries if e.is_dir(follow_symlinks=False)]


def _rmdir(name, dir_fd):
    for _ in range(200):
        try:
            os.rmdir(name, dir_fd=dir_fd)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _kill_in(name, dir_fd)
            time.sleep(0.01)
    note(f"cgroup {name!r} stays busy")


def _kill_in(name, dir_fd):
    try:
        fd = os.open(os.path.join(name, b"cgroup.procs" if isinstance(name, bytes) else
                                  "cgroup.procs"), os.O_RDONLY, dir_fd=dir_fd)
    except OSError:
        return
    with os.fdopen(fd) as file:
        for pid in file.read().split():
            if int(pid) not in (0, os.getpid()):
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass


# --- loads -----------------------------------------------------------------------------------

class Started(list):
    """What tests have started; each ends its own."""

    def __init__(self):
        super().__init__()
        self.by = {}

    def append(self, what):
        self.by[id(what)] = threading.get_ident()
        super().append(what)

    def mine(self):
        return [what for what in list(self) if self.by[id(what)] == threading.get_ident()]


_loads = Started()


class Load:
    """One run of the load program, ready and standing; ends with end(), or with the test."""

    def __init__(self, kind, amount, word=None, groups=(), argv0="load", seconds=None):
        program = os.path.join(options.loads, "load")
        args = [argv0]
        for member in groups:
            for directory in member.dirs.values():
                args += ["-g", directory]
        try:
            args += ["-d", scratch_dir()]
        except Skip:
            if kind in ("read-once", "read-thrice", "written", "mmap-scan", "mlock", "mix",
                        "dentries"):
                raise
        args += ["-t", str(seconds or 120 * PATIENCE), kind, str(amount)]
        args += [word] if word is not None else []
        self.process = subprocess.Popen(args, executable=program, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        _loads.append(self)
        self.pid = self.process.pid
        self.children = []
        for line in self.process.stdout:
            if line == b"ready\n":
                return
            if line.startswith(b"pid "):
                self.children.append(int(line.split()[1]))
        raise AssertionError(f"load {kind} ended with {self.process.wait()} before it was ready")

    def end(self):
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(10 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self in _loads:
            _loads.remove(self)


def _end_loads(loads=None, streams=None):
    for load in loads if loads is not None else list(_loads):
        load.end()
    for stream in streams if streams is not None else list(_streams):
        stream.end()


# --- the program -----------------------------------------------------------------------------

class Result:
    def __init__(self, code, out, err):
        self.code, self.raw, self.raw_err = code, out, err
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def objects(self):
        """The JSON of a stream (one object a line) or of one document; a list is opened."""
        text = self.raw.decode("utf-8", "strict")
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError:
            whole = json.loads(text)
            return whole if isinstance(whole, list) else [whole]


def plimsoll(*args, code=0, timeout=60, binary=None, **popen):
    """Runs the program to its end. `code` is the exit code the test asks for; None = any."""
    command = [binary or options.binary, *map(_arg, args)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout * PATIENCE, **popen)
    result = Result(done.returncode, done.stdout, done.stderr)
    if code is not None:
        check(result.code == code, f"plimsoll {' '.join(map(str, args))}: exit code {result.code}, "
              f"want {code}; stderr: {result.err[-500:]!r}")
    return result


def _arg(value):
    return value if isinstance(value, bytes) else str(value)


# CPU % needs two looks: with --no-stream, the interval is the time between them.
QUICK = ("--no-stream", "--interval", "0.05")


def stats_of(target, *more):
    """The one JSON object of `stats` for a cgroup path."""
    found = plimsoll("stats", *QUICK, "--json", *more, target).objects
    equal(len(found), 1, f"objects for {target}")
    return found[0]


_streams = Started()


class Stream:
    """The program running on, its output read by line."""

    def __init__(self, *args, **popen):
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen([options.binary, *map(_arg, args)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.stderr, **popen)
        self.buffer = bytearray()
        _streams.append(self)

    def read_for(self, seconds, enough=None):
        """Reads on for `seconds`, or until enough(bytes so far) holds; returns all so far."""
        end = time.monotonic() + seconds
        fd = self.process.stdout.fileno()
        while (left := end - time.monotonic()) > 0 and not (enough and enough(self.buffer)):
            if select.select([fd], [], [], left)[0]:
                chunk = os.read(fd, 1 << 16)
                if not chunk:
                    break
                self.buffer += chunk
        return self.buffer

    def whole_lines(self):
        return self.buffer.decode("utf-8", "strict").split("\n")[:-1]

    def objects(self):
        return [json.loads(line) for line in self.whole_lines()]

    def ticks(self, path):
        """The objects of one cgroup, a tick each."""
        return [o for o in self.objects() if o["cgroup"] == path]

    def errors(self):
        file = self.stderr.fileno()  # where the program writes stays where it is
        return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace")

    def end(self, how=signal.SIGINT):
        """Stops it as Ctrl-C would; returns the exit code."""
        if self in _streams:
            _streams.remove(self)
        if self.process.poll() is None:
            self.process.send_signal(how)
        deadline = time.monotonic() + 30 * PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read_for(0.1)  # a writer blocked on a full pipe could never end
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()


BIDI = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c"


def no_control_bytes(raw, what):
    """Terminal text: valid UTF-8, newline the only C0, no DEL, no C1, no bidi marks."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AssertionError(f"{what}: not UTF-8: {error}") from None
    for character in text:
        code = ord(character)
        bad = (code < 32 and character != "\n") or 0x7F <= code < 0xA0 or character in BIDI
        check(not bad, f"{what}: U+{code:04X} in the output")


def wait_for(condition, seconds, what):
    """For what comes, sooner or later: so long on a machine that has time, several times that on one
    that is busy. `what` may be a function, for what is known at the end alone."""
    start = time.monotonic()
    end = start + BUSY * seconds * PATIENCE
    while not condition():
        if time.monotonic() > end and not condition():  # it may have been long between two looks
            raise AssertionError(f"waited {time.monotonic() - start:.0f} s for "
                                 f"{what() if callable(what) else what}")
        time.sleep(0.05)


def agree(look, times=5):
    """For a claim about two looks at what may move in between (page cache that the kernel takes, a
    process that begins): one of several has to agree. `look` makes both, and checks."""
    for turn in range(times):
        try:
            return look()
        except AssertionError:
            if turn == times - 1:
                raise
            time.sleep(0.2)


# --- the end ---------------------------------------------------------------------------------

def _clean_up():
    global _top
    if _main_pid != os.getpid():
        return
    _end_loads()
    if _top is not None:
        _top.remove()
        for mount in set(machine.mount.values()):  # of groups that were in more hierarchies
            remove_tree(mount + _top.path)
        _top = None


def _on_signal(number, frame):
    sys.exit(128 + number)


_main_pid = os.getpid()
atexit.register(_clean_up)
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, _on_signal)
