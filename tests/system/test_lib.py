"""libplimsoll: a program's own limit and usage, its marks and gate, with what the kernel says beside
it; and libplimsoll-preload.so under programs that know nothing of it.

PLIMSOLL_SECONDS is how long the churns run (2; 4 on a slow machine).
"""
import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from harness import (MIB, SMALL, Load, Skip, check, equal, group, machine, main, near, needs_cgroups,
                     needs_v1, note, read, test)
import harness

SECONDS = float(os.environ.get("PLIMSOLL_SECONDS", "4" if SMALL else "2"))
CAP = 128 * MIB
NOBODY = 65534
PYTHON = "/usr/bin/python3"
# One program by several names; that of the server comes with a service that would be started.
REDIS = "/usr/bin/redis-check-rdb"


# --- programs --------------------------------------------------------------------------------

def built(name):
    """A library or program of the build; in the virtual machine all lie beside the command."""
    beside = os.path.dirname(harness.options.binary)
    for folder in ("include", "examples", "tests/loads", ""):
        path = os.path.join(beside, folder, name)
        if os.path.exists(path):
            return path
    raise Skip(f"no {name} in this build")


def needs_library():
    built("libprobe")
    built("libplimsoll.so.0")


def needs_preload():
    built("libplimsoll-preload.so")
    built("oddmalloc")


def environment(preload=None, **more):
    names = {key: value for key, value in os.environ.items()
             if not key.startswith(("MEMORY_PRESSURE", "PLIMSOLL"))}
    names["LD_LIBRARY_PATH"] = os.path.dirname(built("libplimsoll.so.0"))
    if preload is not None:
        names["LD_PRELOAD"] = built("libplimsoll-preload.so")
        names["PLIMSOLL_PRELOAD"] = preload
    return {**names, **more}


def joining(box, user=None):
    """What a child does before exec: joins the group, gives up its rights."""
    files = [os.path.join(directory, "cgroup.procs") for directory in box.dirs.values()]

    def prepare():
        for file in files:
            harness.write(file, "0")
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
    return prepare


def run_in(box, *command, user=None, env=None, timeout=60, code=0):
    done = subprocess.run([str(word) for word in command], preexec_fn=joining(box, user),
                          env=env or environment(), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout * harness.PATIENCE)
    if code is not None:
        check(done.returncode == code, f"{command}: exit code {done.returncode}: "
              f"{(done.stdout + done.stderr)[-800:]!r}")
    return done


def probe(box, *words, **more):
    out = run_in(box, built("libprobe"), *words, **more).stdout.decode()
    return json.loads(out.splitlines()[-1])


def capped(name="cap", limit=CAP):
    """A group in which swap does not help."""
    box = group(name, limit)
    for v1, v2, value in (("memory.memsw.limit_in_bytes", "memory.swap.max",
                           limit if machine.version == "v1" else 0),):
        try:
            harness.write(box.file(v1, v2), str(value))
        except OSError:
            pass  # no swap in this kernel
    return box


def peak_pct(box, limit=CAP):
    try:
        return 100 * harness.read_int(box.file("memory.max_usage_in_bytes", "memory.peak")) / limit
    except FileNotFoundError:
        raise Skip("the kernel keeps no memory.peak (before Linux 5.19)") from None


def read_program(path):
    """Its pages in the cache, charged to us: the kernel's peak of a group counts cache that it had to
    read, which takes nothing from anybody."""
    said = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True).stdout
    for each in [path, *(word for word in said.split() if word.startswith("/"))]:
        with open(each, "rb") as file:
            while file.read(MIB):
                pass


class Peak:
    """The highest usage seen, where the kernel does not keep it."""

    def __init__(self, box):
        self.box, self.highest, self.over = box, 0, False
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.over:
            self.highest = max(self.highest, self.box.usage())
            time.sleep(0.002)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()

    def pct(self, limit=CAP):
        try:
            return peak_pct(self.box, limit)
        except Skip:
            return 100 * self.highest / limit


def oom_kills(box):
    return harness.keyed(read(box.file("memory.oom_control", "memory.events")))["oom_kill"]


# --- what it says ----------------------------------------------------------------------------

@test("limit and usage are the kernel's, and used leaves page cache out",
      [needs_cgroups, needs_library])
