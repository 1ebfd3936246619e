"""`plimsoll gc` on real JVMs: they give memory back, in other namespaces and as other users too;
those that cannot be asked are left alone, and so is what somebody put in the place of their files.
"""
import contextlib
import glob
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import harness
from harness import (MIB, PATIENCE, Skip, check, equal, group, main, needs_cgroups, note, plimsoll,
                     read, test, wait_for, write)

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "3"))
GARBAGE = 500 if TRIES >= 100 else 120  # MiB
USER = 4321
ENOUGH = 60 * MIB


def classes():
    return os.path.join(harness.options.loads, "rt")


def needs_java():
    needs_cgroups()
    if shutil.which("java") is None or not os.path.exists(classes() + "/Garbage.class"):
        raise Skip("no java, or no javac when this was built")


def needs_jcmd():
    needs_java()
    if shutil.which("jcmd") is None:
        raise Skip("no jcmd to compare with")


def java_home():
    return os.path.dirname(os.path.dirname(os.path.realpath(shutil.which("java"))))


class Ended(AssertionError):
    """A JVM has none of what it was asked for."""


class Java:
    """A JVM with the load, in a limited group; ready when made. `inside`: in namespaces of its own,
    with a /tmp of its own, as another user."""

    def __init__(self, *flags, live=4, garbage=GARBAGE, inside=False, env=None,
                 limit=1200 * MIB):
        self.box = group("jvm", limit=limit)
        # Not in ours, which another user may not enter.
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-java-", dir="/var/tmp")
        os.chmod(self.folder.name, 0o777)
        for path in glob.glob(classes() + "/Garbage*.class"):
            shutil.copy(path, self.folder.name)
        command = ["java", "-XX:TieredStopAtLevel=1", "-Xmx1000m", *flags, "-cp",
                   self.folder.name, "Garbage", str(live), str(garbage)]
        if inside:
            shell = ("mount --make-rprivate / && mount -t tmpfs -o mode=1777 tmpfs /tmp && "
                     f"exec setpriv --reuid {USER} --regid {USER} --clear-groups "
                     "--inh-caps=-all --bounding-set=-all \"$@\"")
            command = ["unshare", "-mpn", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                       shell, "sh", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, cwd=self.folder.name,
                                        env={**os.environ, **(env or {})},
                                        preexec_fn=lambda: self.box.add(os.getpid()))
        self.pid = self.process.pid
        harness._loads.append(self)
        while (line := self.process.stdout.readline()) != b"ready\n":
            if not line:
                raise Ended(f"java {flags} ended early")
        if inside:
            self.pid = int(read(f"/proc/{self.pid}/task/{self.pid}/children").split()[0])
        self.tmp = os.path.join(f"/proc/{self.pid}/root", "tmp")
        self.inner = int(re.search(r"^NSpid:.*?(\d+)$", read(f"/proc/{self.pid}/status"),
                                   re.M).group(1))

    def alive(self):
        return self.process.poll() is None and read(f"/proc/{self.pid}/stat").split()[2] != "Z"

    def finish(self):
        """Asks it for what it kept: it must still be there and right."""
        out, _ = self.process.communicate(b"", timeout=30 * PATIENCE)
        equal(self.process.returncode, 0, "how the JVM ended")
        return out.decode()

    def left_behind(self):
        """Files of ours in its folder and its /tmp."""
        return glob.glob(self.folder.name + "/.attach_pid*") + \
            glob.glob(f"{self.tmp}/.attach_pid{self.inner}")

    def end(self):
        if self in harness._loads:
            harness._loads.remove(self)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()
        for path in glob.glob(f"/tmp/.java_pid{self.pid}") + \
                glob.glob(f"/tmp/hsperfdata_*/{self.pid}"):
            os.unlink(path)  # a killed JVM leaves them
        self.folder.cleanup()
        self.box.remove()


def gc(java, *args, code=None, **popen):
    found = plimsoll("gc", java.pid, "--json", *args, code=code, **popen).objects
    equal(len(found), 1, "objects")
    return found[0]


