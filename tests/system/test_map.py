"""`plimsoll map` adds a process's mappings up as smaps has them, and tells which of them grow."""
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import harness
from harness import (MIB, Load, check, equal, main, near, no_control_bytes, plimsoll,
                     read, scratch_dir, test, wait_for)

WORDS = {"size": ("Size",), "rss": ("Rss",), "pss": ("Pss",), "swap": ("Swap",),
         "uss": ("Private_Clean", "Private_Dirty", "Private_Hugetlb"),
         "private_dirty": ("Private_Dirty",), "lazyfree": ("LazyFree",), "locked": ("Locked",)}


def map_of(pid, *args):
    return plimsoll("map", "--json", *args, pid).objects[0]


def smaps(pid):
    """[(start, end, name, {key: bytes})] of each mapping."""
    found = []
    for line in read(f"/proc/{pid}/smaps").splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+ *(.*)", line)
        if head:
            found.append((int(head.group(1), 16), int(head.group(2), 16), head.group(3), {}))
        elif line.endswith(" kB"):
            key, number = line[:-3].split(":")
            found[-1][3][key] = int(number) * 1024
    return found


def sum_of(mappings, words):
    return sum(values.get(word, 0) for *_, values in mappings for word in words)


def slack(key):
    """The vdso is shared with every process of the machine, the program that counts included."""
    return 4096 if key == "pss" else 0


def file_name(suffix=""):
    return os.path.join(scratch_dir(), f"plimsoll-test-{os.getpid()}{suffix}")


@test("the totals are the sums over smaps")
def _():
    load = Load("mix", 50)
    kernel, found = smaps(load.pid), map_of(load.pid)
    for key, words in WORDS.items():
        near(found["total"][key], sum_of(kernel, words), slack(key), f"total {key}")
    equal(found["total"]["mappings"], len(kernel), "mappings")
    for key in WORDS:
        equal(sum(g[key] for g in found["groups"]), found["total"][key], f"sum of the groups' {key}")
    check(found["total"]["lazyfree"] >= 9 * MIB and found["total"]["locked"] >= 9 * MIB,
          f"the load does not show: {found['total']}")


@test("each mapping alone is as smaps has it")
def _():
    load = Load("shared-anon", 20)
    kernel = smaps(load.pid)
    found = map_of(load.pid, "--each")["mappings"]
    equal([(int(m["start"], 16), int(m["end"], 16)) for m in found], [k[:2] for k in kernel],
          "addresses")
    for m, k in zip(found, kernel):
        for key in ("size", "rss", "pss", "uss"):
            near(m[key], sum_of([k], WORDS[key]), slack(key), f"{key} of {m['backing']}")


@test("the totals are what pmap -x prints")
def _():
    load = Load("anon", 30)
    out = subprocess.run(["pmap", "-x", str(load.pid)], check=True, capture_output=True, text=True)
    total = re.findall(r"^total kB +(\d+) +(\d+)", out.stdout, re.M)[0]
    found = map_of(load.pid)["total"]
    near(found["size"], int(total[0]) * 1024, 64 << 10, "size")  # pmap leaves vsyscall in
    equal(found["rss"], int(total[1]) * 1024, "rss")


@test("what backs the memory is told apart: heap, stack, anonymous, shared, file")
def _():
    load = Load("mix", 50)
    groups = {g["kind"]: g for g in map_of(load.pid)["groups"]}
    check({"heap", "stack", "anon", "shared", "file"} <= set(groups), f"kinds: {set(groups)}")
    near(groups["anon"]["rss"], 20 * MIB, 2 * MIB, "rss of anonymous memory")
    near(groups["shared"]["rss"], 10 * MIB, MIB, "rss of shared memory")


@test("a deleted file and a memfd are named")
def _():
    name = file_name()
    load = Load("nameless", 8, word=name)
    groups = {g["backing"]: g for g in map_of(load.pid)["groups"]}
    check(name in groups and groups[name]["deleted"] is True, f"{name}: {groups.get(name)}")
    equal(groups[name]["rss"], 8 * MIB, "rss of the deleted file")
    memfd = [g for backing, g in groups.items() if "plimsoll-memfd" in backing]
    equal([(g["kind"], g["rss"]) for g in memfd], [("memfd", 8 * MIB)], "the memfd")
    text = plimsoll("map", load.pid).out
    check(re.search(re.escape(name) + r" \(deleted\)", text), f"not said in the text: {text!r}")


@test("--diff shows the mapping that grows on top, and by how much")
def _():
    load = Load("grow", 200)
    before, start = rss_anon(load.pid), time.monotonic()
    found = map_of(load.pid, "--diff", "2")
    grown, passed = rss_anon(load.pid) - before, time.monotonic() - start
    top = found["groups"][0]
    check((top["kind"], top["backing"]) == ("anon", "[anon]") and top["growth"] > MIB,
          f"on top: {top}")
    check(top["growth"] <= grown, f"grew by {grown} at most, not {top['growth']}")
    check(2000 <= found["diff_ms"] <= passed * 1000, f"diff_ms: {found['diff_ms']}")
    equal(found["total"]["growth"], sum(g["growth"] for g in found["groups"]), "total growth")
    growths = [g["growth"] for g in found["groups"]]
    equal(growths, sorted(growths, reverse=True), "order")
    text = plimsoll("map", "--diff", "1", load.pid).lines
    check(re.search(r"\+\d+(\.\d+)?[KM]", text[2]), f"the first row does not grow: {text[:4]}")


