"""run: what it would do, what it tells programs of their limit, and when memory runs short."""
import os
import signal
import subprocess
import tempfile

from harness import MIB, SMALL, Skip, check, equal, machine, main, plimsoll, read, test
from runs import TREES, Run, demo, needs_runs, nothing_left, place, run_dir
import harness

PERSISTS = ["/bin/sh", "-c", 'echo started >> "$0"; exit 1']


# --- print -----------------------------------------------------------------------------------

@test("--print shows every write and variable, and does nothing", [needs_runs])
def _():
    box = place()
    with tempfile.TemporaryDirectory() as folder:
        mark = folder + "/mark"
        done = plimsoll("run", "--print", "-m", "64M", "--name", "shown", "--cgroup-parent", box.path,
                        "--", *PERSISTS, mark)
        check(not os.path.exists(mark), "the command was started")
    nothing_left(box, "--print")
    limit = "memory.limit_in_bytes" if machine.version == "v1" else "memory.max"
    for inner in ("", "/w"):
        check(any(line.startswith("mkdir ") and line.endswith(f"plimsoll-run-shown{inner}")
                  for line in done.lines), f"no mkdir of {inner!r}: {done.out}")
        check(any(line.startswith(f"echo {64 * MIB} > ") and
                  line.endswith(f"plimsoll-run-shown{inner}/{limit}") for line in done.lines),
              f"no limit for {inner!r}: {done.out}")
    for word in ("GOMEMLIMIT", "MALLOC_ARENA_MAX", "NODE_OPTIONS", "MEMORY_PRESSURE_WATCH"):
        check(word in done.out, f"no {word}: {done.out}")


@test("the lines of --print, given to a shell, make what run makes", [needs_runs])
def _():
    def look(name):
        found = {}
        for tree in TREES:
            base = run_dir(box, name, tree) if tree in box.dirs else None
            for inner in ("", "/w"):
                for file in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max",
                             "memory.swappiness", "memory.swap.max", "memory.high",
                             "memory.oom.group", "cgroup.subtree_control"):
                    path = f"{base}{inner}/{file}"
                    if base and os.path.exists(path):
                        found[tree + inner, file] = read(path)
        return found
    box = place()
    args = ["-m", "64M", "--cgroup-parent", box.path]
    one = Run(box, *args[:2], "--", *demo("sleep"))
    one.wait_event("start")
    real = look(one.name)
    one.signal(signal.SIGTERM)
    one.finish()
    text = plimsoll("run", "--print", *args, "--name", one.name, "--", *demo("sleep")).out
    lines = [line for line in text.splitlines() if line.startswith(("mkdir ", "echo "))
             and "cgroup.procs" not in line]
    done = subprocess.run(["/bin/sh", "-e"], input="\n".join(lines).encode(), capture_output=True)
    equal((done.returncode, done.stderr), (0, b""), "the shell")
    check(len(real) >= 4, f"files: {real}")
    equal(look(one.name), real, "files")
    for tree in TREES:
        if tree in box.dirs:
            harness.remove_tree(run_dir(box, one.name, tree))


# --- hints -----------------------------------------------------------------------------------

