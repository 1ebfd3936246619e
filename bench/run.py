#!/usr/bin/python3
"""Measures what plimsoll costs, against the least such work can cost. Prints; never fails on time.

  bench/run.py [--binary PATH] [--tools DIR] [--seconds N] [sampling] [ps] [launch] [hints] [agent]
               [store] [top] [page] [guard]

sampling: `plimsoll stats --all --interval 1` against a bare paced loop of pread on the same
          cgroups' memory.stat, usage and oom_control (v2: memory.events), both parsed; and on v1
          with the cgroups in five hierarchies, where both read CPU, pids, I/O and pressure too.
ps:       `plimsoll ps` against `ps -eo pid,rss`, over 1000 processes.
launch:   /bin/true by fork and exec, by `plimsoll run`, by cgexec, by runc and by docker.
hints:    a Go program that needs most of its cap, with and without --hints.
agent:    `plimsoll agent` with everything on, against the same bare loop; a new group's way into the
          stream, and pages of metrics.
store:    bytes a sample and reads of a day, beside Prometheus and VictoriaMetrics.
top:      `plimsoll top` with 200 containers on a terminal, from the kernel and from an agent.
page:     from a tick to the frame that shows it, with 50, 200 and 500 rows in Chromium.
guard:    a group filled at 1 and 2.5 GB/s: from its mark to the action of `plimsoll guard`, beside
          loops that poll and earlyoom; then the same on cgroup v2, in a virtual machine
          (--guard-vm-runs 0: not).
"""
import argparse
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "system"))
import harness  # noqa: E402  the same scratch cgroups as the tests use
from agent import agent  # noqa: E402
from guard import guard_bench  # noqa: E402
from hints import hints  # noqa: E402
from launch import launch  # noqa: E402
from measure import Farm, Running  # noqa: E402
from page import page  # noqa: E402
from store import store  # noqa: E402
from top import top  # noqa: E402


def machine_is_v1():
    return harness.machine.version == "v1"


def cgroup_dirs():
    """Every memory cgroup of this machine, as `stats --all` lists them."""
    base = harness.machine.mount["memory" if machine_is_v1() else "unified"]
    return [folder for folder, _, files in os.walk(base)
            if machine_is_v1() or "memory.current" in files]


def sampled_files(box):
    """What the bare loop reads: three files of every cgroup; and where the cgroups are in the other
    hierarchies too, what the table shows of those."""
    others = {"cpuacct": "cpuacct.usage", "pids": "pids.current", "unified": "memory.pressure",
              "blkio": "blkio.throttle.io_service_bytes_recursive"}
    names = ("memory.stat", "memory.current", "memory.events")
    if machine_is_v1():
        names = ("memory.stat", "memory.usage_in_bytes", "memory.oom_control")
    files = [os.path.join(folder, name) for folder in cgroup_dirs() for name in names]
    for kind, name in others.items():
        if machine_is_v1() and kind in box.dirs:
            files += [entry.path + "/" + name for entry in os.scandir(box.dirs[kind])
                      if entry.is_dir()]
    return files


def sampling(options):
    harness.needs_cgroups()
    print(f"sampling: {options.rounds} x {options.seconds} s each, taken in turn; "
          f"CPU (user + sys) in ms a second")
    print(f"{'made':>6} {'listed':>7} {'hierarchies':>12} {'bare':>8} {'plimsoll':>9} "
          f"{'ratio':>6} {'RSS KiB':>8} {'anon KiB':>9}")
    every = ("memory", "cpuacct", "pids", "blkio", "unified")
    for count, kinds in ((10, every[:1]), (100, every[:1]), (1000, every[:1]), (1000, every)):
        if not machine_is_v1() and len(kinds) > 1:
            continue  # one hierarchy holds all controllers
        box = harness.group("farm", limit=None, controllers=kinds[1:])
        if not machine_is_v1():
            box.delegate()
        with Farm(options.tools, count, list(box.dirs.values())):
            sample_farm(options, count, box)
        box.remove()


