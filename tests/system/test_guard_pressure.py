#!/usr/bin/python3
"""Programs of a guarded group that listen at the guard's socket are told of notify: themselves, and
nobody else."""
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import time

import harness
from agents import Agent
from harness import (MIB, Skip, check, equal, group, main, needs_cgroups, note, test, top,
                     wait_for)
from seedload import Guard

LIMIT = 64 * MIB

# As $MEMORY_PRESSURE_WATCH has it: connects, writes what $MEMORY_PRESSURE_WRITE says, polls, reads.
# On a word on its input it takes so many MiB and keeps them. A line for each time it was told.
CLIENT = r"""
import base64, os, select, signal, socket, sys
signal.alarm(180)
if int(sys.argv[1]):
    os.setgroups([])
    os.setresuid(*[int(sys.argv[1])] * 3)
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["MEMORY_PRESSURE_WATCH"])
s.sendall(base64.b64decode(os.environ.get("MEMORY_PRESSURE_WRITE", "")))
print("ready", flush=True)
kept = []
while True:
    for fd in select.select([s, 0], [], [])[0]:
        if fd == 0:
            word = sys.stdin.readline()
            if not word:
                sys.exit(0)
            kept += [b"x" * (1 << 20) for _ in range(int(word))]
            print("full", flush=True)
        else:
            got = s.recv(4096)
            print("told" if got else "hung up", flush=True)
            if not got:
                sys.exit(0)
"""


def join(member):
    harness.write(member.dir + "/cgroup.procs", "0")


class Client:
    def __init__(self, path, member, uid=0):
        env = {"MEMORY_PRESSURE_WATCH": path, "MEMORY_PRESSURE_WRITE": "c29tZSAyMDAwMDAgMjAwMDAwMAA="}
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", CLIENT, str(uid)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=env, preexec_fn=lambda: join(member))
        self.text = b""
        harness._loads.append(self)
        self.wait(b"ready")

    def said(self, seconds=0.0):
        """All that it has said, with what comes within so long."""
        while select.select([self.process.stdout], [], [], seconds)[0]:
            chunk = os.read(self.process.stdout.fileno(), 4096)
            if not chunk:
                break
            self.text += chunk
        return self.text.split(b"\n")[:-1]

    def wait(self, line, seconds=10):
        wait_for(lambda: line in self.said(0.02), seconds, lambda: f"{line!r} of a client: {self.text!r}")

    def take(self, mib):
        self.process.stdin.write(b"%d\n" % mib)
        self.process.stdin.flush()
        self.wait(b"full")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def folder_of_root():
    """Others may pass through it, and connect."""
    with tempfile.TemporaryDirectory(prefix="plimsoll-pressure-", dir="/run") as folder:
        os.chmod(folder, 0o755)
        yield folder


@contextlib.contextmanager
def guarding(target, folder, *options):
    guard = Guard(target, folder, "--pressure-socket", folder + "/s", "--at", "50%", "--do", "notify",
                  *options)
    yield guard
    if guard.stream.process.poll() is None:
        guard.end()


def ended(guard, count=1):
    """The record of the last of so many notifies."""
    def ends():
        return [r for r in guard.stream.objects() if r["kind"] == "end" and r["action"] == "notify"]

    guard.stream.read_for(30 * harness.PATIENCE, lambda _: len(ends()) >= count)
    check(len(ends()) >= count, f"notify is done: {guard.stream.errors()}")
    return ends()[count - 1]


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


@test("programs of the group, and of those below it, are told at the mark, and those beside it are not",
      needs=(needs_cgroups,))
def told():
    with folder_of_root() as folder:
        box, other = group("told", LIMIT), group("beside", LIMIT)
        first, second = box.child("first"), box.child("second")  # v2: programs are in leaves alone
        with guarding(box.path, folder) as guard:
            path = folder + "/s"
            equal(stat.S_IMODE(os.stat(path).st_mode), 0o666, "who may connect")
            inside = Client(path, first)
            deeper = Client(path, second, uid=65534)  # as most programs of containers: not root
            outside = Client(path, other)
            check(b"told" not in inside.said(0.3), "nobody is told before the mark")
            start = time.monotonic()
            inside.take(40)
            inside.wait(b"told")
            note(f"40 MiB taken and told within {(time.monotonic() - start) * 1000:.0f} ms")
            deeper.wait(b"told")
            record = ended(guard)
            equal(record["outcome"], "done", "the outcome")
            check(record["text"].endswith("; told 2 programs by their sockets"), record["text"])
            equal(outside.said(0.3), [b"ready"], "what the other was told")
        check(not os.path.exists(path), "the socket is there after the guard's end")
        for client in (inside, outside):
            client.wait(b"hung up")


def built(name):
    """Of the library; in the virtual machine all lies beside the command."""
    beside = os.path.dirname(harness.options.binary)
    for folder in ("include", "tests/loads", ""):
        path = os.path.join(beside, folder, name)
        if os.path.exists(path):
            return path
    raise Skip(f"no {name} in this build")


