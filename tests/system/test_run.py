"""run: what it refuses, what it gives back, what it makes, and what it tells."""
import json
import os
import signal
import subprocess
import tempfile

from harness import (MIB, QUICK, check, equal, machine, main, needs_v1, needs_v2, no_control_bytes,
                     plimsoll, read, read_int, test)
from runs import (TREES, Run, demo, is_alive, members, memory_path, needs_runs, new_name,
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
    (["--window", "10"], 2, "--max-restarts"),
    *((words, 125, "needs cgroup") for words in ([["--swappiness", "10"]] if machine.version == "v2" else
                                                 [["--oom-group"], ["--high", "30M"]])),
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


@test("a limit below what a program needs to start: told as such, 137, and not tried again if it "
      "never began", [needs_runs])
def _():
    box = place()
    for size in ("4K", "16K", "64K", "128K"):
        done = run(box, "-m", size, "--restart", "always", "--max-restarts", "1", "--backoff", "10ms",
                   "--", "/bin/true")
        # exec itself may fail for want of memory: then the program cannot be executed; and the
        # least of limits is less than an empty group takes: then we fail.
        check(done.code in (137, 126, 125), f"exit code with -m {size}: {done.code}; {done.err!r}")
        check("limit" in done.err, f"the limit is not told: {done.err!r}")
        causes = [e["cause"] for e in done.all("exit")]
        check(causes in (["no-start"], ["oom", "oom"], ["oom", "no-start"], []),
              f"causes with -m {size}: {causes}; {done.err!r}")


@test("a name that a living run has is refused with 125, and that run is left alone", [needs_runs])
def _():
    box = place()
    first = Run(box, "-m", "30M", "--", *demo("sleep"))
    pid = first.wait_event("start")["pid"]
    done = plimsoll("run", "--cgroup-parent", box.path, "--name", first.name, "-m", "30M", "--",
                    "/bin/true", code=125)
    check(first.name in done.err, f"stderr: {done.err!r}")
    check(is_alive(pid), "the first run's program was killed")
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


WATCHED = ("SigBlk", "SigIgn", "SigCgt", "Umask", "Uid", "Gid", "Groups", "CapEff", "CapBnd",
           "NoNewPrivs", "Seccomp", "VmLck", "Cpus_allowed", "THP_enabled")


def seen(command, prepare, spare):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          cwd="/usr", preexec_fn=prepare, env={"PATH": os.environ["PATH"], "A": "b c"},
                          pass_fds=(spare,))
    equal((done.returncode, done.stderr), (0, b""), "the caller's view")
    system, _, env = done.stdout.decode().partition("\n=\n")
    lines = []
    for line in system.splitlines():
        if " -> " in line:  # of a descriptor only the number is the same in two runs
            lines.append("descriptor " + line.split(" -> ")[0].split()[-1])
        elif ":\t" not in line or line.split(":")[0] in WATCHED:
            lines.append(line if not line.startswith("total ") else "descriptors")
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
        differing = sorted(set(below) ^ set(alone))
        equal((below, differing), (alone, []), f"with {prepare.__name__}")
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
        one.wait_out("main")
        path = memory_path(event["pid"])
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
    pid = one.wait_out("main")[0]
    check(memory_path(pid).startswith(deep + "/plimsoll-run-"), f"group: {memory_path(pid)}")
    one.signal(signal.SIGTERM)
    one.finish()
    nothing_left(box)


@test("a parent that cannot be: 125, and no part of its path is left", [needs_runs])
def _():
    box = place()
    for path in ("new/cgroup.procs", "new/cgroup.procs/below", "new/er/cgroup.procs", "cgroup.procs"):
        done = plimsoll("run", "--cgroup-parent", f"{box.path}/{path}", "-m", "30M", "--", "/bin/true",
                        code=125)
        check("group" in done.err and "cgroup.procs" in done.err, f"{path}: {done.err!r}")
        nothing_left(box, path)
    if machine.version == "v1" and os.path.exists(f"{box.dirs['unified']}/cgroup.kill"):
        run(box, "-m", "30M", "--cgroup-parent", f"{box.path}/new/cgroup.kill", "--", "/bin/true", code=0)
        nothing_left(box, "a parent that can be in one tree alone")


@test("runs that begin and end at the same time in parents that they make do not disturb each other",
      [needs_runs])
def _():
    box = place()
    for count in range(5 if harness.SMALL else 15):
        runs = [Run(None, "-q", "--cgroup-parent", box.path + "/a/b", "-m", "30M", "--", "/bin/true")
                for _ in range(6)]
        for one in runs:
            code, err = one.finish(), one.err
            one.end()
            equal((code, err), (0, ""), f"round {count}")
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
    check("60.0M" in plimsoll("free", one.name).out, "free does not show its limit")
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
                 "--events", path, "--", "/bin/sh", "-c",
                 " ".join(demo("-s", 0, "climb", 60)) + "; sleep 1", code=0)
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

main()
