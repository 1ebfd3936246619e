"""Runtimes in real Docker containers: another pid, mount and network namespace, another user. They
are recognised, asked to collect, give memory back, and go on as if nothing had been."""
import concurrent.futures
import functools
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import harness
import host
from engine import Engine
from harness import MIB, Skip, check, equal, main, note, plimsoll, test
from host import wait_for

USER = "4711:4712"  # nobody that the machine knows
SOURCES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "loads", "rt")


def java():
    found = shutil.which("java")
    return os.path.realpath(found) if found else None


def node():
    found = shutil.which("node")
    return os.path.realpath(found) if found else None


def garbage(*flags):
    return [java(), *flags, "-Xmx700m", "-cp", "/loads/rt", "Garbage", "5", "400"]


# name: (command, what the runtime is called, gc's options, MB that may stay)
PROGRAMS = {
    "g1": (garbage("-XX:+UseG1GC"), "java ", [], 60),
    "serial": (garbage("-XX:+UseSerialGC", "-Xms16m"), "java ", [], 60),
    "pprof": (["/loads/rt/goheap-pprof", "-keep", "4", "-garbage", "150"], "go ", [], 25),
    "words": (["/loads/rt/goheap", "-keep", "4", "-garbage", "150"], "go ", ["--inject"], 25),
    "node": ([node(), "/sources/garbage.js", "150"], "node ", [], 75),
    "python": (["/usr/bin/python3", "/sources/heap.py"], "python ", ["--inject"], None),
    "trim": (["/loads/rt/native", "nanosleep", "200"], "glibc", ["--inject"], 30),
}
SLOW = {"pprof"}  # given back in the background
MOUNTS = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/java-17-openjdk", "/etc/alternatives"]


@functools.cache
def engine():
    started = Engine()
    mounts = [word for path in MOUNTS if os.path.exists(path)
              for word in ("-v", f"{os.path.realpath(path)}:{path}:ro")]
    mounts += ["-v", f"{os.path.abspath(harness.options.loads)}:/loads:ro",
               "-v", f"{SOURCES}:/sources:ro"]
    started.mounts = mounts
    return started


@functools.cache
def starting():
    """All of them at once: {name: what will be the pid}."""
    engine()
    pool = concurrent.futures.ThreadPoolExecutor(len(PROGRAMS))
    return {name: pool.submit(begin, name) for name in PROGRAMS}


def start(name):
    """Its pid, once the program has said that it is ready."""
    return starting()[name].result()


def begin(name):
    command = PROGRAMS[name][0]
    if not command[0] or not exists(command[0]):
        raise Skip(f"there is no program for {name}")
    tmp = engine().place.mkdir("tmp", name)
    os.chmod(tmp, 0o1777)
    engine().run(name, "-i", "--memory", "900m", "--user", USER, "-v", f"{tmp}:/tmp", *engine().mounts,
                 command=command)
    logs = lambda: engine().docker("logs", name).stdout
    check(wait_for(lambda: logs().strip(), 60), f"{name} says nothing: "
          f"{engine().docker('logs', name, check=False).stderr[-300:]}")
    return engine().pid(name)


def exists(path):
    return os.path.exists(path.replace("/loads/", harness.options.loads + "/", 1)
                          if path.startswith("/loads/") else path)


def resident(pid):
    for line in host.read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{pid} has no memory")


def lives_on(name, pid):
    state = engine().inspect(name)
    equal((state["State"]["Running"], state["State"]["Pid"], state["RestartCount"]),
          (True, pid, 0), f"what Docker says of {name}")


def listeners(pid):
    """Ports that anybody listens on in the container, beside IPv6."""
    lines = host.read(f"/proc/{pid}/net/tcp").splitlines()[1:]
    return {int(line.split()[1].partition(":")[2], 16) for line in lines if line.split()[3] == "0A"}


def give_back(name):
    pid = start(name)
    _, kind, options, most = PROGRAMS[name]
    before, ports = resident(pid), listeners(pid)
    done = plimsoll("gc", name, "--json", *options, code=None, timeout=60)
    lines = [json.loads(line) for line in done.out.splitlines()]
    told = next(line for line in lines if line["pid"] == pid)
    equal(told["outcome"], "collected", f"{name}: {told['why']}; {told['next']}")
    check(told["runtime"].startswith(kind), f"{name} is {told['runtime']!r}")
    after = resident(pid)
    note(f"{name}: {before / MIB:.0f} -> {after / MIB:.0f} MiB in {told['took_ms']} ms, settled after "
         f"{told['settled_ms']} ms")
    if most and name in SLOW:
        wait_for(lambda: resident(pid) <= most * MIB, 12)
        after = resident(pid)
    if most:
        check(after <= most * MIB, f"{name}: {before / MIB:.0f} -> {after / MIB:.0f} MiB; {told}")
    equal(listeners(pid), ports, f"ports that {name} listens on")
    lives_on(name, pid)


for _name in PROGRAMS:
    test(f"{_name} in a container gives memory back, and lives on")(
        functools.partial(give_back, _name))


@test("what the heaps of containers hold is told, by pid")
def _():
    for name, key in (("g1", "types"), ("pprof", "profile"), ("node", "figures"),
                      ("python", "types"), ("trim", "figures")):
        pid = start(name)
        told = json.loads(plimsoll("heap", str(pid), "--json", timeout=60).out)
        check(told.get(key), f"heap of {name} has no {key}: {list(told)}")
        lives_on(name, pid)
    marker = [row for row in json.loads(plimsoll("heap", str(start("g1")), "--json").out)["types"]
              if "Marker" in row["name"]]
    check(marker, "the program's own class is in the histogram")


@test("ps and doctor know the runtimes in containers")
def _():
    for name, (_, kind, *_) in PROGRAMS.items():
        pid = start(name)
        rows = [json.loads(line) for line in plimsoll("ps", name, "--json").out.splitlines()]
        row = next(row for row in rows if row.get("pid") == pid)
        check((row["runtime"] or "").startswith(kind), f"{name}: {row['runtime']!r}")
    done = plimsoll("doctor", "g1", "--json", code=None)
    check(done.out.strip(), "doctor says nothing of a container")


if __name__ == "__main__":
    main()
