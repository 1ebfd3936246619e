"""run on a terminal with a shell's job control, without one, with readers that do not read, and as
the first process of a container."""
import fcntl
import json
import os
import pty
import select
import shlex
import signal
import struct
import subprocess
import tempfile
import termios
import time

from harness import PATIENCE, SMALL, check, equal, main, read, test, wait_for
from runs import Run, demo, is_alive, needs_runs, new_name, nothing_left, place, run, state
import harness

PROMPT = "ready> "


class Terminal:
    """An interactive bash on a terminal of its own."""

    def __init__(self, box):
        self.box, self.text = box, ""
        self.folder = tempfile.TemporaryDirectory()
        self.events = self.folder.name + "/events"
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                    signal.signal(number, signal.SIG_DFL)
                os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"],
                          {"PATH": os.environ["PATH"], "PS1": PROMPT, "TERM": "dumb", "HISTFILE": ""})
            finally:
                os._exit(1)
        harness._streams.append(self)
        # Without echo, what comes back is what was printed.
        self.expect(PROMPT)
        self.line("stty -echo; bind 'set enable-bracketed-paste off' 2>/dev/null; set +o emacs")
        self.expect(PROMPT)

    def expect(self, word, seconds=30):
        """Reads on until a word comes; what was before it."""
        end = time.monotonic() + seconds * PATIENCE
        while word not in self.text:
            left = end - time.monotonic()
            check(left > 0, f"no {word!r} on the terminal; it has: {self.text!r}")
            if select.select([self.fd], [], [], left)[0]:
                try:
                    chunk = os.read(self.fd, 4096)
                except OSError:  # the other end is closed
                    chunk = b""
                check(chunk, f"the terminal ended before {word!r}; it has: {self.text!r}")
                self.text += chunk.decode("utf-8", "replace")
        before, _, self.text = self.text.partition(word)
        return before

    def keys(self, text):
        os.write(self.fd, text.encode())

    def line(self, text):
        self.keys(text + "\n")

    def code(self):
        """The exit code of the last command, at the prompt."""
        self.line("echo code=$?=")
        self.expect("code=")
        number = self.expect("=")
        self.expect(PROMPT)
        return int(number)

    def start(self, *command, options=("-m", "40M"), behind=""):
        """Starts a run; its first start event."""
        words = [harness.options.binary, "run", *options, "--name", new_name(), "--cgroup-parent",
                 self.box.path, "--events", self.events, "--", *command]
        self.line(" ".join(shlex.quote(str(word)) for word in words) + behind)
        return self.event("start")

    def all(self, word):
        if not os.path.exists(self.events):
            return []
        lines = read(self.events).split("\n")[:-1]
        return [e for e in map(json.loads, lines) if e["event"] == word]

    def event(self, word, count=1):
        wait_for(lambda: len(self.all(word)) >= count, 10, lambda: f"event {word} on {self.text!r}")
        return self.all(word)[count - 1]

    def end(self):
        if self in harness._streams:
            harness._streams.remove(self)
        for pid in [*children_of(self.pid), self.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        self.box.remove()
        self.folder.cleanup()


def parent_of(pid):
    return int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])


def children_of(pid):
    found = []
    for other in filter(str.isdigit, os.listdir("/proc")):
        try:
            if parent_of(other) == pid:
                found.append(int(other))
        except OSError:
            pass
    return found


def stopped(*pids):
    wait_for(lambda: all(state(pid) == "T" for pid in pids), 5, "all to be stopped")


def going(*pids):
    wait_for(lambda: all(state(pid) in "SRD" for pid in pids), 5, "all to go on")


@test("Ctrl-C ends program and supervisor with 130, and nothing is left", [needs_runs])
def _():
    box = place()
    terminal = Terminal(box)
    pid = terminal.start(*demo("sleep"))["pid"]
    terminal.expect("main")
    terminal.keys("\x03")
    terminal.expect(PROMPT)
    equal(terminal.code(), 130, "exit code")
    check(not is_alive(pid), "the program still runs")
    nothing_left(box)
    terminal.end()