def environment(box, *args, env=None):
    done = subprocess.run([harness.options.binary, "run", "--cgroup-parent", box.path, *args, "--",
                           "/usr/bin/env"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          env={"PATH": os.environ["PATH"], **(env or {})})
    equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    pairs = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    return pairs, done.stderr.decode()


@test("hints: 0.90 of the cap for Go, a heap for Node, arenas for glibc; each told with -v",
      [needs_runs])
def _():
    box = place()
    env, said = environment(box, "-v", "-m", "256M")
    limit = env["GOMEMLIMIT"]
    units = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
    unit = max((u for u in units if limit.endswith(u)), key=len, default=None)
    size = int(limit[:-len(unit)]) * units[unit] if unit else int(limit)
    check(abs(size - 0.9 * 256 * MIB) < MIB, f"GOMEMLIMIT={limit}")
    heap = int(env["NODE_OPTIONS"].partition("--max-old-space-size=")[2])
    check(64 <= heap < 256, f"NODE_OPTIONS={env['NODE_OPTIONS']}")
    check(env["MALLOC_ARENA_MAX"].isdigit(), env["MALLOC_ARENA_MAX"])
    check("JAVA_TOOL_OPTIONS" not in env, "a hint for a JVM that is not there")
    for name in ("GOMEMLIMIT", "NODE_OPTIONS", "MALLOC_ARENA_MAX"):
        check(f"{name}={env[name]}" in said, f"{name} is not told: {said!r}")


@test("hints: what is set already stays, and without a cap or with --hints off there are none",
      [needs_runs])
def _():
    box = place()
    mine = {"GOMEMLIMIT": "123MiB", "NODE_OPTIONS": "--trace-gc", "MALLOC_ARENA_MAX": "7"}
    env, said = environment(box, "-v", "-m", "256M", env=mine)
    equal({key: env[key] for key in mine}, mine, "variables that were set")
    check("123MiB" in said, f"what was kept is not told: {said!r}")
    for args in (["--hints", "off", "-m", "256M"], []):
        env, _ = environment(box, *args)
        equal([key for key in mine if key in env], [], f"variables with {args}")


@test("hints: a limit around the run is a cap too", [needs_runs])
def _():
    box = place(limit=100 * MIB)
    env, _ = environment(box, "-m", "256M")
    check("GOMEMLIMIT" in env, "no hint")
    digits = int("".join(c for c in env["GOMEMLIMIT"] if c.isdigit()))
    check(digits in (90, 90 * MIB, 90 << 10), f"GOMEMLIMIT={env['GOMEMLIMIT']}")


@test("hints: JAVA_TOOL_OPTIONS only for a JVM that does not see this kind of group", [needs_runs])
def _():
    box = place()
    # 8u372 and 15 were the first to know v2; 8u191 and 10 the first to know v1 by default.
    cases = [("1.8.0_121", True), ("21.0.1", False), ("17.0.2", False),
             ("11.0.15", machine.version == "v2"), ("1.8.0_202", machine.version == "v2")]
    for version, hinted in cases:
        with tempfile.TemporaryDirectory() as home:
            os.mkdir(home + "/bin")
            with open(home + "/release", "w") as file:
                file.write(f'IMPLEMENTOR="Nobody"\nJAVA_VERSION="{version}"\n')
            with open(home + "/bin/java", "w") as file:
                file.write("#!/bin/sh\nenv\n")
            os.chmod(home + "/bin/java", 0o755)
            done = subprocess.run([harness.options.binary, "run", "-q", "-m", "200M",
                                   "--cgroup-parent", box.path, "--", home + "/bin/java"],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                                  env={"PATH": os.environ["PATH"]})
            equal(done.returncode, 0, "exit code")
            equal("JAVA_TOOL_OPTIONS=" in done.stdout.decode(), hinted, f"hint for Java {version}")


# --- pressure --------------------------------------------------------------------------------

WATCHER = """
import base64, mmap, os, select, socket, stat, sys, threading, time
path = os.environ["MEMORY_PRESSURE_WATCH"]
kind = "socket" if stat.S_ISSOCK(os.stat(path).st_mode) else "file"
if kind == "socket":
    watch = socket.socket(socket.AF_UNIX)
    watch.connect(path)
    fd, wanted = watch.fileno(), select.POLLIN
else:
    fd, wanted = os.open(path, os.O_RDWR | os.O_NONBLOCK), select.POLLPRI
    os.write(fd, base64.b64decode(os.environ["MEMORY_PRESSURE_WRITE"]))
poll = select.poll()
poll.register(fd, wanted)
print(kind, int(bool(poll.poll(300))), flush=True)
size = int(sys.argv[1]) << 20
block = mmap.mmap(-1, size)
def fill():
    for at in range(0, size, 4096):
        block[at] = 1
def thrash():  # a page that two mappings touched is kept as long as can be, and missed when gone
    with open(sys.argv[2], "rb") as file:
        maps = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for _ in range(2)]
    while True:
        for at in range(0, len(maps[0]), 1 << 18):
            for each in maps:
                each[at:at + (1 << 18):4096]
work = [fill] + [thrash] * 3 * (kind == "file")
for each in work:
    threading.Thread(target=each, daemon=True).start()
fired = poll.poll(int(sys.argv[3]) * 1000)
print("fired", int(any(event & wanted for _, event in fired)), flush=True)
os._exit(0)
"""


def watch(box, cap, anon, *args):
    with tempfile.NamedTemporaryFile(dir=harness.scratch_dir()) as file:
        for _ in range(100):
            file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        one = Run(box, "-m", f"{cap}M", "--restart", "never", *args, "--", "/usr/bin/python3", "-c",
                  WATCHER, anon, file.name, 60)
        try:
            one.finish(90, code=0)
            return one.out.split()
        finally:
            one.end()


@test("$MEMORY_PRESSURE_WATCH is a socket that becomes readable when usage passes 90 % of the cap",
      [needs_runs])
def _():
    equal(watch(place(), 64, 56, "--pressure", "socket"), ["socket", "0", "fired", "1"], "told")


CLIMBER = """
import mmap, os, select, socket, sys, time
watch = socket.socket(socket.AF_UNIX)
watch.connect(os.environ["MEMORY_PRESSURE_WATCH"])
size = int(sys.argv[1]) << 20
def wait_told(seconds):
    if not select.select([watch], [], [], seconds)[0]:
        return -1
    return len(watch.recv(4096))
for _ in range(6):
    block = mmap.mmap(-1, size)
    for at in range(0, size, 4096):
        block[at] = 1
    print("crossing", wait_told(20), flush=True)
    block.close()
    time.sleep(0.4)
print("below", wait_told(1.2), flush=True)
block = mmap.mmap(-1, size)
for at in range(0, size, 4096):
    block[at] = 1
start = time.monotonic()
print("above", wait_told(20), flush=True)
for _ in range(2):
    print("repeated", wait_told(20), flush=True)
print("seconds", int(time.monotonic() - start + 0.5), flush=True)
"""


@test("the socket tells of each time that usage passes the mark, and again each second that it stays "
      "above", [needs_runs])
def _():
    one = Run(place(), "-m", "64M", "--restart", "never", "--pressure", "socket", "--", "/usr/bin/python3",
              "-c", CLIMBER, 56)
    one.finish(60, code=0)
    equal(min(one.wait_out("crossing", 6)), 1, f"bytes for each passing: {one.out!r}")
    equal(one.wait_out("below"), [-1], "told while it was below")
    check(min(one.wait_out("above") + one.wait_out("repeated", 2)) >= 1, f"above: {one.out!r}")
    check(one.wait_out("seconds")[0] >= 2, f"repeated too early: {one.out!r}")


@test("$MEMORY_PRESSURE_WATCH is a PSI file where the kernel has one, and fires under pressure",
      [needs_runs])
def _():
    box = place()
    if not os.path.exists(box.dirs.get("unified", "/none") + "/memory.pressure"):
        raise Skip("no memory.pressure of groups in this kernel")
    # v2 brakes at "high"; on v1 pressure is what reading a file in too little memory makes.
    anon, brake = (44, ["--high", "40M"]) if machine.version == "v2" else (44, [])
    equal(watch(box, 64, anon, *brake), ["file", "0", "fired", "1"], "told")


@test("--pressure off sets no variable, and a socket is gone after its run", [needs_runs])
def _():
    box = place()
    env, _ = environment(box, "-m", "60M", "--pressure", "off")
    check("MEMORY_PRESSURE_WATCH" not in env, "set although off")
    env, _ = environment(box, "-m", "60M", "--pressure", "socket")
    check(not os.path.exists(env["MEMORY_PRESSURE_WATCH"]), "the socket is left")
    mine = {"MEMORY_PRESSURE_WATCH": "/dev/null"}
    equal(environment(box, "-m", "60M", env=mine)[0]["MEMORY_PRESSURE_WATCH"], "/dev/null",
          "what was set")


@test("a socket that a killed supervisor left is gone after the next run with one", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "60M", "--pressure", "socket", "--", "/bin/sh", "-c",
              'echo "$MEMORY_PRESSURE_WATCH"; exec sleep 60')
    harness.wait_for(lambda: one.out.endswith("\n"), 10, "its socket")
    path = one.out.strip()
    one.process.kill()
    one.process.wait()
    check(os.path.exists(path), "nothing was left to clear")
    environment(box, "-m", "60M", "--pressure", "socket")
    check(not os.path.exists(path), "it is still there")
    one.end()


main()
