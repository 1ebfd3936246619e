"""guard: a group of 512 MiB is filled at 1 GB/s and at 2.5 GB/s, and something is to act at 95 %.
The same on cgroup v2, in the tests' virtual machine: its processors are emulated, so the group is
smaller, it is filled as fast as goes there, and what it tells is the order of magnitude.

Measured from the inside (bench/fill.c): the load reads the group's usage every eight pages, and
notes when it first finds it at the mark; and the time of each page that it could touch. `reaction`
is from the one to the last page before it was stopped or ended (throttled: before the first pause
of 4 ms, in the virtual machine of 20 ms). It holds everything: the kernel's own delay (v1 looks at
thresholds every 128 pages), the way to whoever acts, the action, and that it takes hold. `peak` is the kernel's own high-water mark.

Beside it: loops that read the usage every 10 and 100 ms and send SIGSTOP, and earlyoom, which knows
the machine's memory alone: its mark is what was available at the start less 95 % of the limit; it
runs dry, and the time is that of its word. (Not in the virtual machine.)
"""
import contextlib
import os
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "system"))
import harness  # noqa: E402

TOP = os.path.join(HERE, "..")
SHARE = 0.95
VM_LIMIT, VM_RATES = "128", "100,0"  # MiB; MB/s, 0: as fast as it can
VM_SECONDS = 600
FIELDS = ("begin", "mark", "mark_usage", "last", "bytes", "gap", "most_usage", "ended")
STANDSTILL = 0.4  # s without a page: it is over


def is_v1():
    return harness.machine.version == "v1"


def gap_us():
    return 4000 if is_v1() else 20000