def _():
    box = group("own", 200 * MIB)
    Load("anon", 30, groups=[box])
    Load("read-once", 40, groups=[box])
    found = probe(box, "info")
    equal((found["effective"], found["limit"]), (200 * MIB, 200 * MIB), "limit")
    near(found["usage"], box.usage(), 4 * MIB, "usage")
    near(found["used"], 30 * MIB, 5 * MIB, "used")


@test("the limit of a group around ours counts, with what is used there",
      [needs_cgroups, needs_library])
def _():
    outer = group("outer", 100 * MIB)
    inner, sibling = outer.child("inner"), outer.child("sibling")
    inner.limit(300 * MIB)
    Load("anon", 40, groups=[sibling])
    found = probe(inner, "info")
    equal((found["effective"], found["limit"]), (100 * MIB, 100 * MIB), "limit")
    near(found["used"], 40 * MIB, 5 * MIB, "used of all in the outer group")


@test("v1: inside a container with a read-only mount the limit outside of it is known",
      [needs_v1, needs_library])
def _():
    outer = group("outer", 64 * MIB)
    inner = outer.child("inner")
    mount = machine.mount["memory"]
    script = (f"mount --make-rprivate / && T=$(mktemp -d) && mount --bind {inner.dir} $T && "
              f"umount -R -l /sys/fs/cgroup && mount -t tmpfs tmpfs /sys/fs/cgroup && "
              f"mkdir -p {mount} && mount --move $T {mount} && rmdir $T && "
              f"mount -o remount,bind,ro {mount} && exec {built('libprobe')} info")
    for flags in (["-m"], ["-m", "-C"]):
        done = run_in(inner, "unshare", *flags, "/bin/sh", "-c", script)
        found = json.loads(done.stdout)
        equal(found["limit"], 64 * MIB, f"limit with unshare {flags}")


@test("as nobody, with a group made by root, limit and usage are the same",
      [needs_cgroups, needs_library])
def _():
    box = group("own", 100 * MIB)
    Load("anon", 20, groups=[box])
    with public_copy("libprobe", "libplimsoll.so.0") as (program, env):
        found = json.loads(run_in(box, program, "info", user=NOBODY, env=env).stdout)
    equal(found["limit"], 100 * MIB, "limit")
    near(found["used"], 20 * MIB, 5 * MIB, "used")


class public_copy:
    """A program and its library where everybody may read them: a build may lie in root's home."""

    def __init__(self, *names):
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-lib-", dir="/var/tmp")
        os.chmod(self.folder.name, 0o755)
        for name in names:
            shutil.copy(os.path.realpath(built(name)), os.path.join(self.folder.name, name))
        self.program = os.path.join(self.folder.name, names[0])

    def __enter__(self):
        return self.program, environment(LD_LIBRARY_PATH=self.folder.name)

    def __exit__(self, *_):
        self.folder.cleanup()


# --- events ----------------------------------------------------------------------------------

@test("a mark is told once on the way up and once on the way down; the descriptor wakes for it",
      [needs_cgroups, needs_library])
def _():
    found = probe(capped(), "mark", 60, 100)
    equal((found["above"], found["below"]), (1, 1), f"told: {found}")
    check(60 <= found["pct"] < 90, f"told at {found['pct']} %")
    if machine.version == "v1":  # the kernel tells: it need not be looked for
        check(found["wakes"] <= 3, f"woken {found['wakes']} times")
    note(f"mark at 60 %: told at {found['pct']} % after {found['wakes']} wakes")


@test("as nobody, who may not register with a v1 group, a timer finds the mark",
      [needs_cgroups, needs_library])
def _():
    with public_copy("libprobe", "libplimsoll.so.0") as (program, env):
        found = json.loads(run_in(capped(), program, "mark", 60, 100, user=NOBODY, env=env).stdout)
    equal((found["above"], found["below"]), (1, 1), f"told: {found}")
    note(f"mark at 60 %: told at {found['pct']} % after {found['wakes']} wakes")


@test("neither dispatch nor any other call allocates once the handle is open",
      [needs_cgroups, needs_library])
def _():
    found = probe(capped("count", 400 * MIB), "count")
    equal(found["counts"], 1, "the counter counts")
    check(found["callbacks"] >= 10, f"callbacks: {found}")
    equal((found["dispatch"], found["calls"]), (0, 0), "allocations")