@test("the climber on a terminal: restarted with growing delays until Ctrl-C, which leaves no "
      "process and no group", [needs_runs])
def _():
    box = place()
    terminal = Terminal(box)
    terminal.start(*demo("-s", 0, "climb", 250), options=("-m", "60M", "--backoff", "100ms"))
    terminal.event("exit", 3)
    equal([(e["cause"], e["whose"], e["delay_ms"]) for e in terminal.all("exit")][:3],
          [("oom", "own", 100), ("oom", "own", 200), ("oom", "own", 400)], "told")
    time.sleep(0.05)  # it waits for the next start now
    terminal.keys("\x03")
    terminal.expect(PROMPT)
    equal(terminal.code(), 130, "exit code")
    for event in terminal.all("start"):
        check(not is_alive(event["pid"]), "a program still runs")
    nothing_left(box)
    terminal.end()


@test("Ctrl-Z stops both, fg wakes both, and Ctrl-C ends them", [needs_runs])
def _():
    box = place()
    terminal = Terminal(box)
    pid = terminal.start(*demo("sleep"))["pid"]
    supervisor = parent_of(pid)
    terminal.expect("main")
    for _ in range(3):
        terminal.keys("\x1a")
        terminal.expect("Stopped")
        terminal.expect(PROMPT)
        stopped(pid, supervisor)
        terminal.line("fg")
        going(pid, supervisor)
        time.sleep(0.05)
    terminal.keys("\x03")
    terminal.expect(PROMPT)
    equal(terminal.code(), 130, "exit code")
    nothing_left(box)
    terminal.end()


@test("a stopped job can be continued in the background and killed from there", [needs_runs])
def _():
    box = place()
    terminal = Terminal(box)
    pid = terminal.start(*demo("sleep"))["pid"]
    supervisor = parent_of(pid)
    terminal.expect("main")
    terminal.keys("\x1a")
    terminal.expect("Stopped")
    terminal.expect(PROMPT)
    terminal.line("bg")
    terminal.expect(PROMPT)
    going(pid, supervisor)
    terminal.line("kill %1; wait %1")
    terminal.expect(PROMPT)
    wait_for(lambda: not is_alive(pid) and not is_alive(supervisor), 10, "the end of the job")
    nothing_left(box)
    terminal.end()


@test("a job started in the background is told apart from the shell's, and ends with it",
      [needs_runs])
def _():
    box = place()
    terminal = Terminal(box)
    pid = terminal.start(*demo("sleep"), behind=" &")["pid"]
    supervisor = parent_of(pid)
    going(pid, supervisor)
    terminal.line("echo still=here")
    terminal.expect("still=here")
    terminal.keys("\x03")  # is for the shell alone
    terminal.expect(PROMPT)
    time.sleep(0.1)
    going(pid, supervisor)
    terminal.line("kill -INT %1; wait %1")
    wait_for(lambda: not is_alive(pid) and not is_alive(supervisor), 10, "the end of the job")
    nothing_left(box)
    terminal.end()


COUNTER = """
import os, signal, time
got = {2: 0, 28: 0}
def count(number, frame):
    got[number] += 1
    os.write(1, b"came %d;" % number)
signal.signal(2, count)
signal.signal(28, count)
print("main 1", flush=True)
end = time.monotonic() + 60
while got[2] < 2 and time.monotonic() < end: time.sleep(0.02)
time.sleep(0.2)
print("counted", got[2], got[28], "!", flush=True)
"""


@test("what the terminal sends reaches the program once: Ctrl-C and a change of its size",
      [needs_runs])
def _():
    box = place()
    terminal = Terminal(box)
    terminal.start("/usr/bin/python3", "-c", COUNTER)
    terminal.expect("main")
    for rows in (30, 40, 50):
        fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 90, 0, 0))
        terminal.expect("came 28;")
        time.sleep(0.1 * PATIENCE)  # for one more of it
    for _ in range(2):
        terminal.keys("\x03")
        terminal.expect("came 2;")
        time.sleep(0.1 * PATIENCE)
    terminal.expect("counted ")
    equal(terminal.expect(" !"), "2 3", "signals that came")
    terminal.expect(PROMPT)
    equal(terminal.code(), 0, "exit code of a program that handles Ctrl-C")
    nothing_left(box)
    terminal.end()


