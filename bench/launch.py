"""launch: what it costs to start /bin/true within a limit, by us and by others.

Each round has each way once, in an order that chance gives, and with a pause before it: what
disturbs the machine disturbs all, and none finds the kernel still busy with the one before. (To move
a process into a group the kernel may wait for an RCU grace period, and not again for the next one
soon after.) Wall time, since a part of the work (of dockerd, of containerd) is done by others.
"""
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "system"))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "docker"))
import engine  # noqa: E402
import harness  # noqa: E402
import host  # noqa: E402

LIMIT = 64 << 20
PAUSE_S = 0.05


class Way:
    """One way to start /bin/true. `commands` are run one after the other and timed together."""

    def __init__(self, name, *commands, env=None):
        self.name, self.commands, self.env = name, commands, env or dict(os.environ)
        self.ms = []

    def go(self):
        start = time.perf_counter()
        for command in self.commands:
            pid = os.posix_spawnp(command[0], command, self.env, file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
            _, status = os.waitpid(pid, 0)
            if status != 0:
                sys.exit(f"{' '.join(command)}: wait status {status}")
        self.ms.append((time.perf_counter() - start) * 1e3)

    def median(self):
        return statistics.median(self.ms)


def cgexec_ways(box):
    """Into a group that is there already; and with one made, limited and removed, as we do."""
    if shutil.which("cgexec") is None:
        print("launch: no cgexec (apt-get install cgroup-tools)")
        return []
    limit = "memory.limit_in_bytes" if harness.machine.version == "v1" else "memory.max"
    there = box.child("there")
    there.limit(LIMIT)
    joined, made = f"memory:{there.path[1:]}", f"memory:{box.path[1:]}/made"
    return [Way("cgexec, into a group made before", ["cgexec", "-g", joined, "/bin/true"]),
            Way("cgcreate, cgset, cgexec, cgdelete", ["cgcreate", "-g", made],
                ["cgset", "-r", f"{limit}={LIMIT}", made.partition(":")[2]],
                ["cgexec", "-g", made, "/bin/true"], ["cgdelete", "-g", made])]


def runc_way(daemon):
    """An OCI bundle with the same limit, in a group below the engine's own."""
    runc = shutil.which("runc", path="/usr/sbin:/usr/bin")
    if runc is None:
        return []
    bundle = daemon.place.mkdir("bundle")
    subprocess.run([runc, "spec", "--bundle", bundle], check=True, env=host.clean_env())
    with open(bundle + "/config.json") as file:
        spec = json.load(file)
    spec["process"].update(terminal=False, args=["/bin/true"])
    spec["root"] = {"path": daemon.rootfs, "readonly": True}
    spec["linux"]["cgroupsPath"] = f"{daemon.parent}/bench"
    spec["linux"]["resources"]["memory"] = {"limit": LIMIT}
    with open(bundle + "/config.json", "w") as file:
        json.dump(spec, file)
    return [Way("runc run", [runc, "--root", daemon.place.mkdir("runc"), "run", "--bundle", bundle,
                             "bench"], env=host.clean_env())]


def docker_ways():
    try:
        daemon = engine.Engine()
    except host.Missing as reason:
        print(f"launch: without runc and docker: {reason}")
        return [], None
    ways = runc_way(daemon)
    ways.append(Way("docker run --rm", daemon.client("run", "--rm", "--network", "none", "-m", "64m",
                                                     engine.IMAGE, "/bin/true"), env=host.clean_env()))
    return ways, daemon


def report(ways, runs):
    plain, ours = ways[0].median(), ways[1].median()
    print(f"launch: /bin/true within {LIMIT >> 20} MiB, {runs} starts each, taken in turn; "
          f"wall time in ms")
    print(f"{'median':>8} {'min':>8} {'max':>8}  {'way':<36} {'of plain':>9} {'ours/it':>9}")
    for way in ways:
        print(f"{way.median():>8.2f} {min(way.ms):>8.2f} {max(way.ms):>8.2f}  {way.name:<36} "
              f"{way.median() / plain:>9.2f} {ours / way.median():>9.2f}")
    for way in ways[2:]:
        # Pair by pair, so that a slow moment of the machine does not decide.
        pairs = statistics.median(mine / other for mine, other in zip(ways[1].ms, way.ms))
        goal = 1.2 if way.name.startswith("cgexec") else 0.1 if way.name.startswith(
            ("runc", "docker")) else None
        if goal is not None:
            print(f"launch: ours / {way.name}: {pairs:.2f} (median of pairs); goal: {goal} or less: "
                  f"{'kept' if pairs <= goal else 'MISSED'}")


def launch(options):
    harness.needs_cgroups()
    box = harness.group("launch", limit=None, controllers=("unified",))
    if harness.machine.version == "v2":
        box.delegate()
    ways = [Way("fork and exec", ["/bin/true"]),
            Way("plimsoll run", [options.binary, "run", "-q", "-m", "64M", "--cgroup-parent", box.path,
                                 "--", "/bin/true"]), *cgexec_ways(box)]
    engines, daemon = docker_ways()
    ways += engines
    try:
        for way in ways:
            way.go()
            way.ms.clear()  # the first start of each is colder than the others
        for _ in range(options.starts):
            for way in random.sample(ways, len(ways)):
                time.sleep(PAUSE_S)
                way.go()
        report(ways, options.starts)
    finally:
        if daemon is not None:
            daemon.place.close()
        box.remove()