@test("a child of fork that closes the handle keeps what lies where its parent has the reserve",
      [needs_cgroups, needs_library])
def _():
    found = probe(capped(), "fork", 16)
    equal((found["signal"], found["code"]), (0, 0), f"the child: {found}")


def pressure(seconds, serve, watch, write=None):
    """Runs the probe with the variables set; serve(process) once it is ready."""
    env = environment(MEMORY_PRESSURE_WATCH=watch)
    if write is not None:
        env["MEMORY_PRESSURE_WRITE"] = base64.b64encode(write).decode()
    child = subprocess.Popen([built("libprobe"), "pressure", str(seconds)], env=env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        line = child.stdout.readline()
        if line == b"ready\n" and serve is not None:
            serve()
        rest = child.stdout.read().decode()
        return line.decode(), json.loads(rest) if rest else None
    finally:
        child.kill()
        child.wait()


@test("$MEMORY_PRESSURE_WATCH: a socket is connected to, written to and listened to",
      [needs_library])
def _():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path, heard = os.path.join(folder, "s"), []
        server.bind(path)
        server.listen()

        def serve():
            peer, _ = server.accept()
            heard.append(peer.recv(100))
            peer.send(b"xx")
            heard.append(peer)  # stays open
        line, found = pressure(10, serve, path, b"some\0thing")
    equal(line, "ready\n", "it listens")
    equal(heard[0], b"some\0thing", "what was written")
    equal(found["pressure"], 1, "events")


@test("$MEMORY_PRESSURE_WATCH: a FIFO is written to, read and discarded", [needs_library])
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "f")
        os.mkfifo(path)
        fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)

        def serve():
            time.sleep(0.2)  # what the probe has written comes back to it first
            os.write(fifo, b"y" * 2000)
        line, found = pressure(10, serve, path, b"hello")
        equal((line, found["pressure"]), ("ready\n", 1), "events")
        check(found["after"] >= 0.2, "its own words were taken for pressure")
        try:
            left = os.read(fifo, 100)
        except BlockingIOError:
            left = b""
        equal(left, b"", "left in the FIFO")
        os.close(fifo)


@test("$MEMORY_PRESSURE_WATCH: /dev/null turns it off, and what is no such file is refused",
      [needs_library])
def _():
    for watch, why in (("/dev/null", "not supported"), ("/dev/zero", "Invalid"),
                       ("here", "Invalid"), ("/nowhere/at/all", "No such file")):
        line, _ = pressure(1, None, watch)
        check(line.startswith("pressure: ") and why in line, f"{watch}: {line!r}")


@test("without the variable the kernel's pressure of our own group is told",
      [needs_cgroups, needs_library])
def _():
    box = group("psi", 40 * MIB, controllers=("unified",))
    if not os.path.exists(os.path.join(box.dirs.get("unified", ""), "memory.pressure")):
        raise Skip("no memory.pressure for groups")
    child = subprocess.Popen([built("libprobe"), "pressure", str(20 * harness.PATIENCE)],
                             env=environment(), preexec_fn=joining(box), stdout=subprocess.PIPE)
    try:
        line = child.stdout.readline()
        if line != b"ready\n":
            raise Skip(f"the kernel takes no trigger: {line!r}")
        thrash(box, child)
        found = json.loads(child.stdout.read())
    finally:
        child.kill()
        child.wait()
    equal(found["pressure"], 1, "events")
    note(f"pressure told after {found['after']} s")


def thrash(box, child):
    """Reads a file larger than the group again and again while the child lives."""
    with tempfile.NamedTemporaryFile(dir=harness.scratch_dir()) as file:
        file.write(os.urandom(1 << 20) * 60)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # charged to us: away
        reader = subprocess.Popen(
            [PYTHON, "-c", "import mmap,sys\nf=open(sys.argv[1],'rb')\n"
             "m=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)\n"
             "while True:\n for i in range(0,len(m),4096): m[i]", file.name],
            preexec_fn=joining(box))
        try:
            deadline = time.monotonic() + 20 * harness.PATIENCE
            while child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            reader.kill()
            reader.wait()


# --- the gate --------------------------------------------------------------------------------

