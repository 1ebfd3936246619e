"""`plimsoll ps` says which runtime a process has, also from outside of its namespaces."""
import os
import re
import subprocess
import sys
import tempfile
import time

import harness
from harness import QUICK, Skip, check, equal, main, note, plimsoll, read, test
from runtimes import Program, fake_jdk, program, wait_for


def runtimes(*pids):
    """{pid: runtime} as ps tells them."""
    found = {o["pid"]: o["runtime"] for o in plimsoll("ps", "--no-pss", "--json").objects
             if "pid" in o}
    return [found.get(pid) for pid in pids]


def told(pids, wanted, what):
    """They are these, at the latest when the programs have got so far as to map their libraries."""
    end = time.monotonic() + 20 * harness.PATIENCE
    while runtimes(*pids) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    equal(runtimes(*pids), wanted, what)


def version_of(args, pattern):
    try:
        out = subprocess.run(args, capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise Skip(f"no {args[0]} here") from error
    return re.search(pattern, out.stdout + out.stderr).group(1)


@test("Python is as old as it says itself")
def _():
    version = version_of([sys.executable, "--version"], r"Python (\S+)")
    seen = Program([sys.executable, "-c", "import sys; sys.stdin.read()"])
    told([seen.pid], [f"python {version}"], "of this one")
    version = version_of(["/usr/bin/python3", "--version"], r"Python (\S+)")
    seen = Program(["/usr/bin/python3", "-c", "import sys; sys.stdin.read()"])
    told([seen.pid], [f"python {version}"], "of the system's")


@test("Node is as old as it says itself")
def _():
    version = version_of(["node", "--version"], r"v(\S+)")
    seen = Program(["node", "-e", "setInterval(() => {}, 1000)"])
    told([seen.pid], [f"node {version}"], "runtime")


@test("Java is as old as it says itself")
def _():
    version = version_of(["java", "-version"], r"build (\d[\d.+]*)")
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "Wait.java")
        with open(source, "w", encoding="ascii") as file:
            file.write("class Wait { public static void main(String[] a) throws Exception"
                       " { System.in.read(); } }")
        seen = Program(["java", "-Xmx64m", source])
        wait_for(seen.pid, "libjvm.so")
        told([seen.pid], [f"java {version}"], "runtime")


@test("Go is told with its version, stripped and position-independent programs too")
def _():
    version = version_of(["go", "version"], r"go version go(\S+)")
    for name in ("goheap", "goheap-stripped", "goheap-pie", "goheap-pie-stripped"):
        seen = Program([program(name)])
        if seen.process.poll() is not None:
            seen = Program([program(name), "20"])
        told([seen.pid], [f"go {version}"], name)


@test("a native program is told by its libc, a static one as static")
def _():
    seen = Program(["/usr/bin/cat"])
    libc = os.confstr("CS_GNU_LIBC_VERSION")
    told([seen.pid], [libc], "cat")
    load = harness.Load("anon", 1)
    told([load.pid], ["static"], "the load")


@test("a preloaded allocator is that process's alone")
def _():
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "libjemalloc.so.2")
        harness.copy_program(program("libfakelib.so"), library)
        plain = Program(["/usr/bin/cat"])
        other = Program(["/usr/bin/cat"], env={"LD_PRELOAD": library, "PATH": "/usr/bin"})
        after = Program(["/usr/bin/cat"])
        libc = os.confstr("CS_GNU_LIBC_VERSION")
        told([plain.pid, other.pid, after.pid], [libc, libc + " +jemalloc", libc],
              "three of one program")


@test("Java 8 is told by the release file beside its libjvm.so, which may be odd")
def _():
    for release, says in (('JAVA_VERSION="1.8.0_121"\nOS_NAME="Linux"\n', "java 8u121"),
                          ('IMPLEMENTOR="x"\nJAVA_VERSION="17.0.1"\n'
                           'JAVA_RUNTIME_VERSION="17.0.1+12-LTS"\n', "java 17.0.1+12"),
                          ("JAVA_VERSION=\"\x1b[31mred\"\n", "java"), (None, "java"),
                          ("x" * 200000, "java")):
        with tempfile.TemporaryDirectory() as folder:
            seen = Program([fake_jdk(folder, release), "-jar", "app.jar"])
            wait_for(seen.pid, "libjvm.so")
            told([seen.pid], [says], repr(release)[:40])
            seen.end()


@test("a FIFO or a link out of the container in place of the release file is left alone")
def _():
    with tempfile.TemporaryDirectory() as folder:
        java = fake_jdk(folder, None)
        os.mkfifo(os.path.join(folder, "release"))
        seen = Program([java])
        wait_for(seen.pid, "libjvm.so")
        told([seen.pid], ["java"], "with a FIFO")