def rss_anon(pid):
    return int(re.search(r"RssAnon:\s+(\d+)", read(f"/proc/{pid}/status")).group(1)) * 1024


@test("--diff of a process that stands still shows no growth")
def _():
    found = map_of(Load("anon", 20).pid, "--diff", "0.3")
    equal([g["growth"] for g in found["groups"] if g["growth"] != 0], [], "growth")


@test("--plain is tab-separated, in bytes")
def _():
    load = Load("anon", 20)
    lines = plimsoll("map", "--plain", load.pid).lines
    equal(len({line.count("\t") for line in lines}), 1, "kinds of lines")
    check(any(f.isdigit() and 20 * MIB <= int(f) < 21 * MIB for f in lines[1].split("\t")),
          f"no 20 MiB in {lines[1]!r}")


@test("a hostile file name or command line breaks neither the text nor the JSON")
def _():
    name = os.fsencode(file_name()) + b"\x1b[2J\nRss: 1 kB\xff\xe2\x80\xae"
    load = Load("nameless", 2, word=name, argv0=b"x\x1b[31m\n\x07")
    found = map_of(load.pid)
    equal(sum(g["rss"] for g in found["groups"]), sum_of(smaps(load.pid), ("Rss",)), "rss")
    check(any("Rss: 1 kB" in g["backing"] and g["rss"] == 2 * MIB for g in found["groups"]),
          "the file is not found")
    for args in ((), ("--each",), ("--plain",)):
        raw = plimsoll("map", load.pid, *args).raw
        no_control_bytes(raw.replace(b"\t", b" ") if "--plain" in args else raw, f"map {args}")
        check(b"\\x1b[2J" in raw, f"the name is not shown: {raw!r}")


@test("a process that is gone, a zombie, a kernel thread: code 1, and the text says which")
def _():
    zombie = Load("zombies", 1).children[0]
    wait_for(lambda: read(f"/proc/{zombie}/stat").rpartition(")")[2].split()[0] == "Z", 10,
             "a zombie")
    check("zombie" in plimsoll("map", zombie, code=1).err, "zombie")
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    check(f"process {gone.pid}" in plimsoll("map", gone.pid, code=1).err, "gone")
    if os.path.exists("/proc/2/status") and "\nPPid:\t0\n" in read("/proc/2/status"):
        check("kernel thread" in plimsoll("map", 2, code=1).err, "kernel thread")


@test("a process that ends between two looks is an error, not half a table")
def _():
    child = subprocess.Popen(["sleep", "60"])
    watcher = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.5; kill {child.pid}"])
    try:
        done = plimsoll("map", str(child.pid), "--diff", "1", code=1)
        equal(done.out, "", "stdout")
        check("ended" in done.err or "zombie" in done.err, done.err)
    finally:
        watcher.wait()
        child.send_signal(signal.SIGKILL)
        child.wait()


@test("sort keys order the groups; an unknown key is a usage error")
def _():
    pid = str(os.getpid())
    for key in ("size", "rss", "pss", "uss"):
        values = [g[key] for g in map_of(pid, "--sort", key)["groups"]]
        equal(values, sorted(values, reverse=True), f"order by {key}")
    names = [g["backing"] for g in map_of(pid, "--sort", "-backing")["groups"]]
    equal(names, sorted(names, reverse=True), "order by name, reversed")
    starts = [int(m["start"], 16) for m in map_of(pid, "--each")["mappings"]]
    equal(starts, sorted(starts), "order of single mappings")
    plimsoll("map", pid, "--sort", "bogus", code=2)
    plimsoll("map", pid, "--sort", "growth", code=2)
    plimsoll("map", "x1", code=2)
    plimsoll("map", code=2)


@test("the title takes one line of the terminal, wide characters and the pid included")
def _():
    master, slave = pty.openpty()
    target = subprocess.Popen(["/bin/sh", "-c", "read x", "\u65e5\u672c" * 60],
                              stdin=subprocess.PIPE)
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        done = subprocess.run([harness.options.binary, "map", str(target.pid)], stdout=slave,
                              env=dict(os.environ, LC_ALL="C.UTF-8"), timeout=30)
        equal(done.returncode, 0, "exit code")
        title = os.read(master, 65536).decode().splitlines()[0]
        columns = sum(2 if ord(c) > 0x2e80 else 1 for c in title)
        check(39 <= columns <= 40, f"{columns} columns: {title!r}")
        check(title.startswith(f"{target.pid}: /bin/sh -c"), title)
    finally:
        target.communicate()
        os.close(master)
        os.close(slave)


main()