@test("threads that ask the gate at once do not pass it together", [needs_cgroups, needs_library])
def _():
    box = capped()
    found = probe(box, "gate", 4, 8)
    equal(found["refused"], 8, "threads that were told no")
    # The gate is at 88 %. A promise lasts 200 ms: a thread of a busy machine may need longer for its
    # block, which then is granted to another too.
    check(80 <= found["pct"] <= 89 + 100 * 4 / 128, f"stopped at {found['pct']} %")


@test("the example holds itself below 0.9 of the cap under churn; not asking, it is killed",
      [needs_cgroups, needs_library])
def _():
    blind = capped("blind")
    done = run_in(blind, built("selfcap"), "--blind", 1000, 10 * harness.PATIENCE, code=None)
    equal((done.returncode, oom_kills(blind) > 0), (-9, True), "without asking: killed")
    box = capped()
    with Peak(box) as peak:
        done = run_in(box, built("selfcap"), 1000, SECONDS, timeout=SECONDS + 60)
        pct = peak.pct()
    check(pct < 90, f"peak {pct:.1f} % of the cap")
    equal(oom_kills(box), 0, "kills")
    note(f"peak {pct:.1f} %; {done.stdout.decode().splitlines()[-1]}")


# --- preloaded -------------------------------------------------------------------------------

CYCLES = """
import sys, time
class Node: pass
end = time.monotonic() + float(sys.argv[1])
made = 0; late = 0; before = time.monotonic()
while before < end:
    a, b = Node(), Node()
    a.other, b.other = b, a                # only the collector frees these
    a.data = bytearray(700000)
    a.small = [str(i) for i in range(200)]
    made += 700000
    now = time.monotonic(); late = max(late, now - before); before = now
print(f"{made >> 20} MB made, longest step {late:.3f} s")
"""


@test("preload: an unmodified Python that outruns its collector stays below 0.9; without, it is "
      "killed", [needs_cgroups, needs_preload])
def _():
    bare = capped("bare")
    done = run_in(bare, PYTHON, "-c", CYCLES, 10 * harness.PATIENCE, code=None)
    equal((done.returncode, oom_kills(bare) > 0), (-9, True), "without: killed")
    box = capped()
    with Peak(box) as peak:
        done = run_in(box, PYTHON, "-c", CYCLES, SECONDS, env=environment(""), timeout=SECONDS + 60)
        pct = peak.pct()
    check(pct < 90, f"peak {pct:.1f} % of the cap")
    note(f"peak {pct:.1f} %; {done.stdout.decode().strip()}")


