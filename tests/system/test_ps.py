"""`plimsoll ps` says of processes what procps and /proc say, and of their sum what it means."""
import os
import re
import resource
import signal
import subprocess

import harness
from harness import (MIB, PAGE, SMALL, Load, check, equal, group, keyed, main, near, needs_cgroups,
                     no_control_bytes, plimsoll, read, test)

COUNT = 60 if SMALL else 200
KEYS = """pid ppid user comm command state threads fds virt res shr data code swap anon file shmem pss
uss oom_score start_ms cgroup runtime""".split()


def ps(*args):
    """({pid: object}, the total) of `ps --json`."""
    objects = plimsoll("ps", "--json", *args).objects
    equal("total" in objects[-1], True, "the last object is the total")
    return {o["pid"]: o for o in objects[:-1]}, objects[-1]["total"]


def statm(pid):
    words = ("virt", "res", "shr", "code", "lib", "data")
    return dict(zip(words, (int(n) * PAGE for n in read(f"/proc/{pid}/statm").split())))


def status_bytes(pid):
    return {key.rstrip(":"): value * 1024
            for key, value in keyed(read(f"/proc/{pid}/status").replace(" kB", "")).items()}


def rollup(pid):
    found = re.findall(r"^(\w+):\s+(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.M)
    return {key: int(value) * 1024 for key, value in found}


@test(f"VIRT, RES, SHR, DATA and CODE of {COUNT} processes are /proc/PID/statm's", [needs_cgroups])
def _():
    box = group()
    load = Load("sleepers", COUNT, groups=[box])
    before = {pid: statm(pid) for pid in load.children}
    seen, _ = ps(box.path)
    steady = [pid for pid in load.children if before[pid] == statm(pid)]
    check(len(steady) > COUNT * 0.9, f"only {len(steady)} processes stood still")
    for pid in steady:
        for key in ("virt", "res", "shr", "data", "code"):
            equal(seen[pid][key], before[pid][key], f"{key} of {pid}")
    check(len({seen[pid]["res"] for pid in steady}) > COUNT / 5, "all sleepers have the same size")


@test(f"RES and VIRT of {COUNT} processes are what procps' ps prints", [needs_cgroups])
def _():
    box = group()
    load = Load("sleepers", COUNT, groups=[box])
    pids = ",".join(map(str, load.children))
    out = subprocess.run(["ps", "-o", "pid=,rss=,vsz=", "-p", pids], check=True,
                         capture_output=True, text=True).stdout
    seen, _ = ps(box.path)
    for line in out.splitlines():
        pid, rss, vsz = map(int, line.split())
        # Both are per-CPU sums that the kernel adds up with some slack.
        check(abs(seen[pid]["res"] - rss * 1024) <= 64 * PAGE, f"res of {pid}: {seen[pid]['res']}, "
              f"ps: {rss * 1024}")
        equal(seen[pid]["virt"], vsz * 1024, f"virt of {pid}")
    equal(len(out.splitlines()), COUNT, "processes that ps saw")


@test("with --pss, PSS and USS of idle processes are smaps_rollup's", [needs_cgroups])
def _():
    box = group()
    load = Load("sleepers", 60, groups=[box])
    seen, total = ps("--pss", box.path)
    for pid in load.children:
        exact = rollup(pid)
        # To the KiB: the share of the vdso depends on how many processes there are in all.
        near(seen[pid]["pss"], exact["Pss"], 1024, f"pss of {pid}")
        equal(seen[pid]["uss"], exact["Private_Clean"] + exact["Private_Dirty"], f"uss of {pid}")
    equal(total["pss"], sum(o["pss"] for o in seen.values()), "sum of pss")
    check(any(seen[p]["pss"] < seen[p]["res"] for p in load.children), "nothing is shared")


@test("anon, file, shmem and swap are /proc/PID/status'", [needs_cgroups])
def _():
    box = group()
    load = Load("shared-anon", 20, groups=[box])
    seen, _ = ps(box.path)
    words = {"anon": "RssAnon", "file": "RssFile", "shmem": "RssShmem", "swap": "VmSwap"}
    for pid in load.children:
        status = status_bytes(pid)
        for key, word in words.items():
            equal(seen[pid][key], status[word], f"{key} of {pid}")
    check(seen[load.pid]["shmem"] >= 20 * MIB, "the shared memory does not show")


@test("every key of the contract is there; names, parents and groups are right", [needs_cgroups])
def _():
    box = group()
    load = Load("sleepers", 3, groups=[box])
    seen, _ = ps(box.path)
    equal(sorted(seen), sorted([load.pid, *load.children]), "processes of the group")
    for pid, o in seen.items():
        equal([key for key in KEYS if key not in o], [], "missing keys")
        equal((o["comm"], o["user"], o["state"]), ("load", "root", "S"), f"process {pid}")
        equal(o["cgroup"], box.path, f"cgroup of {pid}")
        equal(o["ppid"], os.getpid() if pid == load.pid else load.pid, f"ppid of {pid}")
        equal(o["oom_score"], int(read(f"/proc/{pid}/oom_score")), f"oom_score of {pid}")
        check(o["command"].startswith("load ") and "sleepers 3" in o["command"], o["command"])


@test("the sum line tells that the sum of RES is not the group's memory", [needs_cgroups])
def _():
    box = group()
    Load("forks", 40, groups=[box])
    seen, total = ps("--pss", box.path)
    equal(total["processes"], 4, "processes")
    equal(total["res"], sum(o["res"] for o in seen.values()), "sum of res")
    check(total["res"] > 160 * MIB, f"the shared pages are not counted 4 times: {total['res']}")
    check(abs(total["cgroup_usage"] - box.usage()) < 4 * MIB, "cgroup_usage")
    check(total["cgroup_used"] < 45 * MIB and total["pss"] < 45 * MIB, f"the truth: {total}")
    text = plimsoll("ps", "--pss", box.path).out
    tail = text[text.rindex("load"):]
    check(re.search(r"4 processes", tail) and re.search(r"shared|more than once", tail),
          f"no explanation in {tail!r}")


@test("the sort key orders the lines, the biggest first", [needs_cgroups])
def _():
    box = group()
    Load("sleepers", 20, groups=[box])
    for key in ("res", "shr", "virt"):
        objects = plimsoll("ps", "--json", "--sort", key, box.path).objects[:-1]
        values = [o[key] for o in objects]
        equal(values, sorted(values, reverse=True), f"order by {key}")


@test("--plain is tab-separated, one line a process", [needs_cgroups])
def _():
    box = group()
    load = Load("sleepers", 5, groups=[box])
    lines = plimsoll("ps", "--plain", box.path).lines
    rows = [line for line in lines if line.split("\t")[0].strip() in map(str, load.children)]
    equal(len(rows), 5, f"rows in {lines}")
    equal(len({row.count("\t") for row in rows}), 1, "kinds of rows")


@test("threads and file descriptors are counted", [needs_cgroups])
def _():
    box = group()
    threads = Load("threads", 150, groups=[box])
    fds = Load("fds", 300, groups=[box])
    seen, _ = ps(box.path)
    equal(seen[threads.pid]["threads"], 151, "threads")
    equal(seen[fds.pid]["fds"], len(os.listdir(f"/proc/{fds.pid}/fd")), "fds")
    equal(seen[fds.pid]["threads"], 1, "threads of the other")


@test("zombies are shown as such, without memory", [needs_cgroups])
def _():
    load = Load("zombies", 3)
    seen, _ = ps()
    for pid in load.children:
        equal((seen[pid]["state"], seen[pid]["ppid"]), ("Z", load.pid), f"zombie {pid}")
        check(not seen[pid]["res"] and not seen[pid]["pss"], f"a zombie has memory: {seen[pid]}")
    no_control_bytes(plimsoll("ps").raw, "ps")


@test("without a target every process of the machine is listed, kernel threads too")
def _():
    before = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    seen, total = ps()
    after = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    missing = (before & after) - set(seen)
    equal(missing, set(), "processes that are not listed")
    equal(total["processes"], len(seen), "processes")
    if os.path.exists("/proc/2/status") and "Kthread:\t1" in read("/proc/2/status"):
        check(not seen[2]["res"] and "kthreadd" in seen[2]["command"], f"kthreadd: {seen[2]}")


HOSTILE = (
    b"a) R 1 1\nVmRSS: 9"[:15],
    b"\x1b[2J\x1b[31m\x07",
    b"\xff\xfe\x80bad",
    "a\u202eb\u2066c".encode(),
    b"tab\there\x7f",
    b"\xc2\x9b31m\xc2\x85",
    b"\"\\</script>",
)


@test("hostile names break neither the text nor the JSON, and no figure moves to another process",
      [needs_cgroups])
def _():
    box = group()
    loads = {}
    for name in HOSTILE:
        load = Load("comm", 3, word=name, groups=[box], argv0=name + b"\nPid:\t1 ")
        loads[load.pid] = name
    seen, total = ps(box.path)
    equal(set(seen), set(loads), "processes")
    for pid, name in loads.items():
        equal(seen[pid]["ppid"], os.getpid(), f"ppid of {name!r}")
        equal((seen[pid]["state"], seen[pid]["threads"]), ("S", 1), f"state, threads of {name!r}")
        equal(seen[pid]["res"], statm(pid)["res"], f"res of {name!r}")
        try:
            equal(seen[pid]["comm"], name.decode(), "comm")
        except UnicodeDecodeError:
            check("bad" in seen[pid]["comm"], f"comm of {name!r}: {seen[pid]['comm']!r}")
    for args in (("ps", box.path), ("ps", "--plain", box.path)):
        raw = plimsoll(*args).raw
        no_control_bytes(raw.replace(b"\t", b" ") if "--plain" in args else raw, " ".join(args))
        equal(sum(line.split()[0] in map(str, loads) for line in raw.decode().splitlines()
                  if line.split()), len(loads), "lines that begin with a pid")


@test("processes that end while they are read are left out without a word")
def _():
    churn = subprocess.Popen(["/bin/sh", "-c", "while :; do /bin/true; done"])
    try:
        for _ in range(5 if SMALL else 30):
            done = plimsoll("ps", "--json")
            equal(done.err, "", "stderr")
            done.objects
    finally:
        churn.kill()
        churn.wait()


@test("usage goes to stderr with exit code 2, and what was wrong is named")
def _():
    for args, says in (((), "usage: plimsoll COMMAND"), (("--bogus",), "unknown option '--bogus'"),
                       (("--version", "x"), "--version takes no argument"),
                       (("map", "-1"), "'-1' is not a pid")):
        done = plimsoll(*args, code=2)
        equal(done.raw, b"", f"stdout of {args}")
        check(says in done.err, f"stderr of {args}: {done.err!r}")


@test("too few open files are told in one line, with what helps, and no figure is made up")
def _():
    few = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))}
    done = plimsoll("ps", "-o", "pid,res,pss", **few)
    found = re.fullmatch(r"plimsoll: (\d+) process(?:es)? could not be read: "
                         r"Too many open files \(try: ulimit -n\)\n", done.err)
    check(found, f"stderr: {done.err!r}")
    *rows, last = done.raw.decode().splitlines()
    check(last.endswith(f"; {found.group(1)} could not be read") and ": ;" not in last, last)
    check("--pss" not in last, last)
    check(any(row.split()[1:] == ["-", "-"] for row in rows), "rows with unknown figures")
    total = plimsoll("ps", "--json", **few).objects[-1]["total"]
    equal((total["res"], total["pss"]), (None, None), "sums")


@test("an interval is ended by SIGINT and SIGTERM with exit code 0")
def _():
    for number in (signal.SIGINT, signal.SIGTERM):
        command = [harness.options.binary, "ps", "--interval", "60", "-o", "pid,res"]
        stream = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            equal(stream.stdout.readline().split(), ["PID", "RES"], "heads")
            stream.send_signal(number)
            equal(stream.wait(30), 0, f"exit code after signal {number}")
        finally:
            stream.kill()
            stream.wait()
            stream.stdout.close()


main()