def collected(java):
    one = gc(java, code=0)
    equal(one["outcome"], "collected", f"outcome ({one['why']})")
    mib = {key: one[key] // MIB for key in ("rss_before", "rss_after")}
    note(f"{one['runtime']}: {mib['rss_before']} -> {mib['rss_after']} MiB in {one['took_ms']} ms, "
         f"settled {one['settled_ms']} ms; {one['how']}")
    equal(java.left_behind(), [], "files left behind")
    return one


def ratios(java):
    """(MinHeapFreeRatio, MaxHeapFreeRatio) as the JDK's own tool reads them."""
    out = subprocess.run(["jcmd", str(java.pid), "VM.flags", "-all"], capture_output=True,
                         text=True).stdout
    return tuple(int(re.search(rf" {name} +:?= (\d+)", out).group(1))
                 for name in ("MinHeapFreeRatio", "MaxHeapFreeRatio"))


@test(f"G1 with {GARBAGE} MB of garbage keeps at most 60 MB, twice, and goes on", [needs_java])
def _():
    java = Java("-XX:+UseG1GC")
    check(collected(java)["rss_after"] <= ENOUGH, "more than 60 MB are left")
    check(collected(java)["rss_after"] <= ENOUGH, "more than 60 MB are left")
    equal(java.finish().strip(), "kept 4096 12345", "what it kept")


@test("Serial (-Xms16m) keeps at most 60 MB, and its flags are as before", [needs_jcmd])
def _():
    java = Java("-XX:+UseSerialGC", "-Xms16m", "-XX:MinHeapFreeRatio=33")
    equal(ratios(java), (33, 70), "before")
    check(collected(java)["rss_after"] <= ENOUGH, "more than 60 MB are left")
    equal(ratios(java), (33, 70), "after")
    equal(java.finish().strip(), "kept 4096 12345", "what it kept")


@test("a JVM in other namespaces, of another user, with a /tmp of its own does the same",
      [needs_java])
def _():
    for flags in (["-XX:+UseG1GC"], ["-XX:+UseSerialGC", "-Xms16m"]):
        java = Java(*flags, inside=True)
        check(java.inner != java.pid, "it has a pid namespace of its own")
        check(collected(java)["rss_after"] <= ENOUGH, "more than 60 MB are left")
        equal(os.stat(f"{java.tmp}/.java_pid{java.inner}").st_uid, USER, "whose socket it is")
        equal(java.finish().strip(), "kept 4096 12345", "what it kept")


@test("a JVM that ignores System.gc() collects as well", [needs_java])
def _():
    for flag in ("-XX:+DisableExplicitGC", "-XX:+ExplicitGCInvokesConcurrent"):
        java = Java("-XX:+UseG1GC", flag)
        check(collected(java)["rss_after"] <= ENOUGH, "more than 60 MB are left")
        java.end()


@test("of collectors that give nothing back it is told why, and what would", [needs_java])
def _():
    known = [("-XX:+UseParallelGC", "Parallel", "-XX:+UseG1GC"),
             ("-XX:+UseZGC -Xms128m", "300 s", "ZUncommitDelay"),
             ("-XX:+UseSerialGC -Xms200m", "200M", "-Xms16m"),
             ("-XX:+UseG1GC -Xms200m", "200M", "-Xms16m")]
    for flags, why, following in known:
        try:
            java = Java(*flags.split(), garbage=60)
        except Ended:
            check("ZGC" in flags, "a JVM without the usual collectors")
            continue
        one = collected(java)
        check(why in one["why"], f"{flags}: {one['why']!r}")
        check(following in one["next"], f"{flags}: {one['next']!r}")


@test("the Epsilon collector is refused", [needs_java])
def _():
    one = gc(Java("-XX:+UnlockExperimentalVMOptions", "-XX:+UseEpsilonGC", "-Xmx200m", garbage=20))
    equal(one["outcome"], "refused", "outcome")
    check("never collects" in one["why"], one["why"])


@test(f"plimsoll killed at {TRIES} moments leaves no flag changed and no file behind", [needs_jcmd])
def _():
    java = Java("-XX:+UseSerialGC", "-Xms16m", garbage=40)
    start = time.monotonic()
    gc(java)
    whole = time.monotonic() - start
    for _ in range(TRIES):
        process = subprocess.Popen([harness.options.binary, "gc", str(java.pid), "--json"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, min(whole, 0.15)))
        process.kill()
        process.wait()
    wait_for(lambda: ratios(java) == (40, 70), 10, "the flags")
    equal(java.left_behind(), [], "files left behind")
    for _ in range(max(3, TRIES // 5)):  # as long as it does not listen yet
        fresh = Java(garbage=1, live=1)
        process = subprocess.Popen([harness.options.binary, "gc", str(fresh.pid), "--json"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.04))
        process.kill()
        process.wait()
        wait_for(lambda: fresh.left_behind() == [], 10, "the file to be removed")
        check(fresh.alive(), "the JVM ended")
        fresh.end()


def refused(java, word, tries=TRIES):
    for _ in range(tries):
        one = gc(java)
        equal(one["outcome"], "refused", f"outcome of {java.process.args} ({one['why']})")
        check(word in one["why"], f"{one['why']!r} says nothing of {word!r}")
        check(one["rss_after"] is None or one["outcome"] != "collected", "nothing was measured")
    check(java.alive(), "it ended")
    equal(java.left_behind(), [], "files left behind")
    return one


@test(f"JVMs that cannot be asked are refused and alive after {TRIES} tries each", [needs_java])
def _():
    off = "-XX:+DisableAttachMechanism"
    refused(Java("-Xrs", garbage=1), "SIGQUIT")
    refused(Java(off, garbage=1), off)
    refused(Java(off, garbage=1, inside=True), off)
    refused(Java("-XX:-UsePerfData", garbage=1, env={"JAVA_TOOL_OPTIONS": off}), off)
    with tempfile.NamedTemporaryFile("w", suffix=".args") as file:
        file.write(off + "\n")
        file.flush()
        refused(Java("@" + file.name, garbage=1), off)
    java = Java(garbage=1)
    os.kill(java.pid, signal.SIGSTOP)
    refused(java, "stopped")
    os.kill(java.pid, signal.SIGCONT)
    java.finish()


@test("a JVM in a frozen group is refused", [needs_java])
def _():
    java = Java(garbage=1)
    freezer = group("frozen", controllers=("unified",))
    if "unified" not in freezer.dirs or not os.path.exists(freezer.dirs["unified"] +
                                                           "/cgroup.freeze"):
        raise Skip("no unified tree to freeze in")
    write(freezer.dirs["unified"] + "/cgroup.procs", java.pid)
    write(freezer.dirs["unified"] + "/cgroup.freeze", 1)
    wait_for(lambda: "frozen 1" in read(freezer.dirs["unified"] + "/cgroup.events"), 5, "the frost")
    try:
        refused(java, "frozen", 2)
    finally:
        write(freezer.dirs["unified"] + "/cgroup.freeze", 0)
    java.finish()


@test(f"a program that only calls itself java is alive after {TRIES} tries", [needs_java])
def _():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        harness.copy_program(shutil.which("sleep"), folder + "/java")
        process = subprocess.Popen([folder + "/java", "120"])
        try:
            for _ in range(TRIES):
                found = plimsoll("gc", process.pid, "--json", code=None).objects
                check(found[0]["outcome"] != "collected", "collected what is no JVM")
            check(process.poll() is None, "it was ended")
        finally:
            process.kill()
            process.wait()


@test("another user is refused, and told who may", [needs_java])
def _():
    java = Java(garbage=1)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        program = harness.copy_program(harness.options.binary, folder + "/plimsoll")
        done = subprocess.run([program, "gc", str(java.pid), "--json"], capture_output=True,
                              text=True, user=USER, group=USER, extra_groups=[])
    check('"collected"' not in done.stdout, done.stdout)
    check("root" in done.stdout + done.stderr, done.stdout + done.stderr)
    check(java.alive(), "it ended")


@contextlib.contextmanager
def listener(path, owner=None):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)
        made.listen()
        if owner is not None:
            os.chown(path, owner, owner)
        yield
        # Closing alone would not end it: a child that another test is just starting has it, too.
        made.shutdown(socket.SHUT_RDWR)


@test("what lies in the place of its socket is not believed, followed or waited for", [needs_java])
def _():
    java = Java(garbage=1, inside=True)
    place = f"{java.tmp}/.java_pid{java.inner}"
    os.mkfifo(place)
    os.chown(place, USER, USER)
    refused(java, "no socket", 2)
    os.unlink(place)
    with open(place, "w"):
        os.chown(place, USER, USER)
    refused(java, "no socket", 2)
    os.unlink(place)
    with listener(f"{java.tmp}/elsewhere", USER):
        os.symlink("elsewhere", place)
        refused(java, "no socket", 2)
        os.unlink(place)
    with listener(place):
        refused(java, "does not belong", 2)
        os.unlink(place)
    with listener(place, USER):
        refused(java, "another process", 2)
    # Nobody listens there any more: it is made anew.
    equal(collected(java)["outcome"], "collected", "with a dead socket in the place")


@test("what lies in the place of its attach file is not followed", [needs_java])
def _():
    java = Java(garbage=1, inside=True)
    place = f"{java.folder.name}/.attach_pid{java.inner}"
    victim = f"{java.folder.name}/victim"
    os.symlink(victim, place)
    one = gc(java)
    equal(one["outcome"], "refused", f"outcome ({one['why']})")
    check(os.path.islink(place) and not os.path.exists(victim), "the link was touched")
    os.unlink(place)
    os.mkfifo(place)
    equal(gc(java)["outcome"], "refused", "outcome of a FIFO")
    os.unlink(place)
    equal(collected(java)["outcome"], "collected", "with nothing in the place")


# --- room ------------------------------------------------------------------------------------

@test("whose copies might not fit below the limit is refused with both numbers; with room it grows",
      [needs_java])
def _():
    java = Java("-XX:+UseParallelGC", "-Xmn200m", "-Xmx400m", live=100, garbage=0, limit=180 * MIB)
    one = gc(java, code=1)
    equal(one["outcome"], "refused", "outcome")
    need, room = (float(n) for n in re.search(
        r"may need up to ([\d.]+)M more .*, and ([\d.]+)M are left below the limit of its group",
        one["why"]).groups())
    check(100 <= need <= 200, f"need {need}")
    check(10 <= room < 80, f"room {room}")
    check("raise that limit by" in one["next"] and java.box.path in one["next"], one["next"])
    told = plimsoll("heap", java.pid, "--live", code=1).err
    check("may need up to" in told, f"heap --live collects too: {told}")
    check(java.alive(), "it ended")
    java.box.limit(500 * MIB)
    done = plimsoll("gc", java.pid, code=0)
    row = done.out.splitlines()[1]
    check(re.search(r" -\d+(\.\d)?M ", row), f"it grew by the copies: {row}")
    check("its memory has grown" in done.out, done.out)
    check("collected: HotSpot attach, Parallel" in done.out, done.out)
    check(len(row) <= 110, f"{len(row)} columns")
    plain = plimsoll("gc", java.pid, "--plain", code=0).out.splitlines()
    equal(plain[0].split("\t")[-1], "HOW", "the last column for programs")
    java.finish()


@test("one that is killed for memory while it collects is told as that", [needs_java])
def _():
    box = group("eater", limit=40 * MIB)
    process = subprocess.Popen([classes() + "/javaimpostor", "eater",
                                java_home() + "/lib/server/libjvm.so"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               preexec_fn=lambda: box.add(os.getpid()))
    try:
        check(b"ready" in process.stdout.readline(), "the impostor")
        done = plimsoll("gc", process.pid, code=1)
        check("was killed for memory while it collected" in done.err, done.err)
        equal(process.wait(timeout=10), -signal.SIGKILL, "how it ended")
    finally:
        process.kill()
        process.communicate()
        os.unlink(f"/tmp/.java_pid{process.pid}")
        box.remove()


@test("wrong command lines act on nothing: no pid -1, no other machine's tree")
def _():
    told = plimsoll("gc", "-1", code=2).err
    check("pids begin at 1" in told, told)
    with tempfile.TemporaryDirectory() as root:
        child = subprocess.Popen(["sleep", "60"])
        try:
            for args in (["--root", root], [f"--root={root}"]):
                told = plimsoll("gc", child.pid, *args, code=2).err
                check("--root" in told, told)
            check(child.poll() is None, "it was ended")
        finally:
            child.kill()
            child.wait()


# --- heap ------------------------------------------------------------------------------------

def heap(java, *args, code=0):
    found = plimsoll("heap", java.pid, "--json", *args, code=code).objects
    equal(len(found), 1, "objects")
    return found[0]


PRIMITIVES = dict(zip("ZBCSIJFD", "boolean byte char short int long float double".split()))


def readable(name):
    deep = len(name) - len(name.lstrip("["))
    of = name[deep:]
    if deep:
        of = PRIMITIVES.get(of) or of[1:-1]
    return of + "[]" * deep


def histogram_of_jcmd(java, *args):
    """{readable name: (count, bytes)} and their total."""
    out = subprocess.run(["jcmd", str(java.pid), "GC.class_histogram", *args],
                         capture_output=True, text=True).stdout
    rows, total = {}, None
    for line in out.splitlines():
        words = line.split()
        if len(words) > 3 and re.fullmatch(r"\d+:", words[0]):
            name = readable(words[3])
            count, size = rows.get(name, (0, 0))
            rows[name] = (count + int(words[1]), size + int(words[2]))
        elif words and words[0] == "Total":
            total = (int(words[1]), int(words[2]))
    return rows, total


def agree(ours, theirs, what, slack=0):
    check(abs(ours - theirs) <= 0.02 * theirs + slack, f"{what}: {ours}, jcmd has {theirs}")


@test("classes are those of jcmd within 2 %, all and reachable ones", [needs_jcmd])
def _():
    for flags, args, ours in ((["-XX:+UseG1GC"], ["-all"], []),
                              (["-XX:+UseSerialGC"], [], ["--live"])):
        java = Java(*flags, live=8, garbage=30)
        one = heap(java, *ours)
        equal(one["types_are"], "classes", "what the types are")
        check(("-all" in one["types_how"]) == (not ours), one["types_how"])
        rows, total = histogram_of_jcmd(java, *args)
        types = {t["name"]: (t["count"], t["bytes"]) for t in one["types"]}
        equal(types["Garbage$Marker"][0], 12345, "objects of the load's class")
        check("Garbage$Marker[]" in types, "an array of them has a readable name")
        check("Garbage$Marker[][]" in types, "an array of arrays too")
        for name in ("byte[]", "java.lang.String", "java.util.HashMap$Node", "Garbage$Marker[]"):
            agree(types[name][0], rows[name][0], f"count of {name}")
            agree(types[name][1], rows[name][1], f"bytes of {name}")
        # A few objects come and go with each connection, and what fills the rest of a thread's
        # buffer, arrays that nobody made, is counted differently each time.
        fill = {"int[]", "jdk.internal.vm.FillerElement[]"}
        agree(sum(size for name, (_, size) in types.items() if name not in fill),
              sum(size for name, (_, size) in rows.items() if name not in fill), "bytes of all")
        equal(sum(size for _, size in rows.values()), total[1], "jcmd's rows")
        java.end()


@test("figures of the heap and of native memory are jcmd's", [needs_jcmd])
def _():
    java = Java("-XX:NativeMemoryTracking=summary", garbage=30)
    figures = heap(java)["figures"]
    out = subprocess.run(["jcmd", str(java.pid), "VM.native_memory", "summary"],
                         capture_output=True, text=True).stdout
    total = re.search(r"Total: reserved=(\d+)KB, committed=(\d+)KB", out)
    agree(figures["nmt_committed"], int(total.group(2)) * 1024, "NMT committed")
    for key, name in (("nmt_heap", "Java Heap"), ("nmt_gc", "GC"), ("nmt_symbol", "Symbol")):
        size = re.search(rf"-\s+{name} \(reserved=\d+KB, committed=(\d+)KB", out).group(1)
        agree(figures[key], int(size) * 1024, name, slack=64 * 1024)
    flags = subprocess.run(["jcmd", str(java.pid), "VM.flags"], capture_output=True,
                           text=True).stdout
    equal(figures["heap_max"], int(re.search(r"MaxHeapSize=(\d+)", flags).group(1)), "heap_max")
    info = subprocess.run(["jcmd", str(java.pid), "GC.heap_info"], capture_output=True,
                          text=True).stdout
    used = sum(int(n) for n in re.findall(r"total \d+K, used (\d+)K", info)) * 1024
    agree(figures["heap_used"], used, "heap_used", slack=MIB)
    check(figures["heap_resident"] <= figures["heap_committed"] + MIB, "resident beyond committed")


@test("heap of a JVM in other namespaces and of another user; without tracking it says so",
      [needs_java])
def _():
    one = heap(Java(garbage=10, inside=True))
    equal(next(t["count"] for t in one["types"] if t["name"] == "Garbage$Marker"), 12345, "objects")
    check(any("-XX:NativeMemoryTracking=summary" in n for n in one["notes"]), one["notes"])


@test("answers of a program that plays a JVM are bounded, refused and told", [needs_java])
def _():
    libjvm = java_home() + "/lib/server/libjvm.so"
    for mode in ("silent", "endless", "noise", "lies"):
        process = subprocess.Popen([classes() + "/javaimpostor", mode, libjvm],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            check(b"ready" in process.stdout.readline(), "the impostor")
            one = plimsoll("gc", process.pid, "--json", "--timeout", "1s", code=None,
                           timeout=60).objects[0]
            check(one["runtime"].startswith("java"), f"recognised as {one['runtime']}")
            if mode != "lies":
                equal(one["outcome"], "failed", mode)
                check(one["why"], f"{mode}: no reason")
            equal(process.poll(), None, f"{mode}: the program")
            if mode != "silent":
                look_at_heap_of_impostor(process, mode)
        finally:
            process.kill()
            process.communicate()
            os.unlink(f"/tmp/.java_pid{process.pid}")


def look_at_heap_of_impostor(process, mode):
    shown = plimsoll("heap", process.pid, code=None, timeout=60)
    harness.no_control_bytes(shown.raw, f"{mode}, shown")
    harness.no_control_bytes(shown.raw_err, f"{mode}, error")
    equal(shown.code == 0, mode == "lies", f"{mode}: {shown.err}")
    if mode == "lies":
        check("victim.Name" in shown.out, shown.out)
        check("may be a part" in shown.out, "that there is no total is not told")


if __name__ == "__main__":
    main(at_once=4)