@test("a deleted executable is still recognised")
def _():
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "cat")
        harness.copy_program("/usr/bin/cat", copy)
        seen = Program([copy])
        os.unlink(copy)
        check("(deleted)" in os.readlink(f"/proc/{seen.pid}/exe"), "it is not deleted")
        told([seen.pid], [os.confstr("CS_GNU_LIBC_VERSION")], "runtime")


@test("a process in another mount and pid namespace is recognised by its own files",
      [harness.needs_cgroups])
def _():
    with tempfile.TemporaryDirectory() as folder:
        java = fake_jdk(os.path.join(folder, "jdk"), 'JAVA_VERSION="1.8.0_121"\n')
        decoy = os.path.join(folder, "empty")
        os.mkdir(decoy)
        # Only inside is the JDK at this place: outside it is an empty folder.
        place = os.path.join(folder, "opt")
        os.mkdir(place)
        inside = os.path.join(place, os.path.relpath(java, os.path.join(folder, "jdk")))
        seen = Program(["unshare", "--mount", "--pid", "--fork", "--propagation", "private",
                        "sh", "-c", f"mount --bind {folder}/jdk {place} && exec {inside}"])
        until = time.monotonic() + 5 * harness.PATIENCE
        child = None
        while child is None and time.monotonic() < until:
            children = read(f"/proc/{seen.pid}/task/{seen.pid}/children").split()
            if children and "libjvm.so" in read(f"/proc/{children[0]}/maps"):
                child = int(children[0])
            time.sleep(0.05)
        if child is None:
            raise Skip("no namespaces can be made here")
        check(not os.path.exists(inside), "the JDK is seen from outside, too")
        told([child], ["java 8u121"], "runtime")
        os.kill(child, 9)


@test("what may not be looked into has no runtime, and is a row all the same",
      [harness.needs_cgroups])
def _():
    seen = Program(["/usr/bin/cat"])
    out = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                          harness.options.binary, "ps", "--no-pss", "--plain", "-o",
                          "pid,runtime"], capture_output=True, text=True)
    if out.returncode != 0:
        raise Skip("nobody may not run the program here")
    rows = dict(line.split("\t") for line in out.stdout.splitlines())
    equal(rows[str(seen.pid)], "-", "of another user's process")


@test("hostile executables are rows without a runtime, and nothing worse")
def _():
    # The kernel starts a script by its interpreter, so a script is what its interpreter is.
    seen = Program(["/bin/sh", "-c", "read line"])
    check(runtimes(seen.pid)[0] is not None, "sh is not recognised")
    zombie = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    told([zombie.pid], [None], "a zombie's")
    zombie.wait()
    equal(runtimes(2)[0], None, "a thread of the kernel, or nothing")


@test("stats --wide tells the runtime of a group's largest process", [harness.needs_cgroups])
def _():
    box = harness.group()
    load = harness.Load("anon", 40, groups=[box])
    small = Program(["/usr/bin/cat"])
    box.add(small.pid)
    row, = plimsoll("stats", *QUICK, "--wide", "--json", box.path).objects
    equal(row["lang"], "static", "of 40 MB beside a cat")
    load.end()
    row, = plimsoll("stats", *QUICK, "--wide", "--json", box.path).objects
    equal(row["lang"], os.confstr("CS_GNU_LIBC_VERSION"), "of the cat alone")
    lines = plimsoll("stats", *QUICK, "--wide", "--plain", box.path).out.splitlines()
    equal([line.split("\t")[-1] for line in lines],
          ["LANG", os.confstr("CS_GNU_LIBC_VERSION")], "the last column of --plain")
    row, = plimsoll("stats", *QUICK, "--json", box.path).objects
    check("lang" not in row, "a key that was not asked for")


@test("stats --wide lists the runtimes that collect, not the C program beside them",
      [harness.needs_cgroups])
def _():
    box = harness.group()
    harness.Load("anon", 40, groups=[box])
    small = Program([sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
                    stdout=subprocess.PIPE)
    other = Program([program("goheap"), "-keep", "20", "-idle"], stdout=subprocess.PIPE)
    for one in (small, other):
        one.line()
        box.add(one.pid)
    row, = plimsoll("stats", *QUICK, "--wide", "--json", box.path).objects
    first, _, second = row["lang"].partition(", ")
    check(first.startswith("go 1.") and second.startswith("python 3."), row["lang"])


@test("looking for runtimes costs little: the cost is told")
def _():
    times = {}
    for name, columns in (("without", "pid,res"), ("with", "pid,res,runtime")):
        start = time.process_time(), os.times().children_user + os.times().children_system
        for _ in range(5):
            plimsoll("ps", "--no-pss", "-o", columns)
        times[name] = (os.times().children_user + os.times().children_system - start[1]) / 5
    note(f"ps without runtimes {times['without'] * 1000:.1f} ms, with "
         f"{times['with'] * 1000:.1f} ms of CPU time")


if __name__ == "__main__":
    main(at_once=4)
