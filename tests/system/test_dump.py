"""`plimsoll dump`: what is written down of a group, while it works and while it hangs, and what a
hostile group, a full disk or a dying process cannot do to that."""
import glob
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time

import harness
from harness import (MIB, PATIENCE, Load, Skip, check, equal, group, machine, main, near,
                     needs_cgroups, needs_v1, no_control_bytes, note, plimsoll, read, test, wait_for, write)
from agents import Agent
from runtimes import Program, program

TRIES = max(1, int(os.environ.get("PLIMSOLL_TRIES", "2" if harness.SMALL else "10")))
SECRET = "PASSWORD=hunter2-in-the-environment"


class Dump:
    """One run of the command, into a folder that goes away with the test."""

    def __init__(self, target, *args, out=None, code=0, socket="/nowhere/at/all.sock", **how):
        self.top = out or tempfile.mkdtemp(prefix="plimsoll-dump-")
        self.made = out is None
        began = time.monotonic()
        self.done = plimsoll("dump", target, "--out", self.top, "--json", "--socket", socket, *args,
                             code=code, **how)
        self.took = time.monotonic() - began
        self.said = self.done.objects[0] if code == 0 else None
        self.folder = self.said["folder"] if self.said else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.made:
            shutil.rmtree(self.top)

    def raw(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def text(self, name):
        return self.raw(name).decode("utf-8", "replace")

    def has(self, name):
        return os.path.exists(os.path.join(self.folder, name))

    def index(self):
        return json.loads(self.raw("index.json"))

    def files(self):
        return sorted(os.path.relpath(os.path.join(at, name), self.folder)
                      for at, _, names in os.walk(self.folder) for name in names)


def in_group(box, *args, **how):
    return subprocess.Popen(args, preexec_fn=lambda: box.add(os.getpid()),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, **how)


class Python:
    def __init__(self, box, code, *args, **how):
        self.process = in_group(box, "/usr/bin/python3", "-c", code, *args, **how)
        self.pid = self.process.pid
        harness._loads.append(self)
        check(self.process.stdout.readline() == b"ready\n", "the program has not begun")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


HOLDS = """
import sys, threading
kept = bytearray(b"x" * (30 << 20))
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@test("memory, processes and threads are written down, and the index lists every file",
      needs=[needs_cgroups])
def everything():
    box = group("dump", limit=300 * MIB)
    load = Load("anon", 40, groups=[box])
    held = Python(box, HOLDS, env={**os.environ, "SECRET": SECRET})
    with Dump(box.path) as dump:
        index, summary = dump.index(), dump.text("summary.txt")
        no_control_bytes(dump.raw("summary.txt"), "the summary")
        equal(dump.said["outcome"], "done", "the outcome")
        equal((index["version"], index["complete"], index["disk_full"]), (1, True, False), "index")
        equal(index["target"], box.path, "its target")
        equal(index["limit"], 300 * MIB, "its limit")
        equal(index["reason"]["action"], "dump", "the record that led to it")
        near(index["usage"], box.usage(), 8 * MIB, "usage")
        by_pid = {row["pid"]: row for row in index["processes"]}
        equal(set(by_pid), {load.pid, held.pid}, "the processes")
        equal([row["pid"] for row in index["processes"]], [load.pid, held.pid], "largest first")
        for pid, row in by_pid.items():
            rollup = harness.read(f"/proc/{pid}/smaps_rollup")
            pss = int(re.search(r"^Pss:\s+(\d+)", rollup, re.M).group(1)) * 1024
            near(row["pss"], pss, MIB, f"PSS of {pid}")
            for name in ("status", "smaps_rollup", "maps", "limits", "cgroup", "cmdline", "fds",
                         "threads", "oom_score_adj"):
                check(dump.has(f"processes/{pid}/{name}"), f"there is no {name} of {pid}")
        check("python 3" in by_pid[held.pid]["runtime"], f"{by_pid[held.pid]['runtime']}")
        equal(by_pid[held.pid]["threads"], 2, "threads of the program")
        equal(len(dump.text(f"processes/{held.pid}/threads").splitlines()), 3, "lines of threads")
        stat_then = harness.keyed(dump.text("group/memory.stat"))
        near(stat_then["rss" if machine.version == "v1" else "anon"], 70 * MIB, 10 * MIB, "anon")
        listed = {file["name"]: file["bytes"] for file in index["files"]}
        equal(set(dump.files()), set(listed) | {"index.json"}, "the files of the index")
        for name, size in listed.items():
            equal(os.path.getsize(os.path.join(dump.folder, name)), size, f"size of {name}")
        check(all(SECRET.encode() not in dump.raw(name) for name in dump.files()),
              "an environment was written down")
        check("300M" in summary and f"{load.pid}" in summary, "the summary lacks limit or process")
        note(f"{len(listed)} files in {dump.took * 1000:.0f} ms, {dump.said['took_ms']} ms told")


@test("folders are for their owner alone, whatever the umask", needs=[needs_cgroups])
def modes():
    box = group("dumpmode")
    load = Load("anon", 1, groups=[box])
    top = os.path.join(tempfile.mkdtemp(prefix="plimsoll-dump-"), "made")
    with Dump(box.path, out=top, preexec_fn=lambda: os.umask(0)) as dump:
        check(dump.has(f"processes/{load.pid}/status"), "the process was not written down")
        for at, folders, names in os.walk(top):
            equal(stat.S_IMODE(os.stat(at).st_mode), 0o700, f"mode of {at}")
            for name in names:
                equal(stat.S_IMODE(os.stat(os.path.join(at, name)).st_mode), 0o600,
                      f"mode of {name}")
    shutil.rmtree(os.path.dirname(top))


@test("of a folder that is named only the last part is made, of one's own all", needs=[needs_cgroups])
def mistyped():
    box = group("dumptypo", limit=None)
    with tempfile.TemporaryDirectory(prefix="plimsoll-dump-") as top:
        done = plimsoll("dump", box.path, "--out", top + "/mistyped/dumps", code=1)
        check("is not there" in done.err, done.err)
        equal(os.listdir(top), [], "what was made")
    if os.geteuid() == 0 and shutil.which("unshare"):
        run = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /var/log && "$@" && '
               "exec ls /var/log/plimsoll/dumps", "sh", harness.options.binary, "dump", box.path]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60 * PATIENCE, check=False)
        check("/var/log/plimsoll/dumps/" in done.stdout and done.returncode == 0,
              f"the usual folder: {done.stdout} {done.stderr}")


@test("--no-cmdline leaves command lines out of all files", needs=[needs_cgroups])
def no_cmdline():
    box = group("dumpsecret")
    secret = "--token=argv-secret-4711"
    held = Python(box, HOLDS, secret)
    for args, want in (((), True), (("--no-cmdline",), False)):
        with Dump(box.path, *args) as dump:
            equal(dump.has(f"processes/{held.pid}/cmdline"), want, "whether cmdline is there")
            equal(any(secret.encode() in dump.raw(name) for name in dump.files()), want,
                  "whether an argument was written down")
            equal(dump.index()["cmdline"], want, "what the index says of it")


@test("the last ten minutes come from the agent, where there is one", needs=[needs_cgroups])
def history():
    if not os.access(harness.options.binary + "-front", os.X_OK):
        raise Skip("no plimsoll-front was built")
    box = group("dumppast", limit=200 * MIB)
    Load("anon", 40, groups=[box])
    with Agent("targets: all\n") as agent:
        wait_for(lambda: any(row["cgroup"] == box.path
                             for row in agent.json("/api/v1/targets")["targets"]), 10, "the group")
        wait_for(lambda: abs(agent.target(box.path)["used"] - 40 * MIB) < 4 * MIB, 10, "its use")
        time.sleep(2.5)
        with Dump(box.path, socket=agent.socket) as dump:
            equal(dump.said["outcome"], "done", dump.text("summary.txt"))
            series = json.loads(dump.raw("series.json"))["series"]
            used = next(one for one in series if one["metric"] == "plimsoll_memory_used_bytes")
            near(used["points"][-1][1], 40 * MIB, 4 * MIB, "used, as last seen by the agent")
            check(dump.has("events.json"), "there are no events")
            check("used was" in dump.text("summary.txt"), dump.text("summary.txt"))
            note(re.search(r"^used was .*", dump.text("summary.txt"), re.M).group())


# --- hanging -----------------------------------------------------------------------------------

FILLS = """
import sys, threading, time
def fill():
    time.sleep(0.3)
    kept = []
    while True:
        kept.append(bytearray(b"x" * (1 << 20)))
threading.Thread(target=fill, daemon=True).start()
print("ready", flush=True)
time.sleep(180)
"""


def watchdog(box, seconds):
    """Lets go of the group whatever becomes of the test: a process of its own."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        time.sleep(seconds)
        write(box.dir + "/memory.oom_control", "0")
        for load in box.pids():
            os.kill(load, signal.SIGKILL)
    finally:
        os._exit(0)


def hang(box):
    """The program at its limit, with nobody to kill it; and the watchdog's pid."""
    write(box.dir + "/memory.oom_control", "1")
    guard = watchdog(box, 120 * PATIENCE)
    held = Python(box, FILLS)
    wait_for(lambda: "under_oom 1" in read(box.dir + "/memory.oom_control"), 15, "the hang")
    return guard, held


def let_go(box, guard):
    write(box.dir + "/memory.oom_control", "0")
    os.kill(guard, signal.SIGKILL)
    os.waitpid(guard, 0)


@test("a group that hangs at its limit is written down, told as such, and left as it is",
      needs=[needs_v1])
def hanging():
    slowest = 0
    for _ in range(max(1, TRIES // 5)):
        box = group("dumphang", limit=60 * MIB)
        guard, held = hang(box)
        try:
            time.sleep(0.3)
            limit = box.limit()
            with Dump(box.path, "--timeout", "5s", timeout=20) as dump:
                summary, index = dump.text("summary.txt"), dump.index()
                check("HANGS: its tasks sleep at the memory limit" in summary, summary)
                check("mem_cgroup_oom_synchronize" in summary, summary)
                check(index["complete"] and index["hung"], "the index does not tell of the hang")
                equal(index["under_oom"], 1, "under_oom")
                row = index["processes"][0]
                equal(row["pid"], held.pid, "the process")
                check(row["waiting"] >= 1, "no thread waits")
                check(row["pss"] > 40 * MIB, f"its PSS was not read: {row}")
                check(f"{held.pid}" in dump.text("group/cgroup.procs"), "cgroup.procs")
                slowest = max(slowest, dump.took)
            equal(box.limit(), limit, "the limit afterwards")
            check("under_oom 1" in read(box.dir + "/memory.oom_control"), "it hangs no more")
            check(held.process.poll() is None, "the program has died")
        finally:
            let_go(box, guard)
            held.end()
    note(f"the slowest of them took {slowest * 1000:.0f} ms")


EATS = """
import os, sys
print("ready", flush=True)
sys.stdin.readline()
if os.fork() == 0:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    kept = [bytearray(b"x" * (1 << 20)) for _ in range(200)]
    os._exit(0)
os.wait()
print("fed", flush=True)
sys.stdin.read()
"""


def kernel_log():
    text, fd = b"", os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                text += os.read(fd, 8192)
            except BrokenPipeError:
                pass  # older lines have gone meanwhile
    except BlockingIOError:
        return text.decode("utf-8", "replace")
    finally:
        os.close(fd)


def killed_in(name):
    """A group in which somebody was killed for memory, and the kernel has reported it: it does so of
    ten in five seconds, on all of the machine."""
    for _ in range(6):
        box = group(name, limit=50 * MIB)
        held = Python(box, EATS)
        held.process.stdin.write(b"now\n")
        held.process.stdin.flush()
        equal(held.process.stdout.readline(), b"fed\n", "what it says after the kill")
        if box.path + "," in kernel_log():
            return box
        time.sleep(5.1)
    raise AssertionError("the kernel has reported none of the kills")


@test("the kernel's report of a kill in the group is in the dump, another group's is not",
      needs=[needs_cgroups])
def killed():
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY))
    except OSError as error:
        raise Skip(f"the kernel's log is withheld: {error}") from error
    boxes = [killed_in(f"dumpoom{i}") for i in range(2)]
    for box, other in (boxes, boxes[::-1]):
        with Dump(box.path) as dump:
            log, summary = dump.text("kernel.log"), dump.text("summary.txt")
            check(f"{box.path}," in log and "Killed process" in log, log)
            check(other.path not in log, log)
            check(re.search(r"killed for memory: \d+ \(python3\), anon", summary), summary)
            check("1 killed for memory" in summary, summary)


@test("with hardly any memory of our own it is done all the same", needs=[needs_cgroups])
def short_of_memory():
    box, ours = group("dumplean", limit=100 * MIB), group("dumpours", limit=8 * MIB)
    load = Load("anon", 20, groups=[box])
    with Dump(box.path, preexec_fn=lambda: ours.add(os.getpid())) as dump:
        equal(dump.said["outcome"], "done", dump.text("summary.txt"))
        equal([row["pid"] for row in dump.index()["processes"]], [load.pid], "the processes")
    peak = ours.file("memory.max_usage_in_bytes", "memory.peak")
    if os.path.exists(peak):
        note(f"at most {int(read(peak)) / MIB:.1f} MiB")


# --- hostile -----------------------------------------------------------------------------------

HOSTILE = b"../../x\n\x1b[31m\x07\xff\xe2\x80\xae\"}"


@test("hostile names of groups and processes stay inside, and reach no terminal",
      needs=[needs_cgroups])
def hostile():
    name = os.fsdecode(b"plk ..%2f\x1b[31m\xff\"}-\xe2\x80\xae")
    box = harness.top().child(name)
    box.limit(200 * MIB)
    code = ("import ctypes, sys; ctypes.CDLL(None).prctl(15, bytes.fromhex(sys.argv[1]));"
            "print('ready', flush=True); sys.stdin.read()")
    held = Python(box, code, HOSTILE.hex(), "\x1b]0;title\x07")
    with Dump(box.path) as dump:
        no_control_bytes(dump.raw("summary.txt"), "the summary")
        no_control_bytes(dump.raw(f"processes/{held.pid}/threads"), "the threads")
        check(re.fullmatch(r"[A-Za-z0-9._-]+-\d{8}T\d{6}Z", os.path.basename(dump.folder)),
              f"the folder is called {dump.folder!r}")
        for file in dump.files():
            check(re.fullmatch(r"[A-Za-z0-9._/-]+", file), f"a file is called {file!r}")
        equal(os.listdir(dump.top), [os.path.basename(dump.folder)], "what lies beside")
        equal([row["pid"] for row in dump.index()["processes"]], [held.pid], "the processes")


@test("what lies in the folder of dumps already is not followed, not written, not removed",
      needs=[needs_cgroups])
def strangers():
    box = group("dumpother")
    with tempfile.TemporaryDirectory(prefix="plimsoll-dump-") as top:
        victim = os.path.join(top, "victim")
        with open(victim, "w", encoding="ascii") as file:
            file.write("mine")
        other = os.path.join(top, "web-20200101T000000Z")  # our pattern, but none of ours
        os.mkdir(other)
        with open(other + "/index.json", "w", encoding="ascii") as file:
            file.write("{}")
        os.symlink(victim, os.path.join(top, "web-20200101T000001Z"))
        os.mkdir(os.path.join(top, "notes"))
        for _ in range(3):
            Dump(box.path, out=top)
        equal(open(victim, encoding="ascii").read(), "mine", "a file of another")
        check(os.path.exists(other + "/index.json"), "a folder of another was removed")
        equal(len(glob.glob(top + "/*dumpother*")), 3, "dumps of one second")


# --- full disks, dying processes, time ---------------------------------------------------------

@test("on a full disk what was had stays, and the summary says so", needs=[needs_cgroups])
def full_disk():
    box = group("dumpfull")
    load = Load("anon", 8, groups=[box])
    for size in ("64k", "16k", "8k"):
        top = tempfile.mkdtemp(prefix="plimsoll-dump-")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", top],
                              stderr=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            os.rmdir(top)
            raise Skip("cannot mount a tmpfs")
        try:
            dump = Dump(box.path, out=top)
            equal(dump.said["outcome"], "partly", f"the outcome on {size}")
            check("disk is full" in dump.said["text"], dump.said["text"])
            summary = dump.text("summary.txt")
            check(summary.startswith("plimsoll dump of "), f"{size}: {summary[:200]!r}")
            if size == "64k":
                check("THE DISK IS FULL" in summary and str(load.pid) in summary, summary)
                check(dump.has("group/memory.stat"), "what was had is gone")
            if dump.has("index.json"):
                equal(dump.index()["complete"], False, "complete")
        finally:
            subprocess.run(["umount", top], check=True)
            os.rmdir(top)


CHURNS = """
import os, sys, time
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    if os.fork() == 0:
        os._exit(0)
    time.sleep(0.001)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""


@test("processes that come and go meanwhile are no failure, and an empty group is none",
      needs=[needs_cgroups])
def churn():
    box = group("dumpchurn")
    churner = Python(box, CHURNS, "600")
    for _ in range(TRIES):
        with Dump(box.path) as dump:
            check(dump.index()["complete"], "the index is not complete")
            equal(dump.said["outcome"], "done", f"the outcome: {dump.text('summary.txt')}")
            check(churner.pid in [row["pid"] for row in dump.index()["processes"]], "its parent")
    churner.end()
    wait_for(lambda: not box.pids(), 10, "its children's end")
    with Dump(box.path) as dump:
        equal(dump.index()["processes"], [], "processes of an empty group")
        check("PROCESSES: 0" in dump.text("summary.txt"), dump.text("summary.txt"))
    box.remove()
    done = plimsoll("dump", box.path, "--out", "/tmp", code=1)
    check(box.path in done.err, done.err)


@test("three hundred processes are told of, the largest two hundred of them written down",
      needs=[needs_cgroups])
def many():
    box = group("dumpmany")
    code = ("import os, sys, time\n"
            "for i in range(300):\n"
            "    if os.fork() == 0:\n"
            "        time.sleep(180); os._exit(0)\n"
            "print('ready', flush=True)\n"
            "sys.stdin.read()\n")
    held = Python(box, code)
    try:
        with Dump(box.path, "--timeout", "60s", timeout=60) as dump:
            index = dump.index()
            equal(index["processes_all"], 301, "the processes")
            equal(len(index["processes"]), 200, "those written down")
            equal(len(glob.glob(dump.folder + "/processes/*/smaps_rollup")), 200, "with PSS")
            equal(len(glob.glob(dump.folder + "/processes/*/maps")), 20, "with mappings")
            note(f"{dump.took * 1000:.0f} ms")
        with Dump(box.path, "--timeout", "500ms") as dump:
            check(dump.has("index.json"), "there is no index in the shortest time")
            if not dump.index()["processes"]:
                check("time was up" in dump.text("summary.txt"), dump.text("summary.txt"))
    finally:
        for pid in box.pids():
            os.kill(pid, signal.SIGKILL)
        held.end()


# --- runtimes ----------------------------------------------------------------------------------

@test("a JVM tells its classes, threads and heap when it does not hang", needs=[needs_cgroups])
def java():
    classes = os.path.join(harness.options.loads, "rt")
    if shutil.which("java") is None or not os.path.exists(classes + "/Garbage.class"):
        raise Skip("no java, or no javac when this was built")
    box = group("dumpjvm", limit=250 * MIB)
    process = in_group(box, "java", "-Xmx100m", "-XX:+UseSerialGC", "-cp", classes, "Garbage", "4",
                       "10", stderr=subprocess.DEVNULL)
    try:
        check(process.stdout.readline() == b"ready\n", "java has not begun")
        with Dump(box.path) as dump:
            marker = re.search(r"\s(\d+)\s+\d+\s+Garbage\$Marker", dump.text(
                f"processes/{process.pid}/jvm-classes"))
            equal(marker and marker.group(1), "12345", "its objects in the histogram")
            check("\"main\"" in dump.text(f"processes/{process.pid}/jvm-threads"), "its threads")
            row = dump.index()["processes"][0]
            check(row["runtime"].startswith("java") and row["heap_used"] > 4 * MIB, f"{row}")
            check("largest classes: byte[]" in dump.text("summary.txt"), dump.text("summary.txt"))
            equal(dump.said["outcome"], "done", dump.text("summary.txt"))
            note(f"{dump.took * 1000:.0f} ms")
        check(process.poll() is None, "it has died of it")
    finally:
        process.kill()
        process.wait()


@test("a Go program with pprof tells its goroutines, one without is told as such",
      needs=[needs_cgroups])
def golang():
    for name, want in (("goheap-pprof", True), ("goheap", False)):
        path, box = program(name), group("dumpgo", limit=250 * MIB)
        held = Program([path], stdout=subprocess.PIPE)
        box.add(held.pid)
        held.line()  # it listens
        with Dump(box.path) as dump:
            equal(dump.has(f"processes/{held.pid}/go-goroutines"), want, f"goroutines of {name}")
            said = "goroutines" if want else "does not serve net/http/pprof"
            check(said in dump.text("summary.txt"), dump.text("summary.txt"))
            equal(dump.said["outcome"], "done", dump.text("summary.txt"))
        held.end()


main()
