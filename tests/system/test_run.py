"""run: what it refuses, what it gives back, what it tells, when it starts again, and its hints."""
import base64
import json
import os
import signal
import stat
import subprocess
import tempfile
import threading
import time

from harness import (MIB, QUICK, SMALL, Skip, check, equal, machine, main, needs_v1,
                     needs_v2, no_control_bytes, note, plimsoll, read, read_int, test, wait_for)
from runs import (TREES, Run, demo, groups_in, is_alive, members, memory_path, needs_runs, new_name,
                  nothing_left, place, run, run_dir)
import harness

PERSISTS = ["/bin/sh", "-c", 'echo started >> "$0"; exit 1']


# --- what it refuses -------------------------------------------------------------------------

WRONG = (  # arguments before the command, the exit code, a word that stderr must hold
    (["-m", "0"], 2, "0"),
    (["-m", "1K"], 2, "1K"),
    (["-m", "4095"], 2, "4095"),
    (["-m", "60Q"], 2, "60Q"),
    (["-m", "-5M"], 2, "-5M"),
    (["-m", ""], 2, ""),
    (["-m", "99999999999999999999G"], 2, "99999999999999999999G"),
    (["--swap", "lots"], 2, "lots"),
    (["--high", "90M", "-m", "50M"], 2, "--high"),
    (["--swappiness", "300"], 2, "300"),
    (["--restart", "sometimes"], 2, "sometimes"),
    (["--max-restarts", "-1"], 2, "-1"),
    (["--backoff", "soon"], 2, "soon"),
    (["--window", "0"], 2, "0"),
    (["--grace", "x"], 2, "x"),
    (["--hints", "perhaps"], 2, "perhaps"),
    (["--pressure", "high"], 2, "high"),
    (["--name", "a/b"], 2, "a/b"),
    (["--name", ".."], 2, ".."),
    (["--name", "n" * 65], 2, "nnn"),
    (["--name", "a\x1b[2Jb"], 2, "name"),
    (["--events", "fd:987"], 125, "987"),
    (["--events", "/no/such/folder/file"], 125, "/no/such/folder/file"),
    (["--no-such-option"], 2, "--no-such-option"),
)


@test("bad input is refused with the right exit code and a message, and nothing is started or left",
      [needs_runs])
def _():
    box = place()
    with tempfile.TemporaryDirectory() as folder:
        mark = folder + "/mark"
        for words, code, said in WRONG:
            done = plimsoll("run", "--cgroup-parent", box.path, *words, "--", *PERSISTS, mark,
                            code=None)
            equal(done.code, code, f"exit code of {words} ({done.err!r})")
            equal(done.out, "", f"stdout of {words}")
            check(done.err.startswith("plimsoll") and said in done.err,
                  f"stderr of {words}: {done.err!r}")
            no_control_bytes(done.raw_err, f"stderr of {words}")
            check(not os.path.exists(mark), f"{words}: the command was started")
            nothing_left(box, words)


@test("no command is a usage error", [needs_runs])
def _():
    box = place()
    for words in ([], ["-m", "60M"], ["-m", "60M", "--"], ["--", ""]):
        done = plimsoll("run", "--cgroup-parent", box.path, *words, code=2)
        check("command" in done.err, f"stderr of {words}: {done.err!r}")
        nothing_left(box, words)


def programs(folder):
    """(what to run, exit code, words that stderr must hold)"""
    def make(name, text, mode):
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
        os.chmod(f"{folder}/{name}", mode)
        return f"{folder}/{name}"
    return (
        (f"{folder}/none", 127, ("none", "not found")),
        ("no-such-program-anywhere", 127, ("no-such-program-anywhere", "PATH")),
        (make("plain", "#!/bin/sh\nexit 0\n", 0o644), 126, ("plain", "not executable")),
        (folder, 126, ("directory",)),
        (make("lost", "#!/no/such/interpreter\n", 0o755), 126, ("/no/such/interpreter",)),
        (make("junk", "\x7fELF" + "x" * 60, 0o755), 126, ("junk",)),
        (make("plain", "#!/bin/sh\nexit 0\n", 0o644) + "/below", 126, ("below",)),
    )