class Redis:
    """A redis-server of our own, on a socket, in a group."""

    def __init__(self, box, env):
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-redis-")
        path = os.path.join(self.folder.name, "s")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly",
             "no", "--daemonize", "no", "--dir", self.folder.name], executable=REDIS, env=env,
            preexec_fn=joining(box), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        harness.wait_for(lambda: os.path.exists(path), 10, "redis's socket")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(30 * harness.PATIENCE)
        self.answers = self.socket.makefile("rb")

    def churn(self, seconds, lives_ms, size=100000, at_once=4):
        """Values that expire soon, as fast as they are taken. MB sent and the longest wait."""
        value, key, longest = b"x" * size, 0, 0
        begin = before = time.monotonic()
        while before < begin + seconds:
            for _ in range(at_once):
                key += 1
                self.socket.sendall(b"*5\r\n$3\r\nSET\r\n$8\r\n%08d\r\n$%d\r\n%s\r\n$2\r\nPX\r\n"
                                    b"$%d\r\n%d\r\n" % (key, size, value, len(str(lives_ms)),
                                                        lives_ms))
            for _ in range(at_once):
                if self.answers.readline() != b"+OK\r\n":
                    raise ConnectionError("redis said no")
            now = time.monotonic()
            longest, before = max(longest, now - before), now
        return key * size / 1e6, longest

    def end(self):
        self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(10 * harness.PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


def what_kills_it():
    """How many ms values must live, for more to come than the cap holds: a matter of the machine."""
    bare = capped("bare")
    redis = Redis(bare, environment())
    try:
        for lives_ms in (600,) if SMALL else (600, 1200, 2400, 4800):
            redis.churn(5, lives_ms)
    except (ConnectionError, BrokenPipeError):
        check(oom_kills(bare) > 0, "redis ended by itself")
        return lives_ms
    finally:
        redis.end()
    if SMALL:
        raise Skip("too slow a machine to bring more than expires")
    raise AssertionError("it was not killed: the load proves nothing")


def needs_redis():
    if not os.access(REDIS, os.X_OK):
        raise Skip(f"no {REDIS} (redis-tools)")


@test("preload: an unmodified redis takes no more than expires in time; without, it is killed",
      [needs_cgroups, needs_preload, needs_redis])
def _():
    lives_ms = what_kills_it()
    box = capped()
    read_program(REDIS)
    redis = Redis(box, environment(""))
    try:
        with Peak(box) as peak:
            seconds = max(SECONDS, 2 * lives_ms / 1000)  # or it would hold no more than fits
            sent, longest = redis.churn(seconds, lives_ms)
            pct = peak.pct()
    finally:
        redis.end()
    said = (f"peak {pct:.1f} %; {sent:.0f} MB taken in {seconds:.0f} s, each for {lives_ms} ms, "
            f"longest wait {longest:.2f} s")
    check(pct < 90, said)
    equal(oom_kills(box), 0, "kills")
    note(said)


@test("preload: mode=refuse is a MemoryError in time, and the program lives on",
      [needs_cgroups, needs_preload])
def _():
    script = ("keep = []\ntry:\n    while True: keep.append(bytearray(1 << 20))\n"
              "except MemoryError: n = len(keep); keep.clear(); print(n)")
    box = capped()
    done = run_in(box, PYTHON, "-c", script, env=environment("mode=refuse,wait=20ms"))
    check(60 < int(done.stdout) < 128, f"{done.stdout!r} MB were had")
    pct = peak_pct(box) if machine.version == "v1" else 0
    check(pct < 91, f"peak {pct:.1f} %")


@test("preload: a program that stays where it is above the gate is not held up",
      [needs_cgroups, needs_preload])
def _():
    for kb, times in ((20, 10000), (300, 200)):
        box = capped("steady", 64 * MIB)
        begin = time.monotonic()
        done = run_in(box, built("oddmalloc"), "churn", 57, kb, times,
                      env=environment("wait=20ms"), timeout=30)
        equal((done.stdout, done.stderr), (b"ok\n", b""), f"{kb} kB")
        note(f"{times} times {kb} kB: {time.monotonic() - begin:.1f} s")


@test("preload: memory asked for before main, in threads, children and signal handlers is as ever",
      [needs_cgroups, needs_preload])
def _():
    for limit, words in ((400 * MIB, ""), (24 * MIB, "wait=1ms"), (24 * MIB, "off"),
                         (400 * MIB, "at=1,gate=1,wait=0")):
        done = run_in(capped("odd", limit), built("oddmalloc"), env=environment(words))
        equal((done.stdout, done.stderr), (b"ok\n", b""), f"with {words!r}")


@test("preload: an allocator linked or preloaded beside it is asked to give back, and works",
      [needs_cgroups, needs_preload])
def _():
    found = [os.path.join(folder, name) for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64")
             for name in ("libjemalloc.so.2", "libtcmalloc_minimal.so.4")
             if os.path.exists(os.path.join(folder, name))]
    if not found:
        raise Skip("neither jemalloc nor tcmalloc")
    for allocator in found:
        env = environment("at=1,gate=90,wait=1ms")
        env["LD_PRELOAD"] += ":" + allocator
        done = run_in(capped("odd", 64 * MIB), built("oddmalloc"), env=env)
        equal((done.stdout, done.stderr), (b"ok\n", b""), allocator)


@test("preload: a shell that uses all descriptor numbers for itself keeps them",
      [needs_cgroups, needs_preload])
def _():
    script = ("for n in $(seq 3 250); do eval \"exec $n<>/dev/null\"; done\n"
              "x=$(head -c 3000000 /dev/zero | tr '\\0' x); echo ${#x}\n"
              "for n in $(seq 3 250); do eval \"exec $n>&-\"; done; echo closed")
    done = run_in(capped(), "bash", "-c", script, env=environment("at=1,gate=50,wait=1ms"))
    equal((done.stdout, done.stderr), (b"3000000\nclosed\n", b""), "the shell")


@test("preload: a static program is not touched; words that are wrong are named and change nothing",
      [needs_preload])
def _():
    static = os.path.join(harness.options.loads, "load")
    plain = subprocess.run([static], env=environment(), capture_output=True, timeout=30)
    under = subprocess.run([static], env=environment(""), capture_output=True, timeout=30)
    equal((under.returncode, under.stderr), (plain.returncode, plain.stderr), "the static program")
    done = subprocess.run(["/bin/true"], env=environment("at=80,gat=88"), capture_output=True,
                          timeout=30)
    equal(done.returncode, 0, "exit code")
    check(b"'gat=88'" in done.stderr and b"try: " in done.stderr, f"stderr: {done.stderr!r}")


# --- for strangers ---------------------------------------------------------------------------

def needs_compiler():
    for tool in ("cc", "pkg-config", "nm", "/usr/bin/meson"):
        if shutil.which(tool) is None:
            raise Skip(f"no {tool}")
    if not os.path.exists(os.path.join(os.path.dirname(harness.options.binary), "build.ninja")):
        raise Skip("not beside a build")


@test("only plim_ names are exported, by soname libplimsoll.so.0", [needs_library, needs_compiler])
def _():
    listed = subprocess.run(["nm", "-D", "--defined-only", built("libplimsoll.so.0")],
                            capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1].split("@")[0] for line in listed.splitlines() if " T " in line}
    others = {line for line in listed.splitlines() if " T " not in line and " A " not in line}
    check(len(names) == 11 and all(name.startswith("plim_") for name in names), f"{sorted(names)}")
    equal(others, set(), "other symbols")
    listed = subprocess.run(["nm", "-g", "--defined-only", built("libplimsoll.a")],
                            capture_output=True, text=True, check=True).stdout
    archived = {line.split()[-1] for line in listed.splitlines() if len(line.split()) == 3}
    equal(archived, names, "names of the archive")
    head = subprocess.run(["objdump", "-p", built("libplimsoll.so.0")], capture_output=True,
                          text=True, check=True).stdout
    check("SONAME               libplimsoll.so.0\n" in head, "soname")
    equal([line.split()[1] for line in head.splitlines() if "NEEDED" in line], ["libc.so.6"],
          "libraries it needs")


