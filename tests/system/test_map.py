"""`plimsoll map` says what smaps says, by what backs the memory, and which of it grew."""
import os
import re
import signal
import subprocess

from harness import (MIB, Load, check, equal, group, main, needs_cgroups, no_control_bytes,
                     plimsoll, read, test)

FIELDS = {"size": "Size", "rss": "Rss", "pss": "Pss", "private_dirty": "Private_Dirty",
          "swap": "Swap", "lazyfree": "LazyFree", "locked": "Locked"}


def smaps(pid):
    """The sums over all mappings, in bytes, and their number."""
    text = read(f"/proc/{pid}/smaps")
    sums = {key: sum(int(n) for n in re.findall(rf"^{word}: +(\d+) kB$", text, re.M)) * 1024
            for key, word in FIELDS.items()}
    return sums, len(re.findall(r"^[0-9a-f]+-[0-9a-f]+ ", text, re.M))


def document(*args):
    objects = plimsoll("map", "--json", *args).objects
    equal(len(objects), 1, "documents")
    return objects[0]


def backing(doc, word):
    found = [g for g in doc["groups"] if word in g["backing"]]
    equal(len(found), 1, f"groups of {word!r} in {[g['backing'] for g in doc['groups']]}")
    return found[0]


@test("the groups, the single mappings and the total are smaps' sums", [needs_cgroups])
def _():
    load = Load("mix", 60, groups=[group()])
    want, count = smaps(load.pid)
    for args, key in ((), "groups"), (("--each",), "mappings"):
        doc = document(str(load.pid), *args)
        for field, bytes_ in want.items():
            equal(doc["total"][field], bytes_, f"total of {field}")
            equal(sum(g[field] for g in doc[key]), bytes_, f"sum of {field} over {key}")
        equal(sum(g["mappings"] for g in doc[key]), count, f"mappings in {key}")
    check(want["lazyfree"] > 0 and want["locked"] > 0, f"the load has too little to show: {want}")


@test("size, RSS and dirty memory are what pmap -x prints", [needs_cgroups])
def _():
    load = Load("anon", 30, groups=[group()])
    out = subprocess.run(["pmap", "-x", str(load.pid)], check=True, capture_output=True,
                         text=True).stdout
    size, rss, _ = (int(n) * 1024 for n in re.search(r"^total kB +(\d+) +(\d+) +(\d+)", out,
                                                     re.M).groups())
    total = document(str(load.pid))["total"]
    # pmap leaves the vsyscall page out.
    check(total["size"] - size in (0, 4096), f"size {total['size']}, pmap {size}")
    equal(total["rss"], rss, "rss")


@test("a deleted file and a memfd are named", [needs_cgroups])
def _():
    load = Load("nameless", 20, word=b"gone file", groups=[group()])
    doc = document(str(load.pid))
    gone, memfd = backing(doc, "gone file"), backing(doc, "memfd:")
    equal((gone["kind"], gone["deleted"]), ("file", True), "the deleted file")
    equal((memfd["kind"], memfd["deleted"]), ("memfd", False), "the memfd")
    for g in gone, memfd:
        check(g["rss"] >= 20 * MIB, f"{g['backing']}: {g}")
    text = plimsoll("map", str(load.pid))
    check(re.search(r"gone file \(deleted\)$", text.out, re.M), text.out)
    no_control_bytes(text.raw, "map")


@test("--diff puts what grew first, and says what stood still", [needs_cgroups])
def _():
    load = Load("grow", 100, groups=[group()])
    doc = document(str(load.pid), "--diff", "1")
    first = doc["groups"][0]
    equal(first["backing"], "[anon]", "what grew most")
    check(3 * MIB <= first["growth"] <= 20 * MIB, f"growth: {first}")
    check(900 <= doc["diff_ms"] <= 5000, f"diff_ms: {doc['diff_ms']}")
    equal({g["backing"] for g in doc["groups"][1:] if abs(g["growth"]) > MIB}, set(), "others")
    growths = [g["growth"] for g in doc["groups"]]
    equal(growths, sorted(growths, reverse=True), "order")
    text = plimsoll("map", str(load.pid), "--diff", "0.3").lines
    heads = next(line for line in text if "BACKING" in line).split()
    equal(heads[0], "GROWTH", "the first column")


@test("hostile mapping names and command lines: no control bytes, JSON parses", [needs_cgroups])
def _():
    load = Load("nameless", 2, word=b"a\x1b[2J\xff\n]", groups=[group()],
                argv0=b"x\x1b[31m\n\x07")
    doc = document(str(load.pid))
    backing(doc, "[2J")
    for args in ((), ("--each",), ("--plain",)):
        raw = plimsoll("map", str(load.pid), *args).raw
        no_control_bytes(raw.replace(b"\t", b" ") if "--plain" in args else raw, f"map {args}")
        check(b"\\x1b[2J" in raw, f"the name is not shown: {raw!r}")


@test("what has no mappings is an error of code 1 that says why")
def _():
    for pid in ("2147483647", "4194305"):
        done = plimsoll("map", pid, code=1)
        check("no process" in done.err, done.err)
        equal(done.out, "", "stdout")
    if "Kthread:\t1" in (read("/proc/2/status") if os.path.exists("/proc/2/status") else ""):
        check("kernel thread" in plimsoll("map", "2", code=1).err, "a kernel thread")
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    check("zombie" in plimsoll("map", str(child), code=1).err, "a zombie")
    os.waitpid(child, 0)


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
        values = [g[key] for g in document(pid, "--sort", key)["groups"]]
        equal(values, sorted(values, reverse=True), f"order by {key}")
    names = [g["backing"] for g in document(pid, "--sort", "-backing")["groups"]]
    equal(names, sorted(names, reverse=True), "order by name, reversed")
    starts = [int(m["start"], 16) for m in document(pid, "--each")["mappings"]]
    equal(starts, sorted(starts), "order of single mappings")
    plimsoll("map", pid, "--sort", "bogus", code=2)
    plimsoll("map", pid, "--sort", "growth", code=2)
    plimsoll("map", "x1", code=2)
    plimsoll("map", code=2)


main()