def sample_farm(options, count, box):
    bare, ours, memory, listed = [], [], (0, 0), len(cgroup_dirs())
    for _ in range(options.rounds):
        loop = Running([os.path.join(options.tools, "bare"), "1000"],
                       sampled_files(box))
        bare.append(loop.measure(options.seconds))
        loop.end()
        stats = Running([options.binary, "stats", "--all", "--interval", "1"])
        ours.append(stats.measure(options.seconds))
        memory = max(memory, stats.memory())
        if stats.got == 0:
            sys.exit("plimsoll printed nothing")
        stats.end()
    bare, ours = statistics.mean(bare), statistics.mean(ours)
    changed = "" if len(cgroup_dirs()) == listed else "  (others' cgroups came or went)"
    print(f"{count:>6} {listed:>7} {len(box.dirs):>12} {bare:>8.2f} {ours:>9.2f} "
          f"{ours / bare:>6.2f} {memory[0]:>8} {memory[1]:>9}{changed}", flush=True)


def run_cost(command):
    """CPU of one run in ms."""
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)}: wait status {status}")
    return (usage.ru_utime + usage.ru_stime) * 1e3


def ps(options):
    """Like with like: two columns against two, and all of ours against the nearest procps has."""
    two, all_of_it = ["ps", "-eo", "pid,rss"], ["ps", "-eo", "pid,user,vsz,rss,size,nlwp,stat,args"]
    ours = [options.binary, "ps"]
    commands = [(two, two), ([*ours, "--no-pss", "-o", "pid,res"], two), (all_of_it, all_of_it),
                ([*ours, "--no-pss"], all_of_it), (ours, all_of_it)]
    with Farm(options.tools, 1000):
        processes = sum(name.isdigit() for name in os.listdir("/proc"))
        cost = [[run_cost(command) for command, _ in commands] for _ in range(options.runs)]
    columns = list(zip(*cost))
    median = {tuple(c): statistics.median(column) for (c, _), column in zip(commands, columns)}
    print(f"ps: {processes} processes, {options.runs} runs each, taken in turn; "
          f"CPU (user + sys) of a run in ms")
    print(f"{'median':>8} {'min':>8}  {'command':<52} ratio")
    for (command, base), column in zip(commands, columns):
        name = " ".join([os.path.basename(command[0]), *command[1:]])
        mine = median[tuple(command)]
        ratios = "" if command is base else (f"{mine / median[tuple(base)]:.2f} of the ps above, "
                                             f"{mine / median[tuple(two)]:.2f} of ps -eo pid,rss")
        print(f"{mine:>8.2f} {min(column):>8.2f}  {name:<52} {ratios}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="build/plimsoll")
    parser.add_argument("--tools", help="folder of farm and bare (default: bench beside --binary)")
    parser.add_argument("--seconds", type=float, default=10, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=2, help="measurements of each kind")
    parser.add_argument("--runs", type=int, default=25, help="runs of each ps")
    parser.add_argument("--loads", help="folder of godemo (default: tests/loads beside --binary)")
    parser.add_argument("--starts", type=int, default=50, help="starts of each way of launch")
    parser.add_argument("--hint-seconds", type=int, default=60, help="length of one run of hints")
    parser.add_argument("--guard-runs", type=int, default=20, help="runs of each kind of guard")
    parser.add_argument("--guard-limit", type=int, default=512, metavar="MIB",
                        help="size of its group")
    parser.add_argument("--guard-rates", default="1000,2500", metavar="MB/s,...",
                        help="how fast it is filled; 0: as fast as goes")
    parser.add_argument("--guard-vm-runs", type=int, default=5, metavar="N",
                        help="runs of each kind on cgroup v2, in a virtual machine; 0: none")
    parser.add_argument("what", nargs="*",
                        choices=["sampling", "ps", "launch", "hints", "agent", "store", "top",
                                 "page", "guard", []],
                        default=[])
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    options.tools = options.tools or os.path.join(os.path.dirname(options.binary), "bench")
    options.loads = options.loads or os.path.join(os.path.dirname(options.binary), "tests", "loads")
    for name, function in (("sampling", sampling), ("ps", ps), ("launch", launch),
                           ("hints", hints), ("agent", agent), ("store", store), ("top", top),
                           ("page", page), ("guard", guard_bench)):
        if name in options.what or not options.what:
            try:
                function(options)
            except harness.Skip as reason:
                print(f"{name}: not measured: {reason}")


main()