@test("what cannot be executed is 126 or 127 with the reason, and is not tried again", [needs_runs])
def _():
    box = place()
    with tempfile.TemporaryDirectory() as folder:
        for program, code, words in programs(folder):
            done = run(box, "-m", "60M", "--restart", "always", "--", program)
            if program.endswith("/below"):  # ENOTDIR: shells differ
                check(done.code in (126, 127), f"exit code of {program}: {done.code}")
            else:
                equal(done.code, code, f"exit code of {program} ({done.err!r})")
            for word in words:
                check(word in done.err, f"{word!r} is not told for {program}: {done.err!r}")
            equal(done.err.count("\n"), 1, f"lines on stderr for {program}: {done.err!r}")


@test("a limit below what a program needs to start: told as such, 137, not tried again",
      [needs_runs])
def _():
    box = place()
    for size in ("4K", "64K", "128K"):
        done = run(box, "-m", size, "--restart", "always", "--", "/bin/true")
        check(done.code in (137, 126), f"exit code with -m {size}: {done.code}; {done.err!r}")
        check(size[:-1] in done.err, f"the limit is not told: {done.err!r}")
        equal(len(done.all("start")) <= 1, True, "starts")


@test("a name that a living run has is refused with 125, and that run is left alone", [needs_runs])
def _():
    box = place()
    first = Run(box, "-m", "30M", "--", *demo("sleep"))
    pid = first.wait_event("start")["pid"]
    done = run(box, "-m", "30M", "--", "/bin/true", name=first.name, code=125, clean=False) \
        if False else plimsoll("run", "--cgroup-parent", box.path, "--name", first.name, "-m", "30M",
                               "--", "/bin/true", code=125)
    check(first.name in done.err, f"stderr: {done.err!r}")
    check(is_alive(pid), "the first run's program was killed")
    equal(read_int(first.box.file("memory.limit_in_bytes", "memory.max")), None, "parent's limit")
    first.signal(signal.SIGTERM)
    first.finish()
    nothing_left(box)


# --- what it gives back ----------------------------------------------------------------------

@test("the exit code is the command's, or 128 and the signal that killed it", [needs_runs])
def _():
    box = place()
    for code in (0, 1, 3, 42, 125, 126, 127, 137, 255):
        done = run(box, "-m", "30M", "--", "/bin/sh", "-c", f"exit {code}", code=code)
        equal((done.exit["cause"], done.exit["exit_code"], done.exit["signal"]),
              ("exited", code, None), f"told of exit code {code}")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM):
        done = run(box, "-m", "30M", "--", "/bin/sh", "-c", f"kill -{number.value} $$",
                   code=128 + number)
        equal((done.exit["cause"], done.exit["signal"]), ("signal", number.name[3:]),
              f"told of {number.name}")


@test("a crash is told as a crash, with its signal", [needs_runs])
def _():
    done = run(place(), "-m", "30M", "--", *demo("crash"), code=139)
    equal((done.exit["cause"], done.exit["signal"]), ("crashed", "SEGV"), "told")
    check("SEGV" in done.err, f"stderr: {done.err!r}")


@test("standard input, output and errors are the command's own, and nothing is added to stdout",
      [needs_runs])
def _():
    box = place()
    for how in (["-v"], ["-q"], []):
        done = subprocess.run([harness.options.binary, "run", *how, "-m", "30M", "--cgroup-parent",
                               box.path, "--", "/bin/sh", "-c", "cat; echo problem >&2"],
                              input=b"through\0\xff", capture_output=True, timeout=60)
        equal((done.returncode, done.stdout), (0, b"through\0\xff"), f"with {how}")
        check(b"problem\n" in done.stderr, f"stderr: {done.stderr!r}")
        if how == ["-q"]:
            equal(done.stderr, b"problem\n", "stderr with -q")
    nothing_left(box)


SHOW = 'cat /proc/self/status; ulimit -a; umask; pwd; ls -l /proc/self/fd; ' \
       'cat /proc/self/oom_score_adj; nice; echo =; env'


def prepare_caller():
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (177, 233))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
    os.umask(0o027)
    os.nice(3)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR2, signal.SIGWINCH})


def prepare_plain():
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