@test("a program reads the terminal, and sees it as one", [needs_runs])
def _():
    box = place()
    terminal = Terminal(box)
    terminal.start("/bin/sh", "-c", 'test -t 0 && test -t 1 && echo is-one; read line; echo "got $line"')
    terminal.expect("is-one")
    terminal.line("hello there")
    terminal.expect("got hello there")
    terminal.expect(PROMPT)
    equal(terminal.code(), 0, "exit code")
    nothing_left(box)
    terminal.end()


@test("the terminal is hung up: program, supervisor and groups go", [needs_runs])
def _():
    box = place()
    terminal = Terminal(box)
    pid = terminal.start(*demo("sleep"))["pid"]
    supervisor = parent_of(pid)
    terminal.expect("main")
    os.kill(terminal.pid, signal.SIGHUP)  # bash sends it on to its jobs
    wait_for(lambda: not is_alive(pid) and not is_alive(supervisor), 10, "the end of both")
    nothing_left(box)
    terminal.end()


# --- no terminal -----------------------------------------------------------------------------

@test("without a terminal, in a session of its own, TERM and INT end the program alike",
      [needs_runs])
def _():
    box = place()
    for number in (signal.SIGTERM, signal.SIGINT):
        one = Run(box, "-m", "40M", "--grace", "5", "--", *demo("sleep"), start_new_session=True)
        pid = one.wait_event("start")["pid"]
        one.wait_out("main")
        one.signal(number)
        one.finish(code=128 + number)
        check(not is_alive(pid), "the program still runs")
        nothing_left(box)


@test("closed standard streams are no reason to fail", [needs_runs])
def _():
    box = place()
    name = new_name()
    done = subprocess.run(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", harness.options.binary, "run",
                           "--name", name, "-m", "40M", "--cgroup-parent", box.path, "--", "/bin/sh",
                           "-c", "exit 9"], timeout=60)
    equal(done.returncode, 9, "exit code")
    nothing_left(box)


# --- readers that do not read ----------------------------------------------------------------