@test("who comes while the mark is passed is told at once, and who comes below it is not",
      needs=(needs_cgroups,))
def late():
    with folder_of_root() as folder:
        box, path = group("late", LIMIT), folder + "/s"
        with guarding(box.path, folder, "--cooldown", "1h") as guard:
            first = Client(path, box)
            first.take(40)
            first.wait(b"told")
            ended(guard)
            Client(path, box).wait(b"told")
            first.end()
            guard.stream.read_for(30 * harness.PATIENCE, lambda _: below(guard))
            check(below(guard), f"the mark is left: {guard.stream.errors()}")
            equal(Client(path, box).said(0.3), [b"ready"], "what who came later was told")


def below(guard):
    return [r for r in guard.stream.objects() if r["kind"] == "mark" and not r["up"]]


@test("a program with libplimsoll is told too", needs=(needs_cgroups,))
def library():
    libraries, probe = os.path.dirname(built("libplimsoll.so.0")), built("libprobe")
    with folder_of_root() as folder:
        box, path = group("lib", LIMIT), folder + "/s"
        with guarding(box.path, folder):
            other = Client(path, box)
            child = subprocess.Popen(
                [probe, "pressure", str(20 * harness.PATIENCE)], stdout=subprocess.PIPE,
                env={"MEMORY_PRESSURE_WATCH": path, "LD_LIBRARY_PATH": libraries},
                preexec_fn=lambda: join(box))
            try:
                equal(child.stdout.readline(), b"ready\n", "it listens")
                other.take(40)
                equal(json.loads(child.stdout.read())["pressure"], 1, "its events")
            finally:
                child.kill()
                child.wait()
                child.stdout.close()


def polls(pid):
    """How often it has waited for something: its context switches."""
    status = harness.read(f"/proc/{pid}/status")
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)


@test("a byte at a time does not keep the guard awake", needs=(needs_cgroups,))
def drip():
    with folder_of_root() as folder:
        with guarding(group("drip", LIMIT).path, folder) as guard:
            writer = connect(folder + "/s")
            pid, sent = guard.stream.process.pid, 0
            before, spent = polls(pid), cpu_ms(pid)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                if fcntl.ioctl(writer, termios.TIOCOUTQ, bytes(4)) == bytes(4):
                    writer.send(b"x")
                    sent += 1
                time.sleep(0)
            woken = polls(pid) - before
            note(f"{sent} bytes taken, {woken} wake-ups, {cpu_ms(pid) - spent} ms of CPU in a second")
            check(sent <= 10, f"{sent} bytes taken within a second")
            writer.close()


@test("who connects and leaves without end keeps out nobody", needs=(needs_cgroups,))
def flood():
    with folder_of_root() as folder:
        box, beside, path = group("flood", LIMIT), group("flooding", LIMIT), folder + "/s"
        with guarding(box.path, folder) as guard:
            many = [subprocess.Popen([sys.executable, "-S", "-c", r"""
import signal, socket, sys
signal.alarm(180)
while True:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sys.argv[1])
""", path], preexec_fn=lambda: join(beside)) for _ in range(2)]
            try:
                time.sleep(0.5)
                spent, start = cpu_ms(guard.stream.process.pid), time.monotonic()
                client = Client(path, box)
                client.take(40)
                client.wait(b"told", 30)
                seconds = time.monotonic() - start
                note(f"connected, 40 MiB taken and told within {seconds * 1000:.0f} ms, "
                     f"{(cpu_ms(guard.stream.process.pid) - spent) / seconds:.0f} ms of CPU a second")
            finally:
                for one in many:
                    one.kill()
                    one.wait()


@test("who never reads, writes without end, or has gone holds up nobody", needs=(needs_cgroups,))
def hostile():
    with folder_of_root() as folder:
        box = group("lazy", LIMIT)
        path = folder + "/s"
        with guarding(box.path, folder, "--cooldown", "0ms") as guard:
            lazy = Client(path, box)
            lazy.process.send_signal(signal.SIGSTOP)
            gone = Client(path, box)
            gone.end()
            writer = connect(path)  # of our own group: not told
            writer.setblocking(False)
            written = 0
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                with contextlib.suppress(BlockingIOError):
                    written += writer.send(bytes(65536))
            willing = Client(path, box)
            willing.take(40)
            willing.wait(b"told")
            record = ended(guard)
            check(record["text"].endswith("; told 2 programs by their sockets"), record["text"])
            lazy.process.send_signal(signal.SIGCONT)
            lazy.wait(b"told")
            spent = cpu_ms(guard.stream.process.pid)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                with contextlib.suppress(BlockingIOError):
                    written += writer.send(bytes(65536))
            note(f"{cpu_ms(guard.stream.process.pid) - spent} ms of CPU in a second of writing, "
                 f"{written / MIB:.0f} MiB taken")
            writer.close()


def cpu_ms(pid):
    fields = harness.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")


def answers(path):
    with contextlib.suppress(OSError), connect(path):
        return True
    return False