WATCHED = ("SigBlk", "SigIgn", "SigCgt", "SigQ", "Umask", "Uid", "Gid", "Groups", "CapEff", "CapBnd",
           "NoNewPrivs", "Seccomp", "VmLck", "Cpus_allowed", "THP_enabled")


def seen(command, prepare, spare):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          cwd="/usr", preexec_fn=prepare, env={"PATH": os.environ["PATH"], "A": "b c"},
                          pass_fds=(spare,))
    equal((done.returncode, done.stderr), (0, b""), "the caller's view")
    system, _, env = done.stdout.decode().partition("\n=\n")
    lines = [line for line in system.splitlines()
             if ":" not in line[:20] or line.split(":")[0] in WATCHED]
    # Of the descriptors only number and kind are the same in two runs.
    lines = [" ".join(line.split()[8:9]) if " -> " in line else line for line in lines
             if "SigQ" not in line and "/fd" not in line and not line.startswith("total")]
    return lines, set(env.splitlines())


@test("signal mask, ignored signals, limits, umask, folder, descriptors and environment are the "
      "caller's", [needs_runs])
def _():
    box = place()
    shell = ["/bin/sh", "-c", SHOW]
    spare = os.open("/dev/null", os.O_RDONLY)
    base = [harness.options.binary, "run", "-q", "-m", "50M", "--cgroup-parent", box.path]
    for prepare in (prepare_caller, prepare_plain):
        alone, env_alone = seen(shell, prepare, spare)
        below, env_below = seen([*base, "--hints", "off", "--pressure", "off", "--", *shell], prepare,
                                spare)
        equal(below, alone, f"with {prepare.__name__}")
        equal(env_below, env_alone, "environment without hints")
        _, env_hinted = seen([*base, "--", *shell], prepare, spare)
        check(env_hinted > env_alone, f"environment with hints: {env_hinted - env_alone}")
    os.close(spare)


# --- the groups ------------------------------------------------------------------------------

@test("the limit is in force on the run's group and its inner one, in which the program is, in all "
      "trees", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "40M", "--", *demo("forks", 1))
    pid = one.wait_event("start")["pid"]
    one.wait_out("main")
    name = "memory.limit_in_bytes" if machine.version == "v1" else "memory.max"
    for folder in (run_dir(box, one.name), run_dir(box, one.name) + "/w"):
        equal(read_int(f"{folder}/{name}"), 40 * MIB, f"limit of {folder}")
    for tree in TREES:
        if tree in box.dirs:
            check(pid in members(run_dir(box, one.name, tree) + "/w"), f"not in {tree}")
            check(one.pid not in members(run_dir(box, one.name, tree)), f"supervisor in {tree}")
    equal(one.all("start")[0]["limit"], 40 * MIB, "limit told")
    check(memory_path(pid).startswith(one.all("start")[0]["cgroup"] + "/"), "cgroup told")
    if machine.version == "v1":
        for folder in (run_dir(box, one.name), run_dir(box, one.name) + "/w"):
            control = harness.keyed(read(folder + "/memory.oom_control"))
            equal(control["oom_kill_disable"], 0, "oom_kill_disable")
            equal(read_int(folder + "/memory.swappiness"), 0, "swappiness")
            equal(read_int(folder + "/memory.memsw.limit_in_bytes"), 40 * MIB, "memory+swap")
    else:
        equal(read_int(run_dir(box, one.name) + "/memory.swap.max"), 0, "swap")
    one.signal(signal.SIGTERM)
    one.finish()
    nothing_left(box)


@test("--swap and --high are set, and given again to each start", [needs_runs, needs_v2])
def _():
    box = place()
    one = Run(box, "-m", "40M", "--swap", "10M", "--high", "30M", "--oom-group", "--restart",
              "always", "--backoff", "50ms", "--", "/bin/sleep", "0.3")
    for count in (1, 2):
        one.wait_event("start", count)
        folder = run_dir(box, one.name)
        got = {name: read(f"{folder}/w/{name}").strip() for name in
               ("memory.max", "memory.oom.group")}
        equal(got, {"memory.max": str(40 * MIB), "memory.oom.group": "1"}, f"start {count}")
        tightest = [min(read_int(f"{folder}{inner}/{name}") or 1 << 62 for inner in ("", "/w"))
                    for name in ("memory.high", "memory.swap.max")]
        equal(tightest, [30 * MIB, 10 * MIB], "high and swap")
    one.signal(signal.SIGTERM)
    one.finish()
    nothing_left(box)


