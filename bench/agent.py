"""agent: what `plimsoll agent` costs with everything on, against the least that sampling can cost.

Targets are N sleepers, each in a cgroup of its own below plimsoll-bench-PID. The agent runs with its
store in a temporary folder, is scraped every 5 s and has one reader of its event stream; windows of
it and of the bare paced loop are taken in turn. CPU is that of the two processes and of the children
they have waited for, in seconds a minute. Then, at the largest N, with groups that are named like a
container engine's: how long until a new one is in the stream, and what a page of metrics takes.
"""
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import harness
from measure import Farm, Running, cpu_ns

COUNTS = (100, 500, 1000)
SCRAPE_S = 5
SETTLE_S = 12  # what is young is read more often; then it is as it stays
START_S = 20
BIRTHS = PAGES = 20
CONFIG = """listen: "127.0.0.1:{port}"
socket: {folder}/agent.sock
state: {folder}/state
targets: all
{more}
"""


def whole_cpu_ns(pid):
    """CPU in ns, that of its children that were waited for with it (to the clock tick). The parent
    of all waits for nobody but those that were started anew: that is seen."""
    fields = harness.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    waited = (int(fields[13]) + int(fields[14])) * 10 ** 9 // os.sysconf("SC_CLK_TCK")
    return cpu_ns(pid) + waited


def rss_kib(pid):
    return harness.keyed(harness.read(f"/proc/{pid}/status").replace(" kB", ""))["VmRSS:"]


def children_of(pid):
    return [int(child) for task in os.listdir(f"/proc/{pid}/task")
            for child in harness.read(f"/proc/{pid}/task/{task}/children").split()]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Groups:
    """The folder that all cgroups of the bench lie in."""

    def __init__(self):
        base = harness.machine.mount["memory" if harness.machine.version == "v1" else "unified"]
        self.path = os.path.join(base, f"plimsoll-bench-{os.getpid()}")
        os.mkdir(self.path)
        if harness.machine.version != "v1":
            with open(os.path.join(self.path, "cgroup.subtree_control"), "w") as f:
                f.write("+memory")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for folder, below, _ in os.walk(self.path, topdown=False):
            for name in below:
                os.rmdir(os.path.join(folder, name))
        os.rmdir(self.path)

    def files(self):
        """What the bare loop reads: of every group of the machine, as the agent does."""
        names = ("memory.stat", "memory.current", "memory.events")
        if harness.machine.version == "v1":
            names = ("memory.stat", "memory.usage_in_bytes", "memory.oom_control")
        return [os.path.join(folder, name)
                for folder, _, files in os.walk(os.path.dirname(self.path)) for name in names
                if name in files]


