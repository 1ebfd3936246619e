"""`plimsoll doctor` says which heap would not fit its container, and what mends it."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import harness
from harness import (MIB, Skip, check, equal, group, main, meminfo, near, needs_cgroups,
                     needs_v1, no_control_bytes, plimsoll, read, test)
from runtimes import Program, fake_jdk, program, wait_for

GIB = 1024 * MIB


def inside(box, args, env=None, says=False):
    """A program that was started as a member of the group, and has said its first line if `says`."""
    word = 'for d in $GROUPS_OF_IT; do echo $$ > "$d/cgroup.procs"; done; exec "$@"'
    env = {**(os.environ if env is None else {"PATH": os.environ["PATH"], **env}),
           "GROUPS_OF_IT": " ".join(box.dirs.values())}
    made = Program(["/bin/sh", "-c", word, "sh", *args], env=env,
                   stdout=subprocess.PIPE if says else subprocess.DEVNULL)
    if says:
        made.line()
    return made


def wait_for_answer(seen, path, name):
    """Until the program has written what it says of itself."""
    until = time.monotonic() + 20 * harness.PATIENCE
    while not os.path.exists(path) or not read(path):
        if seen.process.poll() == 127:
            raise Skip(f"no {name} here")
        check(time.monotonic() < until and seen.process.poll() is None, f"no answer of {name}")
        time.sleep(0.02)


def doctor(*args):
    """(exit code, {pid: object}, the only target)"""
    run = plimsoll("doctor", "--json", *args, code=None)
    target, = run.objects[0]["targets"]
    return run.code, {p["pid"]: p for p in target["processes"]}, target


@test("java 8u121 would take a quarter of the machine; -Xmx of 3/4 of the limit mends it",
      [needs_cgroups])
def _():
    box = group(limit=1 * GIB)
    with tempfile.TemporaryDirectory() as folder:
        java = fake_jdk(folder, 'JAVA_VERSION="1.8.0_121"\n')
        seen = inside(box, [java, "-jar", "app.jar"])
        mended = inside(box, [java, "-Xmx768m", "-jar", "app.jar"])
        wait_for(seen.pid, "libjvm.so")
        wait_for(mended.pid, "libjvm.so")
        code, found, target = doctor(box.path)
        quarter = meminfo()["MemTotal"] // 4
        if quarter < 1 * GIB:  # a small virtual machine: there it fits
            quarter = None
        else:
            equal(code, 3, "exit code")
            near(found[seen.pid]["bound"], quarter, MIB, "bound")
            equal(found[seen.pid]["word"], "too-big", "word")
            check(re.match(r"java 8u121 would take \S+ of heap in a 1.00G container",
                           found[seen.pid]["says"]), found[seen.pid]["says"])
            equal(found[seen.pid]["mend"], "-Xmx768m", "mend")
        equal(target["limit"], 1 * GIB, "limit")
        equal((found[mended.pid]["word"], found[mended.pid]["bound"]), ("fits", 768 * MIB),
              "with -Xmx768m")
        seen.end()
        equal(doctor(box.path)[0], 0, "exit code without the first")


@test("heaps that fit alone and not together are bad", [needs_cgroups])
def _():
    box = group(limit=1 * GIB)
    with tempfile.TemporaryDirectory() as folder:
        java = fake_jdk(folder, 'JAVA_VERSION="17.0.15"\n')
        seen = [inside(box, [java, "-Xmx500m", "-jar", "app.jar"]) for _ in range(3)]
        for one in seen:
            wait_for(one.pid, "libjvm.so")
        code, found, target = doctor(box.path)
        equal([found[one.pid]["word"] for one in seen], ["fits"] * 3, "words")
        equal((code, target["bounds_sum"]), (3, 1500 * MIB), "exit code, sum")
        text = plimsoll("doctor", box.path, code=3).out
        check("BAD  together their heaps may take 1.46G of 1.00G" in text, text)
        seen[0].end()
        equal(doctor(box.path)[0], 0, "exit code of two")
        code, found, _ = doctor(*[str(one.pid) for one in seen[1:]])
        equal((code, set(found)), (0, {one.pid for one in seen[1:]}), "two pids")


@test("the heap that Java says itself that it would take is what doctor says", [needs_cgroups])
def _():
    if shutil.which("javac") is None:
        raise Skip("no javac here")
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "Max.java")
        with open(source, "w", encoding="ascii") as file:
            file.write("class Max { public static void main(String[] a) throws Exception {\n"
                       "try (var f = new java.io.PrintWriter(a[0])) {"
                       " f.print(Runtime.getRuntime().maxMemory()); }\n"
                       "System.in.read(); } }")
        subprocess.run(["javac", "-J-XX:TieredStopAtLevel=1", source], check=True)
        box = group(limit=600 * MIB)
        for number, flags in enumerate(([], ["-XX:MaxRAMPercentage=30"], ["-Xmx100m"],
                                        ["-XX:-UseContainerSupport", "-XX:MaxRAM=800m"],
                                        ["-Xms700m"], ["-XX:MaxRAM=2g"],
                                        ["-XX:-UsePerfData", "-Xms300m"])):
            said = os.path.join(folder, str(number))
            # G1 tells all of it; others leave a survivor space out.
            seen = inside(box, ["java", "-XX:+UseG1GC", *flags, "-cp", folder, "Max", said])
            wait_for_answer(seen, said, "java")
            code, rows, _ = doctor(box.path)
            found = rows[seen.pid]
            near(found["bound"], int(read(said)), 4 * MIB, " ".join(flags))
            equal("its own counters" in found["bound_from"], "-XX:-UsePerfData" not in flags,
                  found["bound_from"])
            equal(code, 3 if found["bound"] > 525 * MIB else 0, f"exit code with {flags}")
            seen.end()


@test("the heap that Node says itself that it would take is what doctor says", [needs_v1])
def _():
    script = "require('fs').writeFileSync(process.argv[1]," \
             "String(require('v8').getHeapStatistics().heap_size_limit)); setInterval(()=>{},1e3)"
    box = group(limit=600 * MIB)
    with tempfile.TemporaryDirectory() as folder:
        for number, (flags, env) in enumerate(
                (([], {}), (["--max-old-space-size=300"], {}),
                 ([], {"NODE_OPTIONS": "--max-old-space-size=400"}),
                 (["--env-file", "/dev/null", "--max-old-space-size=111"], {}),
                 (["--max-heap-size=300", "--max-old-space-size=100"], {}))):
            said = os.path.join(folder, str(number))
            seen = inside(box, ["node", *flags, "-e", script, said], env=env)
            wait_for_answer(seen, said, "node")
            found = doctor(box.path)[1][seen.pid]
            near(found["bound"], int(read(said)), MIB, f"{flags} {env}")
            seen.end()
        said = os.path.join(folder, "title")
        seen = inside(box, ["node", "--title", "x", "--max-old-space-size=111", "-e", script, said])
        wait_for_answer(seen, said, "node")
        found = doctor(box.path)[1][seen.pid]
        equal((found["word"], found["bound"]), ("unknown", None), "under a title")


@test("Go: GOMEMLIMIT above the limit is told, none is advised, its own one counts",
      [needs_cgroups])
def _():
    box = group(limit=400 * MIB)
    go = [program("goheap"), "-keep", "1", "-garbage", "1", "-idle"]
    large = inside(box, go, env={"GOMEMLIMIT": "1GiB"}, says=True)
    fits = inside(box, go, env={"GOMEMLIMIT": "300MiB"}, says=True)
    none = inside(box, go, env={}, says=True)
    code, found, _ = doctor(box.path)
    equal(code, 3, "exit code")
    equal((found[large.pid]["word"], found[large.pid]["bound"]), ("too-big", 1 * GIB), "1GiB")
    equal((found[fits.pid]["word"], found[fits.pid]["bound"]), ("fits", 300 * MIB), "300MiB")
    equal((found[none.pid]["word"], found[none.pid]["mend"]), ("unbound", "GOMEMLIMIT=360MiB"),
          "without")
    for text in (found[large.pid]["says"], found[fits.pid]["says"]):
        check("a soft limit" in text and "at most" not in text, text)
    equal(none.ask("limit 209715200"), b"set\n", "a limit of its own")
    found = doctor(str(none.pid))[1]
    equal((found[none.pid]["word"], found[none.pid]["bound"]), ("fits", 200 * MIB),
          "that the program has set itself")


@test("Go: a soft limit below what the program has, or without its unit, is told", [needs_cgroups])
def _():
    box = group(limit=400 * MIB)
    go = [program("goheap"), "-keep", "40", "-garbage", "1", "-idle"]
    small = inside(box, go, env={"GOMEMLIMIT": "20MiB"}, says=True)
    bare = inside(box, go, env={"GOMEMLIMIT": "20"}, says=True)
    code, found, _ = doctor(box.path)
    equal((code, found[small.pid]["word"], found[bare.pid]["word"]),
          (3, "too-small", "too-small"), "exit code, words")
    check("its unit was forgotten?" in found[bare.pid]["says"], found[bare.pid]["says"])
    check("tries to stay within 20.0M" in found[small.pid]["says"], found[small.pid]["says"])


@test("Go's garbage is told as held by the runtime, not leaked", [needs_cgroups])
def _():
    box = group(limit=400 * MIB)
    go = inside(box, [program("goheap"), "-keep", "4", "-garbage", "120", "-idle"],
                env={"GOGC": "off"}, says=True)
    found = doctor(box.path)[1][go.pid]
    check(found["held_not_leaked"], f"{found}")
    near(found["held"], 120 * MIB, 40 * MIB, "held")
    text = plimsoll("doctor", box.path).out
    check("held by the runtime, not leaked" in text, text)
    check(f"`plimsoll gc --inject --timeout 70s {go.pid}`" in text, f"it listens nowhere: {text}")


@test("Python and native programs have no bound; what the command needs to say so is no error",
      [needs_cgroups])
def _():
    box = group()
    python = inside(box, [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
                    says=True)
    cat = inside(box, ["/bin/sh", "-c", "echo; exec /usr/bin/cat"], says=True)
    code, found, _ = doctor(box.path)
    equal(code, 0, "exit code")
    equal((found[python.pid]["word"], found[cat.pid]["word"]), ("unbound", "unbound"), "words")
    equal(found[cat.pid]["bound"], None, "bound")
    rows = plimsoll("doctor", "--plain", box.path).out.splitlines()
    equal(len(rows), 3, "lines of --plain")
    equal({len(row.split("\t")) for row in rows}, {12}, "columns")


@test("a name full of control bytes is shown as text", [needs_cgroups])
def _():
    box = group()
    load = harness.Load("comm", 1, "\x1b[31m\nred", groups=[box])
    for how in ((), ("--plain",), ("--json",)):
        out = plimsoll("doctor", *how, box.path).out
        no_control_bytes(out.replace("\t", " ").encode(), " ".join(how))
        check(str(load.pid) in out, out)


@test("an unknown TARGET, a pid that is gone and a thread of the kernel are said in one line")
def _():
    for target, word in (("no-such-thing", "no-such-thing"), ("4194303", "4194303"),
                         ("2", "2")):
        run = plimsoll("doctor", target, code=None)
        equal((run.code, len(run.err.splitlines())), (1, 1), f"{target}: {run.err}")
        check(word in run.err, run.err)


@test("another user's process may not be looked into, and it says so", [needs_cgroups])
def _():
    cat = Program(["/usr/bin/cat"])
    run = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                          harness.options.binary, "doctor", str(cat.pid)], capture_output=True,
                         text=True)
    if "xec" in run.stderr:
        raise Skip("nobody may not run the program here")
    equal(run.returncode, 1, "exit code")
    check("permission denied" in run.stderr, run.stderr)


if __name__ == "__main__":
    main(at_once=4)
