"""Programs that must not be touched live on whatever `gc`, `gc --inject` and `heap` are asked of
them, and are told apart with words."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import harness
from harness import PATIENCE, Skip, check, equal, main, note, plimsoll, read, test

# Of each command on each program.
TRIES = max(1, int(os.environ.get("PLIMSOLL_TRIES", "2")))
COMMANDS = (("gc", "--timeout", "1"), ("gc", "--inject", "--timeout", "1"), ("heap",))


def commands():
    """All of them; `heap` where its executable lies beside."""
    return COMMANDS if os.access(harness.options.binary + "-inspect", os.X_OK) else COMMANDS[:2]


def built(name):
    path = os.path.join(harness.options.loads, "rt", name)
    if not os.access(path, os.X_OK):
        raise Skip(f"no {name} was built")
    return path


class Program:
    """A program that has said "ready", and lives until its input ends."""

    def __init__(self, *args, **how):
        try:
            self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            text=True, **how)
        except FileNotFoundError as error:
            raise Skip(f"no {args[0]} here") from error
        self.pid = self.process.pid
        self.said = self.process.stdout.readline().split()
        check(self.said[:1] == ["ready"], f"{args} said {self.said}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def end(self):
        """It has not been harmed when it ends as it would have."""
        self.process.stdin.close()
        equal(self.process.wait(20 * PATIENCE), 0, "its exit code")


def state(pid):
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def ask_all(pid, codes, wanted=()):
    """Every command, TRIES times; the process is the same, in the same state and traced by the same
    afterwards. `wanted`: a word that each refusal has."""
    before, tracer = state(pid), tracer_of(pid)
    began = time.monotonic()
    for number, command in enumerate(commands()):
        for _ in range(TRIES):
            done = plimsoll(command[0], pid, *command[1:], code=None)
            check(done.code in codes[number],
                  f"{command}: exit code {done.code}, want {codes[number]}: {done.err or done.out}")
            if done.code != 0:
                check(any(word in done.out + done.err for word in wanted),
                      f"{command}: none of {wanted} in {done.out + done.err!r}")
            now = state(pid)
            equal(now[19], before[19], "its start: it is another one")
            check(now[0] not in "ZX" or before[0] in "ZX", f"it has died of {command}")
    equal(tracer_of(pid), tracer, "who traces it")
    if before[0] in "TtZ":
        equal(state(pid)[0], before[0], "its state")
    note(f"{TRIES * len(commands())} times in {time.monotonic() - began:.1f} s")


def tracer_of(pid):
    return next(line for line in read(f"/proc/{pid}/status").splitlines()
                if line.startswith("TracerPid"))


NO = (1, 2)  # refused, or not to be looked into
REFUSED = ((1,), (1,), (0, 1, 2))


@contextlib.contextmanager
def native(way, name="native"):
    """The load by another name, in a folder of its own."""
    program = built("native")
    with tempfile.TemporaryDirectory(prefix="plimsoll-test-") as folder:
        path = harness.copy_program(program, os.path.join(folder, name))
        with Program(path, way, "4") as made:
            yield made


for _name in ("java", "node", "python3"):
    @test(f"a C program called {_name}, for which SIGUSR1 and SIGQUIT are death")
    def _(name=_name):
        with native("read", name) as made:
            ask_all(made.pid, ((1,), (0,), (0, 1)), ("--inject",))
            made.end()


@test("a static program")
def _():
    path = os.path.join(harness.options.loads, "load")
    with Program(path, "anon", "2") as made:
        ask_all(made.pid, REFUSED, ("static",))
        made.process.stdin.close()
        made.process.wait(20)


@test("a program under strict seccomp")
def _():
    with native("strict") as made:
        ask_all(made.pid, ((1,), (1,), (0, 1)), ("seccomp", "--inject"))
        made.end()


@test("a program under a seccomp filter that kills for what malloc_trim would call")
def _():
    with native("filter") as made:
        ask_all(made.pid, ((1,), (1,), (0, 1)), ("filter", "seccomp", "--inject"))
        made.end()


@test("a program that is stopped stays stopped")
def _():
    with native("read") as made:
        os.kill(made.pid, signal.SIGSTOP)
        for _ in range(100):
            if state(made.pid)[0] == "T":
                break
            time.sleep(0.01)
        ask_all(made.pid, ((1,), (1,), (0, 1)), (f"kill -CONT {made.pid}", "--inject"))
        os.kill(made.pid, signal.SIGCONT)
        made.end()


@test("a stopped Python: nothing is written into it, and it is said what makes it go on")
def _():
    code = ("import gc, sys\n"
            "seen = []\n"
            "gc.callbacks.append(lambda phase, info: seen.append(info['generation']))\n"
            "print('ready', flush=True)\n"
            "sys.stdin.read()\n"
            "sys.exit(1 if 2 in seen else 0)\n")
    with Program(sys.executable, "-c", code) as made:
        os.kill(made.pid, signal.SIGSTOP)
        for _ in range(100):
            if state(made.pid)[0] == "T":
                break
            time.sleep(0.01)
        ask_all(made.pid, ((1,), (1,), (0, 1)), (f"kill -CONT {made.pid}", "--inject"))
        done = plimsoll("gc", made.pid, "--inject", code=1)
        check(f"kill -CONT {made.pid}" in done.out + done.err, done.out + done.err)
        os.kill(made.pid, signal.SIGCONT)
        made.end()


@test("a program that somebody else traces stays with him")
def _():
    with native("traced") as made:
        ask_all(int(made.said[1]), ((1,), (1,), (0, 1)), ("traced", "--inject"))
        made.end()


@test("a 32-bit program")
def _():
    with Program(built("tiny32")) as made:
        ask_all(made.pid, REFUSED, ("64-bit", "static", "recognised"))
        made.end()


@test("a JVM that was told to take no signals (-Xrs)")
def _():
    java = shutil.which("java")
    classes = os.path.join(harness.options.loads, "rt")
    if not java or not os.path.exists(os.path.join(classes, "Garbage.class")):
        raise Skip("no java here")
    with Program(java, "-Xrs", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
                 classes, "Garbage", "1", "1") as made:
        ask_all(made.pid, ((1,), (1,), (0, 1)), ("SIGQUIT", "-Xrs"))
        made.process.stdin.close()
        made.process.wait(20 * PATIENCE)


@test("a node that takes no SIGUSR1")
def _():
    node = shutil.which("node")
    if not node:
        raise Skip("no node here")
    code = ("process.on('SIGUSR1', () => {}); console.log('ready');"
            "process.stdin.on('end', () => process.exit(0)).resume()")
    with Program(node, "-e", code) as made:
        ask_all(made.pid, ((1,), (1,), (0, 1)), ("SIGUSR1",))
        made.end()


@test("a program with all signals blocked")
def _():
    with native("blocked") as made:
        ask_all(made.pid, ((1,), (0, 1), (0, 1)), ("--inject", "safe point"))
        made.end()


@test("a program in an uninterruptible wait for its child")
def _():
    # vfork: the parent waits in D until the child calls exec or ends.
    code = ("import ctypes, os, sys\n"
            "libc = ctypes.CDLL(None)\n"
            "print('ready', flush=True)\n"
            "if libc.vfork() == 0:\n"
            "    libc.sleep(600)\n"
            "    libc._exit(0)\n")
    made = Program(sys.executable, "-c", code)
    try:
        for _ in range(200):
            if state(made.pid)[0] == "D":
                break
            time.sleep(0.01)
        else:
            raise Skip("vfork does not wait in D here")
        ask_all(made.pid, ((1,), (1,), (0, 1)), ("safe point", "uninterruptible", "--inject",
                                                 "answer"))
    finally:
        children = read(f"/proc/{made.pid}/task/{made.pid}/children").split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        made.process.kill()
        made.process.wait()


@test("a zombie")
def _():
    child = subprocess.Popen(["/bin/true"])
    try:
        for _ in range(200):
            if state(child.pid)[0] == "Z":
                break
            time.sleep(0.01)
        ask_all(child.pid, (NO, NO, NO), ("zombie", "ended", "no process", "nothing"))
    finally:
        child.wait()


@test("a thread of the kernel (process 2)")
def _():
    if not os.path.exists("/proc/2/stat") or "kthreadd" not in read("/proc/2/stat"):
        raise Skip("no kernel threads to be seen here")
    ask_all(2, (NO, NO, NO), ("kernel",))


@test("the machine's first process")
def _():
    ask_all(1, ((1, 2), (1, 2), (0, 1, 2)), ("--inject", "first", "static", "refused",
                                             "recognised", "cannot tell"))


@test("ourselves: plimsoll itself, asked to look into the process that it is")
def _():
    for command in commands():
        for _ in range(TRIES):
            line = f'exec "$0" {command[0]} $$ {" ".join(command[1:])}'
            done = subprocess.run(["sh", "-c", line, harness.options.binary],
                                  capture_output=True, text=True, timeout=20 * PATIENCE)
            check(done.returncode in (0, 1, 2),
                  f"{command}: exit code {done.returncode}: {done.stderr}")


main(at_once=6)
