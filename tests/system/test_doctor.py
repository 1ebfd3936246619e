"""`plimsoll doctor` says which heap would not fit its container, and what mends it."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import harness
from harness import (MIB, SMALL, Skip, check, equal, group, main, meminfo, near, needs_cgroups,
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
                                        ["-XX:-UseContainerSupport", "-XX:MaxRAM=800m"])):
            said = os.path.join(folder, str(number))
            # G1 tells all of it; others leave a survivor space out.
            seen = inside(box, ["java", "-XX:+UseG1GC", *flags, "-cp", folder, "Max", said])
            wait_for_answer(seen, said, "java")
            found = doctor(box.path)[1][seen.pid]
            near(found["bound"], int(read(said)), 4 * MIB, " ".join(flags))
            seen.end()


@test("the heap that Node says itself that it would take is what doctor says", [needs_v1])
def _():
    script = "require('fs').writeFileSync(process.argv[1]," \
             "String(require('v8').getHeapStatistics().heap_size_limit)); setInterval(()=>{},1e3)"
    box = group(limit=600 * MIB)
    with tempfile.TemporaryDirectory() as folder:
        for number, (flags, env) in enumerate(
                (([], {}), (["--max-old-space-size=300"], {}),
                 ([], {"NODE_OPTIONS": "--max-old-space-size=400"}))):
            said = os.path.join(folder, str(number))
            seen = inside(box, ["node", *flags, "-e", script, said], env=env)
            wait_for_answer(seen, said, "node")
            found = doctor(box.path)[1][seen.pid]
            near(found["bound"], int(read(said)), MIB, f"{flags} {env}")
            seen.end()


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
    equal(none.ask("limit 209715200"), b"set\n", "a limit of its own")
    found = doctor(str(none.pid))[1]
    equal((found[none.pid]["word"], found[none.pid]["bound"]), ("fits", 200 * MIB),
          "that the program has set itself")


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