@test("--swap above the limit: memory and memory+swap", [needs_runs, needs_v1])
def _():
    box = place()
    one = Run(box, "-m", "40M", "--swap", "10M", "--swappiness", "33", "--", *demo("sleep"))
    one.wait_event("start")
    folder = run_dir(box, one.name)
    equal([read_int(f"{folder}/{name}") for name in
           ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness")],
          [40 * MIB, 50 * MIB, 33], "limits")
    one.signal(signal.SIGTERM)
    one.finish()


@test("without --cgroup-parent root's groups are made, seen by their name and taken away",
      [needs_runs])
def _():
    name = new_name("default")
    one = Run(None, "-m", "30M", "--", *demo("sleep"), name=name)
    try:
        event = one.wait_event("start")
        pid = event["pid"]
        path = memory_path(pid)
        check(path.startswith(event["cgroup"]) and f"plimsoll-run-{name}" in path, f"group: {path}")
        mount = machine.mount["unified" if machine.version == "v2" else "memory"]
        limit = "memory.limit_in_bytes" if machine.version == "v1" else "memory.max"
        equal(read_int(f"{mount}{event['cgroup']}/{limit}"), 30 * MIB, "limit")
    finally:
        one.signal(signal.SIGTERM)
        one.finish()
        one.end()
    for tree in TREES:
        if tree in machine.mount:
            check(not os.path.exists(machine.mount[tree] + event["cgroup"]), f"left in {tree}")


@test("parents that are missing are made, and go again with the run", [needs_runs])
def _():
    box = place()
    deep = f"{box.path}/new/deeper"
    one = Run(None, "-m", "30M", "--cgroup-parent", deep, "--", *demo("sleep"))
    pid = one.wait_event("start")["pid"]
    check(memory_path(pid).startswith(deep + "/plimsoll-run-"), f"group: {memory_path(pid)}")
    one.signal(signal.SIGTERM)
    one.finish()
    nothing_left(box)


@test("stats, ps and free know a run by its name", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "60M", "--", *demo("burst", 20))
    pid = one.wait_out("main")[0]
    found = plimsoll("stats", *QUICK, "--json", one.name).objects
    equal(len(found), 1, "objects of stats")
    equal((found[0]["name"], found[0]["limit"]), (one.name, 60 * MIB), "name and limit")
    check(20 * MIB <= found[0]["used"] < 26 * MIB, f"used: {found[0]['used']}")
    check(one.name in plimsoll("stats", *QUICK).out, "stats without a target does not list it")
    rows = plimsoll("ps", "--json", one.name).objects
    equal([row["pid"] for row in rows[:-1]], [pid], "processes")
    check("60.0M" in plimsoll("free", "-h", one.name, code=None).out or
          str(60 * MIB // 1024) in plimsoll("free", one.name).out, "free does not show its limit")
    one.signal(signal.SIGTERM)
    one.finish()


@test("the page cache of the last start does not count in the next", [needs_runs])
def _():
    box = place()
    with tempfile.NamedTemporaryFile(dir=harness.scratch_dir()) as file, \
            tempfile.NamedTemporaryFile() as usages:
        usage = "memory.usage_in_bytes" if machine.version == "v1" else "memory.current"
        name = new_name()
        script = f'cat {run_dir(box, name)}/w/{usage} >> {usages.name}; ' \
                 f'dd if=/dev/zero of={file.name} bs=1M count=20 2>/dev/null; ' \
                 f'cat {run_dir(box, name)}/w/{usage} >> {usages.name}; exit 1'
        done = run(box, "-m", "60M", "--restart", "failure", "--max-restarts", "2", "--backoff", "20ms",
                   "--", "/bin/sh", "-c", script, name=name, code=137)
        equal(len(done.all("start")), 3, "starts")
        got = [int(line) for line in usages.read().split()]
        equal(len(got), 6, "readings")
        check(all(after > 18 * MIB for after in got[1::2]), f"usage after the write: {got}")
        check(all(before < 10 * MIB for before in got[0::2]), f"usage at the start: {got}")


# --- events ----------------------------------------------------------------------------------

KEYS = {
    "start": {"ts", "event", "name", "pid", "cgroup", "limit", "restarts", "command"},
    "exit": {"ts", "event", "name", "pid", "cause", "whose", "sure", "exit_code", "signal", "core",
             "oom_kills", "child_kills", "limit", "limit_path", "victim", "peak", "ran_ms",
             "restarts", "left", "then", "delay_ms"},
    "child-oom": {"ts", "event", "name", "pid", "whose", "limit", "limit_path", "kills", "victim"},
    "stopping": {"ts", "event", "name", "signal", "grace_ms"},
    "end": {"ts", "event", "name", "exit_code", "gave_up"},
}


def check_events(events, what):
    for event in events:
        check(event["event"] in KEYS, f"{what}: an event {event['event']!r}")
        equal(set(event), KEYS[event["event"]], f"{what}: keys of {event['event']}")


@test("--events appends a JSON object a line to a file, with the documented keys", [needs_runs])
def _():
    box = place()
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/events"
        with open(path, "w") as file:
            file.write("kept\n")
        plimsoll("run", "-q", "--cgroup-parent", box.path, "-m", "30M", "--name", "first", "--events",
                 path, "--", "/bin/sh", "-c", "exit 5", code=5)
        plimsoll("run", "-q", "--cgroup-parent", box.path, "-m", "8M", "--name", "second",
                 "--restart", "never", "--events", path, "--", *demo("child", 60), code=0)
        lines = read(path).splitlines()
        equal(lines[0], "kept", "what was in the file")
        events = [json.loads(line) for line in lines[1:]]
        check_events(events, "file")
        equal([e["event"] for e in events if e["name"] == "first"], ["start", "exit", "end"], "first")
        words = [e["event"] for e in events if e["name"] == "second"]
        check("child-oom" in words and words[-2:] == ["exit", "end"], f"second: {words}")
        first = {e["event"]: e for e in events if e["name"] == "first"}
        equal(first["start"]["command"], ["/bin/sh", "-c", "exit 5"], "command")
        equal((first["exit"]["cause"], first["exit"]["whose"], first["exit"]["then"],
               first["exit"]["oom_kills"], first["end"]["exit_code"], first["end"]["gave_up"]),
              ("exited", None, "end", 0, 5, False), "values")
        check(first["exit"]["peak"] is None or 0 < first["exit"]["peak"] <= 30 * MIB, "peak")
    nothing_left(box)


@test("--events fd:N writes to an open descriptor, which the command does not have", [needs_runs])
def _():
    box = place()
    reader, writer = os.pipe()
    done = plimsoll("run", "-q", "--cgroup-parent", box.path, "-m", "30M", "--events", f"fd:{writer}",
                    "--", "/bin/sh", "-c", "ls /proc/self/fd", pass_fds=(writer,))
    os.close(writer)
    with os.fdopen(reader) as file:
        events = [json.loads(line) for line in file]
    check_events(events, "pipe")
    equal([e["event"] for e in events], ["start", "exit", "end"], "events")
    # ls itself has one open on the folder.
    equal(done.out.split(), ["0", "1", "2", "3"], "descriptors of the command")


@test("the one line on stderr tells of an end; -q none; -v starts and hints too", [needs_runs])
def _():
    box = place()
    plain = run(box, "-m", "30M", "--", "/bin/sh", "-c", "exit 3", code=3)
    equal(plain.err.count("\n"), 1, f"lines: {plain.err!r}")
    check(plain.err.startswith(f"plimsoll: {plain.name}: ") and "3" in plain.err, plain.err)
    equal(run(box, "-q", "-m", "30M", "--", "/bin/sh", "-c", "exit 3", code=3).err, "", "with -q")
    loud = run(box, "-v", "-m", "30M", "--", "/bin/sh", "-c", "exit 3", code=3)
    check(loud.err.count("\n") > 1 and all(line.startswith(f"plimsoll: {loud.name}: ")
                                           for line in loud.err.splitlines()), loud.err)


# --- restarts --------------------------------------------------------------------------------

@test("--restart: what each policy starts again", [needs_runs])
def _():
    box = place()
    cases = (  # policy, what ends it, starts, exit code
        ("oom", ["/bin/sh", "-c", "exit 7"], 1, 7),
        ("oom", ["/bin/true"], 1, 0),
        ("oom", ["/bin/sh", "-c", "kill -9 $$"], 1, 137),
        ("oom", demo("-s", 0, "climb", 60), 3, 137),
        ("oom", demo("-s", 0, "wrapper", 60), 3, 137),
        ("failure", ["/bin/true"], 1, 0),
        ("failure", ["/bin/sh", "-c", "exit 7"], 3, 137),
        ("failure", ["/bin/sh", "-c", "kill -9 $$"], 3, 137),
        ("always", ["/bin/true"], 3, 137),
        ("never", demo("-s", 0, "climb", 60), 1, 137),
        ("never", ["/bin/sh", "-c", "exit 7"], 1, 7),
    )
    for policy, command, starts, code in cases:
        done = run(box, "-m", "12M", "--restart", policy, "--max-restarts", "2", "--backoff", "10ms",
                   "--", *command, code=code)
        equal(len(done.all("start")), starts, f"starts of {command} with {policy}: {done.err!r}")
        equal(done.all("end")[0]["gave_up"], starts == 3, f"gave up on {command} with {policy}")
        equal([e["restarts"] for e in done.all("start")], list(range(starts)), "restarts told")


@test("the back-off doubles, and is told before it is kept", [needs_runs])
def _():
    done = run(place(), "-m", "30M", "--restart", "always", "--max-restarts", "4", "--backoff", "40ms",
               "--", "/bin/true", code=137)
    equal([e["delay_ms"] for e in done.all("exit")], [40, 80, 160, 320, None], "delays")
    equal([e["then"] for e in done.all("exit")], ["again"] * 4 + ["give-up"], "then")
    stamps = [harness.time.mktime(time.strptime(e["ts"][:19], "%Y-%m-%dT%H:%M:%S"))
              + float("0" + e["ts"][19:].rstrip("Z")) for e in done.events
              if e["event"] in ("exit", "start")]
    waits = [b - a for a, b in list(zip(stamps, stamps[1:]))[1::2]]
    for told, kept in zip((40, 80, 160, 320), waits):
        check(kept * 1000 >= told - 2, f"waited {kept * 1000:.0f} ms, told {told}")
    check("give" in done.err or "gave up" in done.err, f"stderr: {done.err!r}")


@test("--max-restarts within --window: restarts that are further apart do not count together",
      [needs_runs])
def _():
    box = place()
    # One restart each 0.4 s and more: three within 0.3 s never happen, two within 60 s do.
    with tempfile.NamedTemporaryFile() as count:
        script = f'echo x >> {count.name}; [ $(wc -l < {count.name}) -ge 6 ] && exit 0; ' \
                 'sleep 0.4; exit 1'
        done = run(box, "-m", "30M", "--restart", "failure", "--max-restarts", "2", "--window", "300ms",
                   "--backoff", "1ms", "--", "/bin/sh", "-c", script, code=0, seconds=40)
        equal(len(done.all("start")), 6, "starts")
    done = run(box, "-m", "30M", "--restart", "failure", "--max-restarts", "2", "--window", "60",
               "--backoff", "1ms", "--", "/bin/false", code=137)
    equal(len(done.all("start")), 3, "starts in a wide window")


# --- how it ends -----------------------------------------------------------------------------

@test("TERM ends the program, and is told as a stop and not as a failure", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "30M", "--restart", "always", "--", *demo("sleep"))
    pid = one.wait_event("start")["pid"]
    one.wait_out("main")
    one.signal(signal.SIGTERM)
    one.finish(code=143)
    equal(one.exit()["cause"], "stopped", "cause")
    equal([(e["signal"]) for e in one.all("stopping")], ["TERM"], "stopping")
    check(not is_alive(pid), "it still lives")
    nothing_left(box)


@test("a tree that ignores TERM: grace, then all of it is killed", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "30M", "--grace", "400ms", "--", *demo("-n", 4, "stubborn"))
    pids = one.wait_out("main") + one.wait_out("child", 4)
    start = time.monotonic()
    one.signal(signal.SIGTERM)
    time.sleep(0.2)
    check(all(is_alive(pid) for pid in pids), "killed before the grace period was over")
    one.finish(code=137)
    check(time.monotonic() - start >= 0.4, "did not wait")
    equal([pid for pid in pids if is_alive(pid)], [], "processes left")
    equal((one.all("stopping")[0]["grace_ms"], one.exit()["cause"]), (400, "stopped"), "told")
    nothing_left(box)


@test("what the program forked off is ended with it, daemons too", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "60M", "--grace", "300ms", "--", *demo("-n", 3, "-s", 100, "daemons", 2))
    daemons = one.wait_out("daemon", 3)
    one.finish(code=0)
    equal([pid for pid in daemons if is_alive(pid)], [], "daemons left")
    check(one.exit()["left"] >= 3, f"left: {one.exit()['left']}")
    nothing_left(box)


@test("leftovers are killed before the next start", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "60M", "--restart", "always", "--backoff", "100ms", "--",
              *demo("-n", 2, "-s", 100, "daemons", 2))
    for count in (2, 3):
        one.wait_event("start", count)
        old = one.wait_out("daemon", 2 * (count - 1))[:2 * (count - 1)]
        equal([pid for pid in old if is_alive(pid)], [], f"daemons left at start {count}")
    one.signal(signal.SIGTERM)
    one.finish()
    nothing_left(box)


TRAPS = "import signal, time\n" \
        "for n in (1, 10, 12, 28, 34):\n" \
        "    signal.signal(n, lambda number, frame: print('got', number, flush=True))\n" \
        "print('main 1', flush=True)\n" \
        "while True: time.sleep(0.05)\n"


@test("HUP, USR1, USR2, WINCH and real-time signals are sent on, once each", [needs_runs])
def _():
    one = Run(place(), "-m", "60M", "--grace", "200ms", "--", "/usr/bin/python3", "-c", TRAPS)
    one.wait_out("main")
    for i, number in enumerate((10, 12, 28, 34, 1), 1):
        one.signal(number)
        one.wait_out("got", i)
    time.sleep(0.2)
    equal(one.wait_out("got"), [10, 12, 28, 34, 1], "signals")
    one.signal(signal.SIGTERM)
    one.finish(code=143)


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
for at in range(0, size, 4096):
    block[at] = 1
end = time.monotonic() + int(sys.argv[3])
def thrash():
    with open(sys.argv[2], "rb") as file:
        while time.monotonic() < end:
            file.seek(0)
            while file.read(1 << 20):
                pass
if kind == "file":
    for _ in range(3):
        threading.Thread(target=thrash, daemon=True).start()
fired = poll.poll(int(sys.argv[3]) * 1000)
print("fired", int(any(event & wanted for _, event in fired)), flush=True)
os._exit(0)
"""


def watch(box, cap, anon, *args):
    with tempfile.NamedTemporaryFile(dir=harness.scratch_dir()) as file:
        for _ in range(3 * cap):
            file.write(os.urandom(MIB))
        file.flush()
        os.sync()
        one = Run(box, "-m", f"{cap}M", "--restart", "never", *args, "--", "/usr/bin/python3", "-c",
                  WATCHER, anon, file.name, 60 if SMALL else 20)
        try:
            one.finish(60, code=0)
            return one.out.split()
        finally:
            one.end()


@test("$MEMORY_PRESSURE_WATCH is a socket that becomes readable when usage passes 90 % of the cap",
      [needs_runs])
def _():
    equal(watch(place(), 64, 56, "--pressure", "socket"), ["socket", "0", "fired", "1"], "told")


@test("$MEMORY_PRESSURE_WATCH is a PSI file where the kernel has one, and fires under pressure",
      [needs_runs])
def _():
    box = place()
    if not os.path.exists(box.dirs.get("unified", "/none") + "/memory.pressure"):
        raise Skip("no memory.pressure of groups in this kernel")
    equal(watch(box, 40, 24), ["file", "0", "fired", "1"], "told")


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


main()