def full_pipe():
    """A pipe that takes nothing more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
    return reader, writer


def lines_in(path):
    return read(path).count("\n")


ROUNDS = 6


@test("a reader of stderr that does not read stops nothing", [needs_runs])
def _():
    box = place()
    reader, writer = full_pipe()
    with tempfile.NamedTemporaryFile() as count:
        one = Run(box, "-v", "-m", "40M", "--restart", "always", "--backoff", "1ms", "--", "/bin/sh", "-c",
                  f"echo x >> {count.name}", stderr=writer)
        wait_for(lambda: lines_in(count.name) >= ROUNDS, 10, f"{ROUNDS} starts")
        one.wait_event("start", ROUNDS)
        one.signal(signal.SIGTERM)
        one.finish()
    os.close(writer)
    os.close(reader)
    nothing_left(box)


@test("a reader of events that does not read stops nothing, and is told how many it missed",
      [needs_runs])
def _():
    box = place()
    with tempfile.TemporaryDirectory() as folder:
        fifo, count = folder + "/fifo", folder + "/count"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 8192)
        child = subprocess.Popen([harness.options.binary, "run", "-q", "-m", "40M", "--name", new_name(),
                                  "--cgroup-parent", box.path, "--restart", "always", "--backoff", "1ms",
                                  "--events", fifo, "--", "/bin/sh", "-c",
                                  f"echo x >> {count}; [ $(wc -l < {count}) -lt 9 ] || sleep 60"],
                                 stdin=subprocess.DEVNULL)
        try:
            open(count, "w").close()
            wait_for(lambda: lines_in(count) >= 9, 20, "9 starts")
            first = os.read(reader, 1 << 16)
            child.send_signal(signal.SIGTERM)
            equal(child.wait(20 * PATIENCE), 143, "exit code")
            rest = os.read(reader, 1 << 16)
        finally:
            child.kill()
            child.wait()
            os.close(reader)
        events = [json.loads(line) for line in (first + rest).split(b"\n")[:-1]]
        seen = [e for e in events if "dropped" in e]
        equal(len(seen), 1, f"events that tell of a loss in {events}")
        # start and exit of 8, start of the ninth, stopping, exit, end
        equal(len(events) + seen[0]["dropped"], 8 * 2 + 1 + 3, "events read and missed")
    nothing_left(box)


@test("a reader of stderr that went away stops nothing", [needs_runs])
def _():
    box = place()
    reader, writer = os.pipe()
    os.close(reader)
    with tempfile.NamedTemporaryFile() as count:
        one = Run(box, "-v", "-m", "40M", "--restart", "always", "--backoff", "1ms", "--", "/bin/sh", "-c",
                  f"echo x >> {count.name}", stderr=writer)
        os.close(writer)
        wait_for(lambda: lines_in(count.name) >= 3, 10, "3 starts")
        one.signal(signal.SIGTERM)
        one.finish()
    nothing_left(box)


@test("the program's own output is not held up: 50 MB through a pipe", [needs_runs])
def _():
    box = place()
    size = 10 if SMALL else 50
    done = subprocess.run([harness.options.binary, "run", "-q", "-m", "40M", "--cgroup-parent", box.path,
                           "--", "/usr/bin/head", "-c", f"{size}M", "/dev/zero"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60)
    equal((done.returncode, len(done.stdout)), (0, size << 20), "exit code and bytes")


# --- pid 1 -----------------------------------------------------------------------------------

ORPHANS = 'for i in 1 2 3 4 5; do (sleep 0.0$i &); done; sleep 2; ' \
          'for p in /proc/[0-9]*; do sed -n "s/^.*) Z .*/zombie/p" $p/stat; done; echo $PPID; exit 4'


@test("as the first process of a pid namespace it reaps what is orphaned, and ends with the "
      "command's code", [needs_runs])
def _():
    box = place()
    done = run(box, "-m", "40M", "--", "/bin/sh", "-c", ORPHANS, code=4,
               prefix=["unshare", "--pid", "--fork", "--mount-proc"])
    equal(done.out.split(), ["1"], "zombies, and the supervisor's pid")


ADOPTED = """for i in 1 2 3; do
    (/bin/sh -c 'sleep 0.1; read -r pid name state parent rest </proc/$$/stat; echo $parent' &)
done
sleep 2
for p in /proc/[0-9]*; do
    read -r line 2>/dev/null <$p/stat || continue
    case $line in *") Z $PPID "*) echo zombie;; esac
done
echo $PPID"""


@test("elsewhere what is orphaned becomes its child, and is reaped too", [needs_runs])
def _():
    done = run(place(), "-m", "40M", "--", "/bin/sh", "-c", ADOPTED, code=0)
    found = done.out.split()
    check(len(found) == 4 and len(set(found)) == 1, f"parents, zombies and the supervisor: {found}")


@test("an OOM kill inside of a pid namespace is told for what it is", [needs_runs])
def _():
    box = place()
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    done = run(box, "-m", "20M", "--restart", "never", "--", *demo("-s", 0, "climb", 60), prefix=inside,
               code=137)
    equal((done.exit["cause"], done.exit["whose"]), ("oom", "own"), f"told: {done.err!r}")
    done = run(box, "-m", "20M", "--restart", "never", "--", "/bin/sh", "-c", "kill -9 $$",
               prefix=inside, code=137)
    equal((done.exit["cause"], done.exit["whose"]), ("killed", None), f"told: {done.err!r}")


@test("TERM to a pid namespace's first process ends the program", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "40M", "--", *demo("sleep"),
              prefix=["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
    one.wait_out("main")
    supervisor = children_of(one.pid)[0]
    os.kill(supervisor, signal.SIGTERM)
    one.finish()
    equal(one.exit()["cause"], "stopped", f"told: {one.err!r}")
    nothing_left(box)


main()