@test("installed, the example builds by pkg-config alone, shared and static, in C and C++",
      [needs_cgroups, needs_library, needs_compiler])
def _():
    build = os.path.dirname(harness.options.binary)
    source = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "examples",
                          "selfcap.c")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["/usr/bin/meson", "install", "-C", build, "--no-rebuild", "--quiet",
                        "--destdir", folder], check=True, capture_output=True)
        config = subprocess.run(["find", folder, "-name", "plimsoll.pc"], capture_output=True,
                                text=True, check=True).stdout.split()
        equal(len(config), 1, "plimsoll.pc")
        env = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(config[0]),
               "PKG_CONFIG_SYSROOT_DIR": folder}
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "plimsoll"], env=env,
                               capture_output=True, text=True, check=True).stdout.split()
        libdir = os.path.dirname(os.path.dirname(config[0]))
        check(os.path.exists(os.path.join(libdir, "libplimsoll-preload.so")), "the preload")
        header = os.path.join(folder, "only.cc")
        with open(header, "w", encoding="ascii") as file:
            file.write("#include <plimsoll.h>\nint main() { return plim_close(nullptr); }\n")
        strict = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
        program = os.path.join(folder, "selfcap")
        archive = os.path.join(libdir, "libplimsoll.a")
        for command in (["cc", *strict, "-std=gnu11", source, "-o", program, *flags],
                        ["cc", *strict, "-std=gnu11", source, "-o", program + "-static",
                         *[f for f in flags if f.startswith("-I")], archive]):
            subprocess.run(command, check=True, timeout=60)
        if shutil.which("c++"):
            subprocess.run(["c++", *strict, header, "-o", header + ".out", *flags], check=True,
                           timeout=60)
        for name in (program, program + "-static"):
            done = run_in(capped(), name, 200, 0.5, env=environment(LD_LIBRARY_PATH=libdir))
            check(b" of  128 MB" in done.stdout, f"{name}: {done.stdout!r}")


if __name__ == "__main__":
    main()
