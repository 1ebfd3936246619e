"""`plimsoll stats` says what the kernel's files say, and keeps saying it while it streams."""
import datetime
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import termios
import time

from harness import (MIB, PAGE, PATIENCE, QUICK, Load, Skip, Stream, check, equal, group, keyed,
                     machine, main, meminfo, near, needs_cgroups, needs_v2, plimsoll, read, read_int, stats_of,
                     test, top, wait_for)
import harness

# A counter of a cgroup moves in steps of 64 pages a processor.
FUZZ = 64 * PAGE * os.cpu_count() + 16 * PAGE
KEYS = """ts id name runtime image pod cgroup version pids cpu_pct usage used working_set anon file
active_file inactive_file shmem kernel slab_reclaimable swap limit limit_from used_pct headroom peak
failcnt oom_kills under_oom psi_some_avg10 psi_full_avg10 net_rx net_tx blk_read blk_write""".split()
EVERY = ("cpuacct", "pids", "blkio", "unified")


def claim(text, *more):
    return test(text, [needs_cgroups, *more])


def fionread(pipe):
    """Bytes that wait in a pipe."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


def pids_current(box):
    directory = box.dirs["pids"] if machine.version == "v1" else box.dir
    return read_int(directory + "/pids.current")


def memory_stat(box):
    """memory.stat in v2's words."""
    stat = box.stat()
    if machine.version == "v2":
        return stat
    words = {"anon": "total_rss", "file": "total_cache", "shmem": "total_shmem",
             "active_file": "total_active_file", "inactive_file": "total_inactive_file"}
    return {word: stat[v1] for word, v1 in words.items()}


@claim("every key of the contract is there, unknown values are null")
def _():
    box = group()
    stats = stats_of(box.path)
    equal([key for key in KEYS if key not in stats], [], "missing keys")
    equal(stats["cgroup"], box.path, "cgroup")
    equal(stats["version"], machine.version, "version")
    equal((stats["image"], stats["pod"]), (None, None), "image and pod of a plain cgroup")
    equal(stats["usage"] is not None and stats["usage"] < MIB, True, "usage of an empty cgroup")
    if machine.version == "v1":  # this group is in the memory hierarchy only
        equal(stats["slab_reclaimable"], None, "slab_reclaimable, which v1 does not tell")
    moment = datetime.datetime.fromisoformat(stats["ts"].replace("Z", "+00:00"))
    near(moment.timestamp(), time.time(), 60, "ts")


@claim("usage, peak, limit, failcnt, OOM state and pids are the kernel's")
def _():
    box = group(limit=64 * MIB, controllers=EVERY)
    Load("mix", 60, groups=[box])  # 48 MiB are charged when a file of 60 is read
    stats = stats_of(box.path)
    near(stats["usage"], box.usage(), FUZZ, "usage")
    equal(stats["limit"], 64 * MIB, "limit")
    equal(stats["pids"], pids_current(box), "pids")
    if machine.version == "v1":
        equal(stats["peak"], read_int(box.dir + "/memory.max_usage_in_bytes"), "peak")
        equal(stats["failcnt"], read_int(box.dir + "/memory.failcnt"), "failcnt")
    else:
        if os.path.exists(box.dir + "/memory.peak"):
            equal(stats["peak"], read_int(box.dir + "/memory.peak"), "peak")
        equal(stats["failcnt"], keyed(read(box.dir + "/memory.events"))["max"], "failcnt")
    check(stats["failcnt"] > 0, "the load never met the limit: this test proves nothing")
    equal(stats["oom_kills"], 0, "oom_kills")
    equal(stats["under_oom"], False if machine.version == "v1" else None, "under_oom")


@claim("anon, file, shmem and the file lists are memory.stat's; used and working_set follow")
def _():
    box = group()
    Load("mix", 50, groups=[box])
    Load("read-thrice", 30, groups=[box])
    time.sleep(2.2)  # the kernel gathers memory.stat every 2 s
    stats, kernel = stats_of(box.path), memory_stat(box)
    for key in ("anon", "file", "shmem", "active_file", "inactive_file"):
        near(stats[key], kernel[key], FUZZ, key)
        check(stats[key] > MIB, f"{key} is next to nothing: this test proves nothing")
    slab = stats["slab_reclaimable"] or 0
    equal(stats["used"], stats["usage"] - stats["inactive_file"] - stats["active_file"] - slab,
          "used")
    equal(stats["working_set"], stats["usage"] - stats["inactive_file"], "working_set")
    near(stats["used_pct"], stats["used"] / stats["limit"] * 100, 0.1, "used_pct")


