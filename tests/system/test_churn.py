"""Many groups, and groups that come and go faster than anyone can read them."""
import collections
import os
import subprocess
import time

from harness import (MIB, PATIENCE, QUICK, SMALL, Load, Stream, check, equal, group, machine,
                     main, needs_cgroups, note, plimsoll, read, test, wait_for)

CHURN = 3000 if SMALL else 100000
MANY = 400 if SMALL else 5000


def fds(pid, box):
    """What is open, files of other people's cgroups left out: those come and go."""
    cgroups = tuple(point + "/" for point in set(machine.mount.values()))
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return sorted(link for link in links if box.path in link or not link.startswith(cgroups))


def anon_kib(pid):
    return int(read(f"/proc/{pid}/status").split("RssAnon:")[1].split()[0])


# Makes and removes groups, 20 at a time, so that some are seen and most are not.
CHURN_SOURCE = """
import os, sys
directory, count = sys.argv[1], int(sys.argv[2])
names = [f"{directory}/churn{i}" for i in range(20)]
for _ in range(count // len(names)):
    for name in names:
        os.mkdir(name)
    for name in names:
        os.rmdir(name)
"""


def settled_fds(stream, box):
    """What the program has open, once the removed groups have been noticed: what all of a few looks
    find, because a tick opens some files for a moment."""
    stream.read_for(3 * PATIENCE)
    open_now = collections.Counter(fds(stream.process.pid, box))
    for _ in range(5):
        stream.read_for(0.13)
        open_now &= collections.Counter(fds(stream.process.pid, box))
    return open_now


@test(f"{CHURN} groups made and removed while stats streams: no word, no descriptor left behind",
      [needs_cgroups])
def _():
    box = group("churn", limit=None)
    stay = box.child("stays")
    stream = Stream("stats", "--all", "--json", "--interval", "0.2")
    wait_for(lambda: stay.path.encode() in stream.read_for(0.2), 20, "the first tick")
    before, memory = settled_fds(stream, box), anon_kib(stream.process.pid)
    worker = subprocess.Popen(["/usr/bin/python3", "-c", CHURN_SOURCE, box.dir, str(CHURN)])
    start = time.monotonic()
    while worker.poll() is None:
        stream.read_for(0.2)
        stream.buffer = stream.buffer[-1 << 20:]
        check(time.monotonic() - start < 300, "the churn takes too long")
    equal(worker.returncode, 0, "the churn itself")
    stream.buffer = stream.buffer[stream.buffer.rindex(b"\n") + 1:]
    wait_for(lambda: b"churn0" not in fresh(stream), 10, "removed groups to be listed no more")
    after, grown = settled_fds(stream, box), anon_kib(stream.process.pid)
    note(f"{CHURN} in {time.monotonic() - start:.0f} s; descriptors {before.total()} -> {after.total()}, "
         f"private memory {memory} -> {grown} KiB")
    equal(dict(after - before), {}, "files left open")
    check(grown - memory < 4096, f"private memory grew from {memory} to {grown} KiB")
    equal(stream.end(), 0, "exit code")
    equal(stream.errors(), "", "stderr")


def fresh(stream):
    """What the program prints in the next moment, whole lines only."""
    before = len(stream.buffer)
    stream.read_for(0.5 * PATIENCE)
    return stream.buffer[before:]


@test(f"{MANY} groups are listed, each with its figures", [needs_cgroups])
def _():
    box = group("many", limit=None)
    box.make("m", MANY)
    full = box.child("full")
    Load("anon", 20, groups=[full])
    start = time.monotonic()
    done = plimsoll("stats", *QUICK, "--all", "--json", timeout=60)
    note(f"one run took {time.monotonic() - start:.1f} s")
    ours = {o["cgroup"]: o for o in done.objects if o["cgroup"].startswith(box.path + "/")}
    equal(len(ours), MANY + 1, "groups")
    check(all(o["usage"] is not None for o in ours.values()), "groups without a figure")
    check(abs(ours[full.path]["used"] - 20 * MIB) < 2 * MIB, f"used: {ours[full.path]['used']}")
    near_zero = [o for path, o in ours.items() if path != full.path and o["usage"] > MIB]
    equal(near_zero, [], "empty groups with memory")


@test(f"{MANY} groups in a stream: a second tick follows the first", [needs_cgroups])
def _():
    box = group("many", limit=None)
    box.make("m", MANY)
    stream = Stream("stats", "--all", "--json", "--interval", "1")
    last = f"{box.path}/m{MANY - 1}"
    wait_for(lambda: stream.read_for(2) and len(stream.ticks(last)) >= 2, 60, "a second tick")
    equal(stream.end(), 0, "exit code")
    # With less than some 30,000 descriptors it has to say that it cannot keep all files open.
    said = stream.errors().splitlines()
    check(not said or (len(said) == 1 and "open files" in said[0]), f"stderr: {said}")


main()