class Agent:
    """A running agent, its scraper and the reader of its stream."""

    def __init__(self, binary, more=""):
        self.folder = tempfile.mkdtemp(prefix="plimsoll-bench-")
        os.chmod(self.folder, 0o755)  # the front is another user
        self.port, self.stop = free_port(), threading.Event()
        self.scrapes = self.streamed = 0
        self.seen, self.waiting, self.arrived = b"", None, threading.Event()
        config = os.path.join(self.folder, "plimsoll.yaml")
        with open(config, "w") as f:
            f.write(CONFIG.format(port=self.port, folder=self.folder, more=more))
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        self.child = subprocess.Popen([binary, "agent", "--config", config, "--foreground"],
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.end()
            raise
        self.threads = [threading.Thread(target=f, daemon=True)
                        for f in (self.scrape, self.read_stream)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def wait_until_it_answers(self):
        end = time.monotonic() + START_S
        while self.child.poll() is None and time.monotonic() < end:
            try:
                if self.get("/api/v1/targets")[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.1)
        self.fail("the agent does not answer")

    def fail(self, why):
        self.log.seek(0)
        sys.exit(f"{why}:\n{self.log.read().decode(errors='replace')}")

    def get(self, path, headers=None):
        """The status, the body as it was sent, and the time of it all in ms."""
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, body, (time.perf_counter() - start) * 1e3
        finally:
            connection.close()

    def scrape(self):
        while not self.stop.wait(SCRAPE_S):
            status, body, _ = self.get("/metrics")
            self.scrapes += status == 200 and len(body) > 0

    def read_stream(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        s.settimeout(30)
        s.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        tail = b""
        try:
            while not self.stop.is_set() and (chunk := s.recv(1 << 18)):
                self.streamed += len(chunk)
                tail = tail[-4096:] + chunk
                if self.waiting and self.waiting in tail:
                    self.at, self.waiting = time.perf_counter(), None
                    self.arrived.set()
        except OSError:
            pass
        s.close()

    def pids(self):
        """Of the collector, with the parent of all, and of the front."""
        if self.child.poll() is not None:
            self.fail("the agent has ended")
        found = {harness.read(f"/proc/{pid}/comm").strip(): pid for pid in children_of(self.child.pid)}
        if set(found) != {"plimsoll-coll", "plimsoll-front"}:
            self.fail(f"the agent's processes are {sorted(found)}")
        return (self.child.pid, found["plimsoll-coll"]), (found["plimsoll-front"],)

    def cost(self, seconds):
        """CPU of both in seconds a minute."""
        pids, start = self.pids(), time.monotonic()
        before = [sum(map(whole_cpu_ns, part)) for part in pids]
        time.sleep(seconds)
        passed = time.monotonic() - start
        if self.pids() != pids:
            self.fail("the front or the collector was started anew")
        return [(sum(map(whole_cpu_ns, part)) - b) / 1e9 / passed * 60
                for part, b in zip(pids, before)]

    def memory(self):
        return [sum(map(rss_kib, part)) for part in self.pids()]

    def expect(self, text):
        self.arrived.clear()
        self.waiting = text

    def end(self):
        self.stop.set()
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def bare_cost(options, groups, seconds):
    loop = Running([os.path.join(options.tools, "bare"), "1000"], groups.files())
    cost = loop.measure(seconds) * 60 / 1e3
    loop.end()
    return cost


def agent_cost(options, more, seconds):
    with Agent(options.binary, more) as it:
        time.sleep(SETTLE_S)
        cost = it.cost(seconds)
        if it.scrapes == 0 or it.streamed == 0:
            it.fail("nothing was scraped, or nothing streamed")
        return cost, it.memory()


def compare(options, groups, count):
    seconds = 2 * options.seconds
    kinds = [("all", ""), ("adaptive", "sampling: adaptive")]
    cost, memory = {name: [] for name, _ in kinds}, {name: (0, 0) for name, _ in kinds}
    bare = [bare_cost(options, groups, seconds)]
    for _ in range(options.rounds):
        for name, more in kinds:
            both, memory[name] = agent_cost(options, more, seconds)
            cost[name].append(both)
            bare.append(bare_cost(options, groups, seconds))
    floor = statistics.mean(bare)
    for name, _ in kinds:
        collector, front = (statistics.mean(column) for column in zip(*cost[name]))
        print(f"{count:>6} {name:<9} {floor:>6.3f} {collector:>10.3f} {front:>6.3f} "
              f"{collector / floor:>10.2f} {(collector + front) / floor:>6.2f} "
              f"{memory[name][0]:>14} {memory[name][1]:>10}", flush=True)
    print(f"{'':>6} {'bare loops':<9}: {' '.join(f'{x:.3f}' for x in bare)}", flush=True)


class Named:
    """The farm's groups under names as an engine gives them, for as long as this is held."""

    def __init__(self, groups, count):
        self.names = [(os.path.join(groups.path, "docker", f"c{i}"),
                       os.path.join(groups.path, "docker",
                                    hashlib.sha256(str(i).encode()).hexdigest()))
                      for i in range(count)]

    def __enter__(self):
        for old, new in self.names:
            os.rename(old, new)

    def __exit__(self, *_):
        for old, new in self.names:
            os.rename(new, old)


def births(it, groups):
    """From mkdir until the stream tells of it, in ms."""
    took = []
    for i in range(BIRTHS):
        name = hashlib.sha256(f"new {i}".encode()).hexdigest()
        path = os.path.join(groups.path, "docker", name)
        it.expect(name.encode())
        time.sleep(0.37)  # at another moment of the second each time
        start = time.perf_counter()
        os.mkdir(path)
        seen = it.arrived.wait(10)
        took.append((it.at - start) * 1e3 if seen else 1e4)
        os.rmdir(path)
    return took


def pages(it, headers):
    answers = [it.get("/metrics", headers) for _ in range(PAGES)]
    if any(status != 200 for status, _, _ in answers):
        sys.exit("no page of metrics")
    return statistics.median(ms for _, _, ms in answers), len(answers[-1][1])


def describe(options, groups, count):
    with Agent(options.binary) as it:
        time.sleep(SETTLE_S)
        shown = len(json.loads(it.get("/api/v1/targets")[1])["targets"])
        took = births(it, groups)
        plain_ms, plain = pages(it, {})
        gzip_ms, packed = pages(it, {"Accept-Encoding": "gzip"})
    print(f"a new group among {shown} targets is in the stream after {statistics.median(took):.1f} "
          f"ms (median of {BIRTHS}; {min(took):.1f} to {max(took):.1f})")
    print(f"/metrics of {count} containers: {plain_ms:.1f} ms, {plain} bytes; gzip {gzip_ms:.1f} ms, "
          f"{packed} bytes (median of {PAGES})", flush=True)


def agent(options):
    harness.needs_cgroups()
    print(f"agent: {options.rounds} windows of {2 * options.seconds} s each, in turn with the bare "
          f"loop; CPU (user + sys) in seconds a minute")
    print(f"{'made':>6} {'sampling':<9} {'bare':>6} {'collector':>10} {'front':>6} "
          f"{'coll./bare':>10} {'both':>6} {'collector KiB':>14} {'front KiB':>10}")
    for count in COUNTS:
        with Groups() as groups, Farm(options.tools, count, [groups.path]):
            compare(options, groups, count)
    with Groups() as groups:
        base = os.path.join(groups.path, "docker")
        os.mkdir(base)
        if harness.machine.version != "v1":
            with open(os.path.join(base, "cgroup.subtree_control"), "w") as f:
                f.write("+memory")
            return  # groups of v2 cannot be renamed
        with Farm(options.tools, COUNTS[-1], [base]), Named(groups, COUNTS[-1]):
            describe(options, groups, COUNTS[-1])