class Fill:
    """The load, in a group of its own, ready to begin."""

    def __init__(self, options, rate):
        self.limit = options.guard_limit << 20
        self.mark = int(self.limit * SHARE)
        self.box = harness.group("guard", limit=None, controllers=("unified", "cpu", "cpuacct"))
        self.box.limit(self.limit)
        for name in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            with contextlib.suppress(OSError):
                harness.write(f"{self.box.dir}/{name}", self.limit if is_v1() else 0)
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-bench-")
        self.usage = self.box.file("memory.usage_in_bytes", "memory.current")
        self.process = subprocess.Popen(
            [os.path.join(options.tools, "fill"), self.folder.name + "/log", self.usage,
             str(self.mark), str(rate * 1000000), str(self.limit + (64 << 20)), str(gap_us()),
             *self.box.dirs.values()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise harness.Skip("the load does not start")
        self.pid = self.process.pid

    def begin(self):
        self.process.stdin.write(b"!")
        self.process.stdin.flush()

    def log(self):
        with open(self.folder.name + "/log", "rb") as file:
            return dict(zip(FIELDS, struct.unpack("8Q", file.read(64))))

    def run(self, action):
        """Until it stands still or is dead, or is throttled; what it wrote down."""
        self.begin()
        time.sleep(0.15)
        last, since = None, time.monotonic()
        while self.process.poll() is None and time.monotonic() < since + STANDSTILL:
            time.sleep(0.02)
            bytes_now = self.log()["bytes"]
            if bytes_now != last:
                last, since = bytes_now, time.monotonic()
            if action == "throttle" and self.log()["gap"]:
                break
        return self.log()

    def peak(self):
        name = self.box.file("memory.max_usage_in_bytes", "memory.peak")
        return harness.read_int(name) if os.path.exists(name) else self.log()["most_usage"]

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            harness.write(self.box.dirs["unified"] + "/cgroup.freeze", 0)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.box.remove()
        self.folder.cleanup()


class Helper:
    """Who is to act, ready when it has said a line that holds `word`."""

    def __init__(self, command, word, env=None):
        self.said = b""
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=env)
        os.set_blocking(self.process.stdout.fileno(), False)
        if self.wait_for(word, 10) is None:
            self.end()
            raise harness.Skip(f"{os.path.basename(command[0])} says {self.said[-300:]!r}")

    def wait_for(self, word, seconds):
        """When it said so (monotonic ns); None: it did not."""
        end = time.monotonic() + seconds
        while word not in self.said:
            left = end - time.monotonic()
            if left <= 0 or (self.process.poll() is not None and not self.more(0)):
                return None
            self.more(left)
        return time.monotonic_ns()

    def more(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return b""
        chunk = os.read(self.process.stdout.fileno(), 1 << 16)
        self.said += chunk
        return chunk

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def guard(options, load, folder, action):
    return Helper([options.binary, "guard", load.box.path, "--at", f"{SHARE * 100:.0f}%", "--do",
                   action, "--audit", folder + "/audit.jsonl", "--dumps", folder], b"\n")


def poll(options, load, milliseconds):
    return Helper([os.path.join(options.tools, "fill"), "poll", load.usage,
                   str(load.mark), str(milliseconds), str(load.pid)], b"ready")


def stopped_at(log, action):
    if not log["mark"]:
        return None
    return log["gap"] if action == "throttle" and log["gap"] else log["last"]


def acted(options, make, action, rate):
    """(reaction in us; None: it did not act in time, peak share, bytes a second)"""
    load = Fill(options, rate)
    helper = None
    try:
        with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder:
            helper = make(load, folder)
            log = load.run(action)
            peak, at = load.peak() / load.limit, stopped_at(log, action)
            helper.end()
            helper = None
        span = (log["mark"] or log["last"]) - log["begin"]
        speed = (log["mark_usage"] or log["bytes"]) / span * 1e9
        missed = at is None or log["most_usage"] + load.limit // 512 >= load.limit or peak > 0.9995
        return None if missed else (at - log["mark"]) / 1000, peak, speed
    finally:
        if helper:
            helper.end()
        load.end()


def earlyoom(options, rate):
    load, helper = Fill(options, rate), None
    try:
        available = harness.meminfo()["MemAvailable"]
        kib = (available - load.mark) // 1024
        helper = Helper(["earlyoom", "--dryrun", "-r", "0", "-s", "100", "-M", f"{kib},{kib // 2}"],
                        b"\n")
        time.sleep(1.2)  # it looks rarely at first
        load.begin()
        said = helper.wait_for(b"low memory", 2)
        time.sleep(0.2)
        log, peak = load.log(), load.peak() / load.limit
        span = (log["mark"] or log["last"]) - log["begin"]
        reaction = (said - log["mark"]) / 1000 if said and log["mark"] else None
        return reaction, peak, (log["mark_usage"] or log["bytes"]) / span * 1e9
    finally:
        if helper:
            helper.end()
        load.end()


def show(name, rate, rows):
    times = sorted(row[0] for row in rows if row[0] is not None)
    peaks = [row[1] for row in rows]
    cells = [f"{statistics.median(times):>9.0f} {times[-1]:>9.0f}" if times else f"{'-':>9} {'-':>9}",
             f"{statistics.median(peaks) * 100:>8.2f} {max(peaks) * 100:>8.2f}",
             f"{len(rows) - len(times):>4} of {len(rows)}"]
    speed = statistics.median(row[2] for row in rows) / 1e9
    print(f"{name:<22} {asked(rate):>5} {speed:>5.2f} {' '.join(cells)}", flush=True)


def asked(rate):
    return f"{rate / 1000:.1f}" if rate else "most"


def compare(options):
    """What is compared: (name, function(rate) -> a row)."""
    def by(make, action):
        return lambda rate: acted(options, make, action, rate)

    def guarded(action):
        return by(lambda load, folder: guard(options, load, folder, action), action)

    def polled(ms):
        return by(lambda load, folder: poll(options, load, ms), "stop")

    rows = [(f"plimsoll {action}", guarded(action)) for action in ("pause", "throttle", "kill")]
    rows += [(f"poll {ms} ms, SIGSTOP", polled(ms)) for ms in (10, 100)]
    if is_v1():
        rows.append(("earlyoom (its word)", lambda rate: earlyoom(options, rate)))
    return rows


def look_us():
    """How long it takes to read a group's memory.stat: what one machine is to another."""
    box = harness.group("look")
    fd = os.open(box.dir + "/memory.stat", os.O_RDONLY)
    times = []
    for _ in range(300):
        start = time.monotonic_ns()
        os.pread(fd, 1 << 14, 0)
        times.append((time.monotonic_ns() - start) / 1000)
    os.close(fd)
    box.remove()
    return statistics.median(times)


def measure(options):
    harness.needs_cgroups()
    load = os.getloadavg()[0]
    busy = "" if os.environ.get("PLIMSOLL_VM") else f"; other load of this machine: {load:.1f}"
    print(f"guard: {options.guard_limit} MiB ({harness.machine.version}), mark at "
          f"{SHARE * 100:.0f} %, {options.guard_runs} runs each{busy} on {os.cpu_count()} processors; "
          f"to read a memory.stat takes {look_us():.0f} us")
    print(f"{'who':<22} {'GB/s':>5} {'real':>5} {'median us':>9} {'worst us':>9} {'peak %':>8} "
          f"{'worst %':>8} missed", flush=True)
    for rate in map(int, options.guard_rates.split(",")):
        for name, one in compare(options):
            try:
                show(name, rate, [one(rate) for _ in range(options.guard_runs)])
            except (harness.Skip, FileNotFoundError) as reason:
                print(f"{name:<22} {asked(rate):>5} not measured: {reason}")


def pack(options, folder):
    """What the virtual machine needs of this, with the folders that the modules expect."""
    for part in ("bench", "tests/system", "tests/docker"):
        shutil.copytree(os.path.join(TOP, part), os.path.join(folder, part),
                        ignore=lambda _, names: [n for n in names if not n.endswith(".py")])
    for program in (options.binary, os.path.join(options.tools, "fill")):
        shutil.copy(program, folder)


def measure_in_vm(options):
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder:
        pack(options, folder)
        inside = ["/usr/bin/python3", "bench/run.py", "--binary", "./plimsoll", "--tools", ".",
                  "--guard-limit", VM_LIMIT, "--guard-rates", VM_RATES,
                  "--guard-runs", str(options.guard_vm_runs), "guard"]
        print("guard on cgroup v2, in a virtual machine of two emulated processors; load of this "
              f"machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
        vm = subprocess.run([os.path.join(TOP, "tests", "vm", "vm.sh"), "-c", "2", "-m", "1024",
                             "-t", str(VM_SECONDS), folder, "bash", "-c",
                             # what is started often is slow to read from outside
                             'cp -r . /run/bench && cd /run/bench && exec "$@"', "-", *inside],
                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if vm.returncode != 0:
        said = vm.stderr.strip().splitlines() or [f"exit code {vm.returncode}"]
        of_vm = [line for line in said if line.startswith("vm.sh: ")]
        print(f"guard on cgroup v2: not measured: {(of_vm or said)[-1]}")


def guard_bench(options):
    if options.guard_runs > 0:
        measure(options)
    if is_v1() and options.guard_vm_runs > 0:
        measure_in_vm(options)