@test("one group's programs do not take the room of others", needs=(needs_cgroups,))
def crowd():
    with folder_of_root() as folder:
        box, beside = group("crowd", LIMIT), group("crowded", LIMIT)
        path = folder + "/s"
        with guarding(box.path, folder) as guard:
            many = subprocess.Popen([sys.executable, "-S", "-c", r"""
import os, select, signal, socket, sys, time
signal.alarm(180)
all = []
for _ in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    all.append(s)
for _ in range(300):
    if len(select.select(all, [], [], 0)[0]) >= 136:
        break
    time.sleep(0.1)
time.sleep(1)
gone = select.select(all, [], [], 0)[0]
print(len(gone), {s.recv(1) for s in gone}, flush=True)
time.sleep(60)
""", path], stdout=subprocess.PIPE, preexec_fn=lambda: join(beside))
            try:
                equal(many.stdout.readline(), b"136 {b''}\n", "those that were hung up on")
                client = Client(path, box)
                client.take(40)
                client.wait(b"told")
                check(ended(guard)["text"].endswith("; told 1 program by its socket"), "how many")
            finally:
                many.kill()
                many.wait()
                many.stdout.close()


@test("what a killed guard left is replaced; anything else at the place is refused",
      needs=(needs_cgroups,))
def place():
    with folder_of_root() as folder:
        box = group("place", LIMIT)
        path = folder + "/s"

        def refused(where, words):
            done = harness.plimsoll("guard", "--audit", folder + "/audit", "--do", "notify",
                                    "--pressure-socket", where, box.path, code=None)
            check(done.code == 1 and words in done.err and where.rpartition("/")[0] in done.err,
                  f"{done.code}: {done.err}")

        with guarding(box.path, folder) as guard:
            refused(path, "another program listens at")
            guard.stream.process.kill()
            guard.stream.process.wait()
        check(os.path.exists(path), "a killed guard leaves its socket")
        with guarding(box.path, folder) as guard:
            client = Client(path, box)
            client.take(40)
            client.wait(b"told")
        with open(path, "w", encoding="ascii") as file:
            file.write("mine")
        refused(path, "no socket")
        equal(harness.read(path), "mine", "the file")
        refused(folder + "/none/s", "cannot open the folder")
        os.mkdir(folder + "/anybody")
        os.chmod(folder + "/anybody", 0o777)
        refused(folder + "/anybody/s", "can be changed by other users")
        refused(folder + "/" + "x" * 120, "longer than")
        done = harness.plimsoll("guard", "--pressure-socket", "s", box.path, code=2)
        check("full path" in done.err, done.err)
        done = harness.plimsoll("guard", "--do", "gc", "--pressure-socket", path, box.path, code=2)
        check("--pressure-socket is for notify" in done.err, done.err)


@test("a dry run tells nobody", needs=(needs_cgroups,))
def dry():
    with folder_of_root() as folder:
        with guarding(group("dry", LIMIT).path, folder, "--dry-run"):
            check(not os.path.exists(folder + "/s"), "a socket is there")
        done = harness.plimsoll("guard", "--dry-run", "--audit", folder + "/audit", "--do", "notify",
                                "--pressure-socket", folder + "/none/s", top().path, code=1)
        check("cannot open the folder" in done.err, done.err)


@test("the agent's guards tell programs by the socket of the configuration", needs=(needs_cgroups,))
def agent():
    with folder_of_root() as folder:
        path = folder + "/s"
        box, other = group("agents", LIMIT), group("not", LIMIT)

        def config(where):
            return (f"targets: all\ninterval: 200ms\n{where}guards:\n"
                    f"  - {{match: {{cgroup: '{top().path}/agents*'}}, at: 50%, do: notify}}\n")

        with Agent(config(f"pressure_socket: {path}\n")) as a:
            wait_for(lambda: a.records(kind="guard", target=box.path), 10, "a guard")
            client, beside = Client(path, box), Client(path, other)
            client.take(40)
            client.wait(b"told")
            wait_for(lambda: a.records(kind="end", target=box.path, action="notify"), 10, "its end")
            text = a.records(kind="end", target=box.path, action="notify")[-1]["text"]
            check(text.endswith("; told 1 program by its socket"), text)
            equal(beside.said(0.2), [b"ready"], "what the other was told")
            before = os.stat(path).st_ino
            os.kill(a.children()["guard"], signal.SIGKILL)
            client.wait(b"hung up")
            wait_for(lambda: answers(path) and os.stat(path).st_ino != before, 20,
                     "the next guard's socket")
            os.unlink(path)
            wait_for(lambda: answers(path), 20, "the socket that was removed is made anew")
            a.configure(config(f"pressure_socket: {path}2\n"))
            a.process.send_signal(signal.SIGHUP)
            wait_for(lambda: os.path.exists(path + "2") and not os.path.exists(path), 10,
                     "the socket's other place")
        check(not os.path.exists(path + "2"), "the socket is there after the agent's end")


if __name__ == "__main__":
    main()