@claim("a tighter limit of an ancestor is the limit, and is told whose it is")
def _():
    outer = group("outer", limit=48 * MIB)
    inner = outer.child("inner")
    inner.limit(200 * MIB)
    stats = stats_of(inner.path)
    equal(stats["limit"], 48 * MIB, "limit")
    check(outer.path in str(stats["limit_from"]) and inner.path not in str(stats["limit_from"]),
          f"limit_from is {stats['limit_from']!r}, not the ancestor {outer.path}")
    unlimited = outer.child("unlimited")
    equal(stats_of(unlimited.path)["limit"], 48 * MIB, "limit of a sibling without its own")


@claim("the own limit, when it is the tightest, is told as its own")
def _():
    outer = group("outer", limit=90 * MIB)
    inner = outer.child("inner")
    inner.limit(32 * MIB)
    stats = stats_of(inner.path)
    equal(stats["limit"], 32 * MIB, "limit")
    check(stats["limit_from"] != stats_of(outer.child("other").path)["limit_from"],
          "limit_from is the same for an own limit and for an ancestor's")


@claim("without any limit the host's memory is the limit, and is told so")
def _():
    stats = stats_of(group(limit=None).path)
    equal(stats["limit"], meminfo()["MemTotal"], "limit")
    check("host" in str(stats["limit_from"]), f"limit_from is {stats['limit_from']!r}")


@claim("a limit beyond the host's memory is no limit")
def _():
    box = group(limit=meminfo()["MemTotal"] + (1 << 40))
    equal(stats_of(box.path)["limit"], meminfo()["MemTotal"], "limit")


@claim("an odd limit is shown as the kernel rounds it")
def _():
    box = group(limit=50 * MIB + 1000)
    equal(stats_of(box.path)["limit"], box.limit(), "limit")
    equal(box.limit() % PAGE, 0, "the kernel's rounding")


@claim("headroom is the smallest over the chain of ancestors")
def _():
    outer = group("outer", limit=100 * MIB)
    inner, sibling = outer.child("inner"), outer.child("sibling")
    inner.limit(80 * MIB)
    Load("anon", 30, groups=[inner])
    Load("anon", 40, groups=[sibling])
    near(stats_of(inner.path)["headroom"], 30 * MIB, 2 * MIB, "headroom set by the ancestor")
    outer.limit(200 * MIB)
    near(stats_of(inner.path)["headroom"], 50 * MIB, 2 * MIB, "headroom set by its own limit")


