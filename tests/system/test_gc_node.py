"""`plimsoll gc` makes Node programs collect and give memory back through their inspector, leaves no
inspector open, and leaves alone what must not be touched."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import harness
import runtimes
from harness import MIB, PATIENCE, Skip, check, equal, main, note, plimsoll, read, test, wait_for

NODE = next((p for p in ("/usr/bin/node", shutil.which("node") or "") if os.access(p, os.X_OK)), "")
TRIES = int(os.environ.get("PLIMSOLL_TRIES", "3"))
GARBAGE = pathlib.Path(__file__).parent.parent / "loads/rt/garbage.js"
CLASSES = GARBAGE.parent / "classes.js"
DATA = "system / JSArrayBufferData"  # lies outside of the heap
IDLE = "setInterval(() => {}, 1000); console.log('ready');"
NETWORK = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$0" "$@"']
CONTAINER = ["unshare", "-mpn", "--fork", "--mount-proc", "sh", "-c",
             'ip link set lo up; exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0" "$@"']


def needs_node():
    if not NODE:
        raise Skip("there is no node")
    if not shutil.which("unshare") or not shutil.which("ip"):
        raise Skip("there is no unshare or ip")


class Node:
    """A Node program in a network of its own, until `with` ends."""

    def __init__(self, *args, before=(), ready=True, name=NODE, stdin=None, **environ):
        self.out = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([*(before or NETWORK), name, *args], stdout=self.out,
                                        stderr=subprocess.STDOUT, stdin=stdin or subprocess.DEVNULL,
                                        env={**os.environ, **environ})
        self.pid = self.process.pid
        if ready:
            wait_for(lambda: "ready" in self.said(), 30 * PATIENCE, "the program is ready")
        if before:
            self.pid = int(read(f"/proc/{self.pid}/task/{self.pid}/children").split()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in {self.pid, self.process.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.out.close()

    def said(self):
        self.out.seek(0)
        return self.out.read()

    def is_alive(self):
        return self.process.poll() is None and os.path.exists(f"/proc/{self.pid}/exe")

    def ports(self):
        """What anybody listens on in its network."""
        found = set()
        for name in ("tcp", "tcp6"):
            for line in read(f"/proc/{self.pid}/net/{name}").splitlines()[1:]:
                words = line.split()
                if words[3] == "0A":
                    found.add(int(words[1].split(":")[1], 16))
        return found

    def anon(self):
        return int(re.search(r"RssAnon:\s+(\d+)", read(f"/proc/{self.pid}/status")).group(1)) << 10


def gc(node, *more, outcome):
    result = plimsoll("gc", node.pid, "--json", *more, code=0 if outcome == "collected" else 1)
    row = json.loads(result.out)
    equal(row["outcome"], outcome, f"outcome ({row['why']})")
    check(node.is_alive(), f"it died of it: {row}; {node.said()}")
    return row


@test("150 MB of garbage are given back, and the inspector is closed again", [needs_node])
def gives_back():
    with Node(str(GARBAGE), "150") as node:
        before = node.anon()
        row = gc(node, outcome="collected")
        check(row["rss_before"] > 187 * MIB * 0.9, f"too little garbage: {row['rss_before']}")
        check(row["rss_after"] <= 60 * MIB, f"{row['rss_after']} bytes are left")
        check(node.anon() < before / 4, "anonymous memory has fallen")
        equal(node.ports(), set(), "ports that listen")
        note(f"{row['rss_before'] >> 20} -> {row['rss_after'] >> 20} MiB, {row['took_ms']} ms")


@test("in a container: other pid, mount and network namespace, other user", [needs_node])
def in_a_container():
    with Node("-e", GARBAGE.read_text(), before=CONTAINER) as node:
        row = gc(node, outcome="collected")
        check(row["rss_after"] <= 60 * MIB, f"{row['rss_after']} bytes are left")
        equal(node.ports(), set(), "ports that listen")
        equal(os.stat(f"/proc/{node.pid}").st_uid, 65534, "its user")


@test("ES modules, -e and stdin, and other ports: collected and closed", [needs_node])
def every_kind():
    with tempfile.NamedTemporaryFile("w", suffix=".mjs") as module, \
            tempfile.TemporaryFile("w+") as f:
        module.write(IDLE)
        module.flush()
        f.write(IDLE)
        f.seek(0)
        with Node(module.name) as esm, Node("-e", IDLE) as text, Node("-", stdin=f) as stdin, \
                Node("-e", IDLE, NODE_OPTIONS="--inspect-port=0") as any_port:
            for node in (esm, text, stdin, any_port):
                gc(node, outcome="collected")
                equal(node.ports(), set(), "ports that listen")


@test("an inspector that is open is used and left open", [needs_node])
def left_open():
    with Node("--inspect=127.0.0.1:9333", "-e", IDLE) as node:
        for _ in range(2):
            row = gc(node, outcome="collected")
            check("9333" in row["how"] and "left open" in row["how"], row["how"])
        equal(node.ports(), {9333}, "ports that listen")


@test("a program with a SIGUSR1 handler of its own does not see the signal", [needs_node])
def own_handler():
    with Node(str(GARBAGE), "1", "SIGUSR1") as node, \
            Node(str(GARBAGE), "1", "SIGTERM") as other:
        row = gc(node, outcome="refused")
        check("handler of its own" in row["why"], row["why"])
        check("heard" not in node.said(), node.said())
        gc(other, outcome="collected")


@test("a taken port is refused, and nothing is asked of who has it", [needs_node])
def taken_port():
    source = "require('net').createServer(() => console.log('asked')).listen(9229);" + IDLE
    with Node("-e", source) as other, \
            Node("-e", IDLE, before=["nsenter", "-t", str(other.pid), "-n", "unshare", "-p",
                                     "--fork"]) as node:
        row = gc(node, outcome="refused")
        check("9229" in row["why"] and "taken" in row["why"], row["why"])
        check("asked" not in other.said(), "the other was asked")
        check("Debugger" not in node.said(), node.said())


@test("who dies in the middle leaves nothing open", [needs_node])
def killed():
    block = "setTimeout(() => require('child_process').execSync('sleep 6'), 1000);" + IDLE
    for turn in range(1, 5):  # a busy machine may not come to ask before it is killed
        with Node("-e", block) as node:
            children = f"/proc/{node.pid}/task/{node.pid}/children"
            wait_for(lambda: read(children).split(), 20, "it to wait for a program")
            time.sleep(0.2)  # the loop waits in another epoll now: it looks at rest, and is not
            with subprocess.Popen([harness.options.binary, "gc", str(node.pid)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asking:
                time.sleep(0.7 * turn)
                asking.kill()
            wait_for(lambda: not read(children).split(), 20, "it to go on")
            end = time.monotonic() + 5 * PATIENCE
            while "Debugger listening" not in node.said() and time.monotonic() < end:
                time.sleep(0.05)
            if "Debugger listening" in node.said() or turn == 4:
                closed_again(node)
                return


def closed_again(node):
    check("Debugger listening" in node.said(), "it opens late")
    wait_for(lambda: node.ports() == set(), 10 * PATIENCE, "it is closed again")
    check(node.is_alive(), "it is alive")


def renamed_program(folder):
    """A C program called node, whose SIGUSR1 has its default action."""
    path = os.path.join(folder, "node")
    harness.copy_program(shutil.which("sleep"), path)
    return path


@test("what must not be touched is alive after every try", [needs_node])
def unsuitable():
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stopped = stack.enter_context(Node("-e", IDLE))
        os.kill(stopped.pid, signal.SIGSTOP)
        waiting = "setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));"
        kinds = {
            "stopped": stopped,
            "a C program": stack.enter_context(
                Node("600", name=renamed_program(folder), ready=False)),
            "waits": stack.enter_context(Node("-e", IDLE + waiting)),
            "a handler": stack.enter_context(
                Node(str(GARBAGE), "1", "SIGUSR1")),
            "waits for a debugger": stack.enter_context(
                Node("--inspect-brk=9444", "-e", IDLE, ready=False)),
        }
        time.sleep(2.2)
        for _ in range(TRIES):
            for kind, node in kinds.items():
                row = json.loads(plimsoll("gc", node.pid, "--json", "--timeout", "3", code=1).out)
                check(row["outcome"] != "collected", f"{kind}: {row}")
                check(node.is_alive(), f"{kind}: it died of it: {row}")


def cpu_seconds(pid):
    words = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@test("a program that computes for ever is alive, and nothing is left open", [needs_node])
def busy():
    with Node("-e", "console.log('ready'); for (;;) {}") as node:
        wait_for(lambda: cpu_seconds(node.pid) > 2.1, 30, "it has used CPU time")
        for _ in range(max(1, TRIES // 3)):
            gc(node, "--timeout", "3", outcome="failed")
            wait_for(lambda: node.ports() == set(), 15 * PATIENCE, "closed")


@test("a program that is just starting is alive after every try", [needs_node])
def starting():
    for i in range(TRIES):
        with Node("-e", IDLE, ready=False) as node:
            time.sleep(0.02 * (i % 10))
            row = json.loads(plimsoll("gc", node.pid, "--json", "--timeout", "1.5",
                                      code=None).out)
            check(row["outcome"] in ("refused", "collected", "failed"), row)
            check(node.is_alive(), f"it died of it: {row} {node.said()}")


def heap_of(node, *more):
    return json.loads(plimsoll("heap", node.pid, "--json", *more, timeout=60).out)


def needs_inspect():
    beside = os.path.dirname(harness.options.binary)
    if not os.access(os.path.join(beside, "plimsoll-inspect"), os.X_OK):
        raise Skip("there is no plimsoll-inspect beside the program")


@test("constructors and figures agree with what V8 itself counts", [needs_node, needs_inspect])
def agrees():
    with Node(str(CLASSES)) as node:
        counted, weighed = heap_of(node), heap_of(node, "--live")
        equal(node.ports(), set(), "ports that listen")
        os.kill(node.pid, signal.SIGUSR2)
        wait_for(lambda: re.search(r"^{.*}\n", node.said(), re.M), 20, "its own numbers")
        wanted = json.loads(next(line for line in node.said().splitlines() if line[:1] == "{"))
        for what, heap in (("counted", counted), ("weighed", weighed)):
            types = {row["name"]: row for row in heap["types"]}
            for name in ("Apple", "Pear", "Map", "Array", "Function"):
                got, want = types[name]["count"], wanted[name]
                check(abs(got - want) <= want * 0.02, f"{what} {name}: {got}, V8 says {want}")
        buffers = weighed["figures"]["array_buffers"]
        check(abs(buffers - wanted["memory"]["arrayBuffers"]) <= buffers * 0.02, "ArrayBuffers")
        live = wanted["usage"]["usedSize"]
        note(f"heap_used {counted['figures']['heap_used']}, after a collection "
             f"{weighed['figures']['heap_used']}; V8 says {live}")
        sizes = sum(row["bytes"] or 0 for row in weighed["types"] if row["name"] != DATA)
        check(abs(sizes - weighed["figures"]["heap_used"]) <= sizes * 0.1,
              f"{sizes} bytes in all, heap_used {weighed['figures']['heap_used']}")


@test("loopback is down in its network: no signal is sent, and what would work is said",
      [needs_node])
def no_loopback():
    with Node("-e", IDLE, before=["unshare", "-n", "--fork"]) as node:
        row = gc(node, outcome="refused")
        check("lo" in row["why"] and "ip link set lo up" in row["next"], f"{row}")
        check("Debugger" not in node.said(), f"it got a signal: {node.said()}")
        equal(node.ports(), set(), "ports that listen")


@test("what the service's unit has no rights for is said so, and no signal is sent", [needs_node])
def as_service():
    with Node("-e", IDLE, before=CONTAINER) as node:
        run = subprocess.run([*runtimes.as_service(), harness.options.binary, "gc", "--json",
                              str(node.pid)], capture_output=True, text=True, check=False)
        row = json.loads(run.stdout)
        equal(row["outcome"], "refused", f"outcome of {row}")
        check(f"the network namespace of process {node.pid} cannot be entered" in row["why"],
              row["why"])
        check("CAP_SYS_ADMIN" in row["next"] and "guards.conf" in row["next"], row["next"])
        check(node.is_alive() and "Debugger" not in node.said(), f"it got a signal: {node.said()}")


@test("without symbols its handlers are told apart as well", [needs_node])
def stripped():
    if not shutil.which("strip"):
        raise Skip("there is no strip")
    with tempfile.TemporaryDirectory(prefix="plimsoll-node-") as place:
        name = os.path.join(place, "node")
        if subprocess.run(["strip", "-o", name, os.path.realpath(NODE)], check=False).returncode:
            raise Skip("it cannot be stripped")
        with Node("-e", IDLE, name=name) as node:
            gc(node, outcome="collected")
            equal(node.ports(), set(), "ports that listen")
        with Node("-e", "process.on('SIGUSR1', () => console.log('hit'));" + IDLE,
                  name=name) as node:
            row = gc(node, outcome="refused")
            check("SIGUSR1" in row["why"] and "hit" not in node.said(), f"{row} {node.said()}")


@test("worker threads are told of, and run on", [needs_node])
def workers():
    worker = "new (require('worker_threads').Worker)('setInterval(() => {}, 100)', {eval: true});"
    with Node("-e", 2 * worker + "setTimeout(() => console.log('ready'), 500);") as node:
        row = gc(node, outcome="collected")
        check("2 worker threads" in row["why"], f"{row}")
        told = json.loads(plimsoll("heap", node.pid, "--json").out)["notes"]
        check(any("2 worker threads" in line for line in told), f"{told}")
        equal(gc(node, outcome="collected")["why"], row["why"], "the second time")
    with Node("-e", IDLE) as node:
        equal(gc(node, outcome="collected")["why"] or "", "", "without workers")


@test("no heap snapshot where the limit of its group has no room for it",
      [needs_node, harness.needs_cgroups])
def no_room():
    group = harness.group("noroom", limit=120 * MIB)
    source = "globalThis.k = []; for (let i = 0; i < 200000; i++) k.push({i});" + IDLE
    with Node("-e", source) as node:
        group.add(node.pid)
        found = json.loads(plimsoll("heap", node.pid, "--live", "--json").out)
        check(any("no room" in line for line in found["notes"]), f"{found['notes']}")
        check(all(row["bytes"] is None for row in found["types"]), "a snapshot was taken")
        group.limit(1000 * MIB)
        found = json.loads(plimsoll("heap", node.pid, "--live", "--json").out)
        check(found["types"][0]["bytes"], f"{found['notes']}")


main(at_once=6)