@claim("an OOM kill is counted")
def _():
    box = group(limit=24 * MIB)
    pid = subprocess.Popen([os.path.join(harness.options.loads, "load"), "-g", box.dir, "anon",
                            "100"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    equal(pid.wait(60), -signal.SIGKILL, "the load over its limit")
    stats = stats_of(box.path)
    path = box.file("memory.oom_control", "memory.events")
    equal(stats["oom_kills"], keyed(read(path))["oom_kill"], "oom_kills")
    check(stats["oom_kills"] >= 1, "nothing was counted")


@claim("swap is the kernel's")
def _():
    box = group()
    stats = stats_of(box.path)
    if machine.version == "v2":
        want = read_int(box.dir + "/memory.swap.current")
    elif os.path.exists(box.dir + "/memory.memsw.usage_in_bytes"):
        want = 0  # nothing was charged, so nothing was swapped
    else:
        raise Skip("no swap accounting here")
    equal(stats["swap"], want, "swap")


@claim("kernel memory is the kernel's figure")
def _():
    box = group()
    Load("pipes", 20, groups=[box])
    if machine.version == "v1":
        want = read_int(box.dir + "/memory.kmem.usage_in_bytes")
    else:
        want = box.stat().get("kernel")
        if want is None:
            raise Skip("this kernel's memory.stat has no 'kernel' line")
    near(stats_of(box.path)["kernel"], want, FUZZ, "kernel")


@claim("CPU time spent shows as CPU %, and an idle group as about none")
def _():
    busy, idle = group("busy", controllers=EVERY), group("idle", controllers=EVERY)
    Load("anon", 1, groups=[idle])
    loop = subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"])
    try:
        busy.add(loop.pid)
        for _ in range(3):  # a busy machine may give it no time in one of them
            found = {o["cgroup"]: o for o in plimsoll("stats", "--no-stream", "--json", busy.path,
                                                      idle.path).objects}
            if found[busy.path]["cpu_pct"] > 10:
                break
    finally:
        loop.kill()
        loop.wait()
    check(10 < found[busy.path]["cpu_pct"] <= 110, f"busy: {found[busy.path]['cpu_pct']} %")
    check(found[idle.path]["cpu_pct"] < 5, f"idle: {found[idle.path]['cpu_pct']} %")


@claim("memory pressure is read where the kernel tells it")
def _():
    box = group(controllers=EVERY)
    path = box.dirs["unified"] + "/memory.pressure" if "unified" in box.dirs else ""
    if not os.path.exists(path):
        raise Skip("no memory.pressure here")
    stats = stats_of(box.path)
    equal((stats["psi_some_avg10"], stats["psi_full_avg10"]), (0, 0), "pressure of an idle group")


@claim("a target is found by its path, and several are shown together")
def _():
    boxes = [group(), group()]
    found = plimsoll("stats", *QUICK, "--json", *(b.path for b in boxes)).objects
    equal(sorted(o["cgroup"] for o in found), sorted(b.path for b in boxes), "targets")


@claim("a pid stands for its cgroup")
def _():
    box = group()
    load = Load("anon", 10, groups=[box])
    equal(stats_of(load.pid)["cgroup"], box.path, "cgroup")


@claim("--all lists every cgroup, the default only containers")
def _():
    box = group()
    paths = [o["cgroup"] for o in plimsoll("stats", *QUICK, "--json", "--all").objects]
    check(box.path in paths and top().path in paths, "--all lacks our cgroups")
    equal(len(paths), len(set(paths)), "paths listed twice")
    default = plimsoll("stats", *QUICK, "--json").objects
    check(box.path not in [o["cgroup"] for o in default], "a plain cgroup is called a container")


@claim("a v2 group without the memory controller is shown, with nothing known of its memory",
       needs_v2)
def _():
    box = group()
    harness.write(box.dir + "/cgroup.subtree_control", "-memory")
    bare = box.path + "/bare"
    os.mkdir(box.dir + "/bare")
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        harness.write(box.dir + "/bare/cgroup.procs", str(sleeper.pid))
        done = plimsoll("stats", *QUICK, "--json", bare)
        row, = done.objects
        equal((row["usage"], row["used"], row["oom_kills"]), (None, None, None), "memory")
        equal((row["limit"], row["limit_from"]), (box.limit(), box.path), "limit")
        check("memory controller" in done.err, f"no word why: {done.err!r}")
        equal(plimsoll("stats", *QUICK, "--json", str(sleeper.pid)).objects[0]["cgroup"], bare,
              "by pid")
        equal(json.loads(plimsoll("free", "--json", bare).raw)["container"]["used"], None,
              "used of free")
    finally:
        sleeper.kill()
        sleeper.wait()
        wait_for(lambda: read(box.dir + "/bare/cgroup.procs") == "", 10, "the group to be empty")
        os.rmdir(box.dir + "/bare")


@claim("an ancestor's limit of swap counts below it")
def _():
    outer = group("outer", limit=64 * MIB)
    inner = outer.child("inner")
    path = outer.file("memory.memsw.limit_in_bytes", "memory.swap.max")
    if not os.path.exists(path):
        raise Skip("no swap accounting here")
    harness.write(path, str(64 * MIB) if machine.version == "v1" else "0")
    equal(stats_of(inner.path)["swap_limit"], 0, "swap_limit")
    equal(json.loads(plimsoll("free", "--json", inner.path).raw)["container"]["swap_total"], 0,
          "swap_total of free")


@claim("memory.high is told", needs_v2)
def _():
    box = group()
    harness.write(box.dir + "/memory.high", str(20 * MIB))
    equal(stats_of(box.path)["high"], 20 * MIB, "high")
    check("20.0M the kernel slows" in "".join(plimsoll("free", box.path).lines), "free's note")


# --- output forms ------------------------------------------------------------------------------

@claim("the table has one line for the target, with its usage in IEC units")
def _():
    box = group()
    Load("anon", 50, groups=[box])
    lines = plimsoll("stats", *QUICK, box.path).lines
    rows = [line for line in lines if re.search(r"\b5[0-2](\.\d+)? ?Mi?B?", line)]
    equal(len(rows), 1, f"rows that show about 50 MiB in {lines}")


@claim("--plain is tab-separated, every line with the same number of fields")
def _():
    box = group()
    lines = plimsoll("stats", *QUICK, "--plain", box.path).lines
    check(len(lines) >= 1 and "\t" in lines[0], f"no tabs in {lines}")
    equal(len({line.count("\t") for line in lines}), 1, "kinds of lines")


@claim("--format fills docker's template fields")
def _():
    box = group(limit=64 * MIB)
    Load("anon", 20, groups=[box])
    out = plimsoll("stats", *QUICK, "--format", "{{.Name}}|{{.MemUsage}}|{{.PIDs}}",
                   box.path).lines
    equal(len(out), 1, f"lines in {out}")
    check(re.search(r"\|(2[0-2])(\.\d+)?MiB / 64MiB\|", out[0]), f"got {out[0]!r}")


@claim("--format docker has docker's columns")
def _():
    box = group()
    lines = plimsoll("stats", *QUICK, "--format", "docker", box.path).lines
    equal(re.split(r"\s{2,}", lines[0].strip()),
          ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O",
           "PIDS"], "heading")
    equal(len(lines), 2, "lines")


@claim("an unknown field in a template is an error that names it")
def _():
    done = plimsoll("stats", *QUICK, "--format", "{{.Nome}}", top().path, code=None)
    check(done.code in (1, 2) and "Nome" in done.err, f"exit {done.code}, {done.err!r}")


# --- streaming ---------------------------------------------------------------------------------

@claim("a stream of JSON has one object a line and tick, in its interval")
def _():
    box = group()
    stream = Stream("stats", "--json", "--interval", "0.5", box.path)
    stream.read_for(20 * PATIENCE, lambda raw: raw.count(b"\n") >= 5)
    objects = stream.objects()[:5]
    check(len(objects) == 5, f"only {len(objects)} objects")
    times = [datetime.datetime.fromisoformat(o["ts"].replace("Z", "+00:00")).timestamp()
             for o in objects]
    check(times == sorted(set(times)), f"times do not rise: {times}")
    check((times[-1] - times[1]) / 3 > 0.4, f"ticks come too fast: {times}")  # late is the machine
    equal(stream.errors(), "", "stderr")


@claim("a stream into a pipe prints one block a tick, without moving a cursor")
def _():
    box = group()
    stream = Stream("stats", "--interval", "0.3", box.path)
    stream.read_for(20 * PATIENCE, lambda raw: raw.count(b"\n") >= 9)
    check(b"\x1b" not in stream.buffer, "escape sequences in a pipe")
    lines = stream.whole_lines()
    headings = [i for i, line in enumerate(lines) if line == lines[0]]
    check(len(headings) >= 3, f"the heading is not repeated: {lines[:6]}")
    equal(len({b - a for a, b in zip(headings, headings[1:])}), 1, "kinds of blocks")


@claim("a stream ends cleanly on SIGINT, SIGTERM and when its reader goes away")
def _():
    for how in (signal.SIGINT, signal.SIGTERM):
        stream = Stream("stats", "--json", "--interval", "0.2", top().path)
        stream.read_for(20 * PATIENCE, lambda raw: raw.count(b"\n") >= 2)
        equal(stream.end(how), 0, f"exit code after {how.name}")
        check(stream.buffer.endswith(b"\n"), f"half a line at the end after {how.name}")
    stream = Stream("stats", "--json", "--interval", "0.2", top().path)
    stream.read_for(20 * PATIENCE, lambda raw: raw.count(b"\n") >= 2)
    stream.process.stdout.close()
    equal(stream.process.wait(10 * PATIENCE), 0, "exit code after the reader went away")
    equal(stream.errors(), "", "stderr")
    harness._streams.remove(stream)


@claim("a stream whose reader has stopped reading still ends on SIGINT")
def _():
    stats = subprocess.Popen([harness.options.binary, "stats", "--all", "--json", "--interval",
                              "0.05"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: fionread(stats.stdout) > 61440, 60, "the pipe to fill")
        stats.send_signal(signal.SIGINT)
        equal(stats.wait(10 * PATIENCE), 0, "exit code")
        equal(stats.stderr.read(), b"", "stderr")
    finally:
        stats.kill()
        stats.wait()
        stats.stdout.close()
        stats.stderr.close()


@claim("what changes between ticks is seen: a growing load, its peak, its end")
def _():
    box = group()
    stream = Stream("stats", "--json", "--interval", "0.2", box.path)
    stream.read_for(20 * PATIENCE, lambda raw: raw.count(b"\n") >= 2)
    load = Load("anon", 40, groups=[box])
    time.sleep(0.6)
    load.end()
    seen = stream.buffer.count(b"\n") + 8
    stream.read_for(5 * PATIENCE, lambda raw: raw.count(b"\n") >= seen)
    usages = [o["usage"] for o in stream.objects()]
    check(max(usages) > 39 * MIB, f"the load was not seen: {usages}")
    check(usages[-1] < 5 * MIB, f"its end was not seen: {usages}")


@claim("groups that appear and vanish while it streams come and go without a word")
def _():
    stream = Stream("stats", "--all", "--json", "--interval", "0.2")
    stream.read_for(20 * PATIENCE, lambda raw: raw.count(b"\n") >= 2)
    box = group()
    wait_for(lambda: box.path.encode() in stream.read_for(0.1), 10, "the new cgroup to be listed")
    box.remove()

    def gone():
        before = len(stream.buffer)
        return box.path.encode() not in stream.read_for(1.5 * PATIENCE)[before:]
    wait_for(gone, 10, "the removed cgroup to be listed no more")
    again = group()
    wait_for(lambda: again.path.encode() in stream.read_for(0.1), 10, "another one to be listed")
    equal(stream.end(), 0, "exit code")
    equal(stream.errors(), "", "stderr")
    stream.objects()


@claim("a group made again under the same path is another one: its counters start anew")
def _():
    box = group("same")
    stream = Stream("stats", "--all", "--json", "--interval", "0.2")
    Load("anon", 30, groups=[box]).end()
    wait_for(lambda: box.path.encode() in stream.read_for(0.1), 10, "the first one")
    box.remove()
    again = harness.Group(top(), os.path.basename(box.path))
    Load("anon", 10, groups=[again])

    def seen():
        stream.read_for(0.2)
        last = stream.ticks(box.path)[-1]
        return (last["usage"] or 0) > 9 * MIB and (last["peak"] or 0) < 20 * MIB
    wait_for(seen, 10, "the second one's own figures")
    equal(stream.errors(), "", "stderr")


# --- what users get wrong ----------------------------------------------------------------------

@claim("an unknown target is an error of code 1 that names it")
def _():
    for target in ("/plimsoll-no-such-group", "nosuchcontainer", "2147483000"):
        done = plimsoll("stats", *QUICK, target, code=1)
        equal(done.out, "", "stdout")
        check(target in done.err, f"{target} is not named: {done.err!r}")


@test("wrong usage is exit code 2, and stdout stays empty")
def _():
    for args in (("stats", "--no-such-option"), ("nosuchcommand",), ("stats", "--interval", "x"),
                 ("stats", "--interval"), ("stats", "--interval", "-1"), ("ps", "--sort", "bogus"),
                 ("map",), ("stats", "--json", "--plain")):
        done = plimsoll(*args, code=2)
        equal(done.out, "", f"stdout of {args}")
        check(done.err.strip() != "", f"no message for {args}")


@test("a mistyped command or option gets a suggestion")
def _():
    for args, word in ((("stat",), "stats"), (("fre",), "free"),
                       (("stats", "--no-steam"), "--no-stream"), (("ps", "--sotr=res"), "--sort")):
        check(f"'{word}'" in plimsoll(*args, code=2).err, f"{args} does not suggest {word}")


@test("help goes to stdout with code 0, for the program and each command")
def _():
    for args in (("--help",), ("stats", "--help"), ("free", "--help"), ("ps", "--help"),
                 ("map", "--help")):
        done = plimsoll(*args)
        check(len(done.lines) > 3 and done.err == "", f"{args}: {done.out!r} {done.err!r}")
    check(re.match(r"plimsoll \d+\.\d+", plimsoll("--version").out), "--version")


main()
