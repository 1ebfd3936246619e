#!/usr/bin/python3
"""The one test runner: every stage's TAP is added up into the last line, N passed, N failed, N skipped.

  tests/run.py [--only STAGE[,STAGE]] [-k WORD] [--list] [--build DIR] [--asan DIR] [--binary PATH]

A program is one test file or check; it prints TAP, or (in the static stage) has only an exit
code. A program that dies, hangs, breaks its plan or runs nothing is a failure of its own.

The stages against the world run beside each other. A test of theirs that fails is run again by
itself at the end; one that then passes each time is counted as passed, and named.
"""
import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
CPUS = os.cpu_count() or 1
VM_SECONDS = 2400
# What these claim has nothing to do with the version of cgroups: once is enough.
SAME_ON_BOTH = {"test_agent_http.py", "test_agent_remote.py", "test_agent_runtime.py",
                "test_doctor.py", "test_enter.py", "test_gc_go.py", "test_gc_jvm.py",
                "test_gc_native.py", "test_gc_node.py", "test_gc_python.py", "test_gctrace.py",
                "test_heap.py", "test_incidents.py", "test_manual.py", "test_recognise.py",
                "test_untouchable.py"}
OUTPUT_SHOWN = 120  # lines of a failing program
# What failed on a machine that was busy with the stages beside is run again when they have ended.
ALONE_TIMES = 3     # all of them have to pass
ALONE_MOST = 3      # more failures than that are no accident
# What these claim holds on the busiest machine, or it is wrong: one failure is enough.
NEVER_AGAIN = {"test_guard_killed.py", "test_killer.py", "test_untouchable.py", "test_warden.py"}
TIMES = os.environ.get("PLIMSOLL_TEST_TIMES")  # a file: how long each program took, appended


@dataclasses.dataclass
class Program:
    label: str
    command: list
    timeout: int = 300
    env: dict = dataclasses.field(default_factory=dict)
    tap: bool = True
    figure: bool = False    # what it prints is shown though it passes


@dataclasses.dataclass
class Stage:
    name: str
    about: str
    programs: object        # function(options) -> [Program]
    seconds: int            # limit on the whole stage
    parallel: int = 1
    beside: str = ""        # the stage with which it is begun already: that one mostly waits
    alone: object = None    # function(options, label) -> Program of that one test; None: cannot


@dataclasses.dataclass
class Case:
    status: str             # passed, failed, skipped
    label: str
    detail: str = ""        # a failure's output, a skip's reason, a figure


# --- running one program ----------------------------------------------------------------------

class Children:
    """The process groups we started and that still run, so that none outlives us."""

    def __init__(self):
        self.lock = threading.Lock()
        self.groups = set()
        self.closed = False

    def start(self, program):
        with self.lock:
            if self.closed:
                raise InterruptedError
            child = subprocess.Popen(
                program.command, cwd=ROOT, env={**os.environ, **program.env},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True)
            self.groups.add(child.pid)
        return child

    def ended(self, child):
        with self.lock:
            self.groups.discard(child.pid)

    def end_all(self):
        with self.lock:
            self.closed = True
            for group in self.groups:
                signal_group(group, signal.SIGTERM)


def signal_group(group, number):
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


children = Children()


def finish(child, timeout):
    """(stdout, stderr, what went wrong). A program over its time may clean up before it is killed."""
    for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 5), (None, 0)):
        try:
            return *child.communicate(timeout=timeout), None
        except subprocess.TimeoutExpired:
            if number is None:
                break
            signal_group(child.pid, number)
            timeout = patience
    # Something that left the group still holds the pipes.
    return b"", b"", "killed, but its output stayed open"


def run_program(program, deadline):
    limit = min(program.timeout, deadline - time.monotonic())
    if limit <= 0:
        return [Case("failed", program.label, "not run: the time of its stage was over")]
    start = time.monotonic()
    try:
        child = children.start(program)
    except OSError as error:
        return [Case("failed", program.label, f"cannot start: {error}")]
    try:
        out, err, trouble = finish(child, limit)
    finally:
        children.ended(child)
    took = time.monotonic() - start
    note_times(program.label, took, out)
    if took >= limit:
        trouble = f"over its time of {limit:.0f} s"
    out, err = (text.decode(errors="backslashreplace") for text in (out, err))
    if not program.tap:
        good = child.returncode == 0 and not trouble
        detail = "" if good and not program.figure else tail(out + err, trouble)
        return [Case("passed" if good else "failed", program.label, detail)]
    return read_tap(program.label, out, err, child.returncode, trouble)


def note_times(label, seconds, out):
    """$PLIMSOLL_TEST_TIMES: who took how long; of the virtual machine each of its files too."""
    if TIMES:
        inside = re.findall(rb"^# (\S+\.py) took (\d+) s$", out, re.M)
        with open(TIMES, "a", encoding="utf-8") as file:
            file.write(f"{seconds:.1f}\t{label}\n" + "".join(
                f"{took.decode()}\t{label}: {name.decode()}\n" for name, took in inside))


def tail(text, trouble=None):
    lines = text.rstrip().splitlines()
    if len(lines) > OUTPUT_SHOWN:
        lines = [f"[{len(lines) - OUTPUT_SHOWN} lines before]", *lines[-OUTPUT_SHOWN:]]
    return "\n".join(lines + ([trouble] if trouble else []))


# --- TAP --------------------------------------------------------------------------------------

RESULT = re.compile(r"(not )?ok\b *(\d+)? *-? *(.*)")
PLAN = re.compile(r"1\.\.(\d+) *(?:# *skip\S* *(.*))?$", re.IGNORECASE)
DIRECTIVE = re.compile(r"(?:^| )# *(skip|todo)\S* *(.*)$", re.IGNORECASE)


def read_tap(label, out, err, code, trouble=None):
    """The cases of one program, and one failed case more when the program itself went wrong."""
    cases, plan, notes, block = [], None, [], False
    for line in out.splitlines():
        if block or (line.strip() == "---" and cases and not notes):  # node explains after it
            block = line.strip() != "..."
            if cases[-1].status == "failed":
                cases[-1].detail += line + "\n"
        elif found := RESULT.match(line):
            cases.append(case_of(label, found, notes))
            notes = []
        elif found := PLAN.match(line):
            plan = int(found.group(1))
            if plan == 0 and found.group(2) is not None:
                cases.append(Case("skipped", label, found.group(2)))
                plan = 1
        elif line.startswith("Bail out!"):
            trouble = trouble or line
        elif cases and cases[-1].status == "failed" and line.startswith("#"):
            cases[-1].detail += line + "\n"  # cmocka explains after the result, others before
        else:
            notes.append(line)
    failed = [case for case in cases if case.status == "failed"]
    if not trouble and plan is None:
        trouble = "no plan (1..N)"
    if not trouble and plan != len(cases):
        trouble = f"planned {plan} tests, ran {len(cases)}"
    if not trouble and plan == 0:
        trouble = "ran no test"
    if not trouble and code != 0 and not failed:
        trouble = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    if trouble:
        text = "" if failed else out
        cases.append(Case("failed", label, tail(text + err, f"{trouble}; exit code {code}")))
    elif failed and err.strip():
        failed[-1].detail += tail(err)
    return cases


def case_of(label, found, notes):
    name, directive = found.group(3), DIRECTIVE.search(found.group(3))
    bad, skip = bool(found.group(1)), False
    if directive:
        skip = directive.group(1).lower() == "skip" and not bad
        name = name[:directive.start()]
    full = f"{label}: {name.strip() or found.group(2)}"
    if skip:
        return Case("skipped", full, directive.group(2) or "no reason given")
    return Case("failed", full, tail("\n".join(notes)) + "\n") if bad else Case("passed", full)


# --- the stages -------------------------------------------------------------------------------

def static_programs(options):
    checks = ["check_layers", "check_format", "check_sizes", "check_text"]
    gates = [Program(path.name, [PYTHON, str(path)]) for path in test_files("tests/tools")]
    return [*(Program(name, [f"tools/{name}"], tap=False) for name in checks), *gates]


def deep_programs(options):
    """Minutes of CPU time, for which nobody waits: with what the tests beside leave over."""
    idle = ["nice", "-n", "19"]
    deep = [Program(f"check_deep {tool}", [*idle, PYTHON, "tools/check_deep", tool, options.build],
                    timeout=1500, tap=False) for tool in ("cppcheck", "analyzer", "tidy")]
    clang = Program("clang 14 builds it too", [*idle, "make", "fuzz-build"], timeout=1500,
                    env={"MAKEFLAGS": ""}, tap=False)
    return [*deep, clang]


def python_program(path, options, claim=""):
    return Program(str(path), [PYTHON, str(path), "--binary", options.binary, "--static",
                               options.static, *([f"-k{claim}"] if claim else [])], timeout=600)


def python_alone(options, label):
    path, _, claim = label.partition(": ")
    return python_program(path, options, claim)


def test_files(folder):
    return [path.relative_to(ROOT) for path in sorted((ROOT / folder).glob("test_*.py"))]


def meson_programs(build, seeds):
    """The unit tests of a build, or its fuzz targets with their seeds; all that have a source file."""
    if not (ROOT / build / "build.ninja").exists():
        sys.exit(f"run.py: {build} is not a build (make test makes it)")
    listed = subprocess.run(["/usr/bin/meson", "introspect", "--tests", build], cwd=ROOT,
                            stdout=subprocess.PIPE, check=True)
    tests = [test for test in json.loads(listed.stdout)
             if seeds == any(suite.endswith("fuzz") for suite in test["suite"])]
    if seeds:
        expected = {path.stem for path in ROOT.glob("fuzz/*.c")} - {"seed_main"}
    else:
        expected = {f"{path.parent.name}/{path.stem.removesuffix('_test')}"
                    for path in ROOT.glob("src/*/*_test.c")}
    forgotten = expected - {test["name"] for test in tests}
    return [*(Program(f"{build}: {test['name']}", test["cmd"], test["timeout"] or 300, test["env"],
                      tap=test["protocol"] == "tap") for test in tests),
            *(Program(f"{build}: {name} is not in the build (named in its meson.build? then touch it)",
                      ["/bin/false"], tap=False) for name in sorted(forgotten))]


def unit_programs(options):
    return meson_programs(options.build, seeds=False)


def asan_programs(options):
    return meson_programs(options.asan, seeds=False)


def seed_programs(options):
    return [*meson_programs(options.build, seeds=True), *meson_programs(options.asan, seeds=True)]


def python_programs(folder, options):
    return [python_program(path, options) for path in test_files(folder)]


def npm_run(script, **more):
    return Program(f"npm run {script}", ["npm", "--prefix", "web", "run", "--silent", script], **more)


def page_programs(options):
    return [npm_run("check", tap=False), npm_run("test"),
            Program("size of the page", ["tools/check_page"], tap=False, figure=True)]


def system_programs(options):
    return python_programs("tests/system", options)


def docker_programs(options):
    return python_programs("tests/docker", options)


def browser_programs(options):
    return python_programs("tests/browser", options)


def vm_programs(options):
    """One boot for all files."""
    label = "cgroup v2"
    files = [str(path) for path in test_files("tests/system") if path.name not in SAME_ON_BOTH]
    lacking = [what for what, there in (("qemu-system-x86_64", shutil.which("qemu-system-x86_64")),
                                        ("a Debian kernel in /boot", list_kernels())) if not there]
    if not files:
        return []
    if lacking:
        return [Program(label, ["echo", f"1..0 # SKIP no {' and no '.join(lacking)}"])]
    return [vm_program(label, options, VM_SECONDS, *files)]


def vm_program(label, options, seconds, *words):
    return Program(label, ["tests/vm/run_in_vm.sh", "-b", options.binary, "-s", options.static,
                           "-t", str(seconds), *words], timeout=seconds + 60)


def vm_alone(options, label):
    words = label.split(": ", 2)
    if len(words) < 3:  # a file that did not end, or the machine itself
        return None
    label, file, claim = words
    return vm_program(label, options, 300, "-k", claim, file)


def list_kernels():
    return list(pathlib.Path("/boot").glob("vmlinuz-*"))


STAGES = [
    Stage("static", "layers, format, sizes, text", static_programs, 300),
    Stage("unit", "the modules, one by one", unit_programs, 300, CPUS),
    Stage("asan", "the same with address and undefined-behaviour sanitizers",
          asan_programs, 600, CPUS),
    Stage("fuzz", "every fuzz seed once, plain and sanitized", seed_programs, 600, CPUS),
    Stage("page", "the page: types, units, size", page_programs, 300),
    Stage("system", "the program on this machine's cgroups", system_programs, 1800,
          alone=python_alone),
    Stage("docker", "the program beside real container engines", docker_programs, 900,
          alone=python_alone),
    Stage("browser", "the page in a real browser, over a real agent", browser_programs, 600,
          beside="docker", alone=python_alone),
    Stage("deep", "cppcheck, gcc -fanalyzer, clang-tidy, clang", deep_programs, 1800,
          beside="system"),
    Stage("vm", "the system tests on cgroup v2, in a virtual machine", vm_programs, 2700,
          beside="system", alone=vm_alone),
]


def run_stage(stage, programs):
    deadline = time.monotonic() + stage.seconds
    with concurrent.futures.ThreadPoolExecutor(stage.parallel) as pool:
        try:
            results = pool.map(lambda program: run_program(program, deadline), programs)
            return [case for cases in results for case in cases]
        except BaseException:
            children.end_all()  # or leaving the pool would wait for them
            raise


def fails_alone(program):
    """None, or the case that it fails with."""
    for _ in range(ALONE_TIMES):
        cases = run_program(program, time.monotonic() + program.timeout)
        failed = [case for case in cases if case.status == "failed"]
        if failed or count(cases, "passed") == 0:
            return failed[0] if failed else Case("failed", program.label, "nothing ran")
    return None


def run_again(failed, options):
    """Failed tests, each by itself now: what passes so is counted, and named. failed: (stage, case)."""
    if len(failed) > ALONE_MOST:
        return
    for stage, case in failed:
        if not stage.alone or any(name in case.label for name in NEVER_AGAIN):
            continue
        program = stage.alone(options, case.label)
        if not program:
            continue
        wrong = fails_alone(program)
        if wrong:
            print(f"not ok alone - {case.label}\n{wrong.detail.rstrip()}")
        else:
            case.status = "passed"
            print(f"*** FAILED beside the others (see above), passed {ALONE_TIMES} times alone: "
                  f"{case.label}")


def count(cases, status):
    return sum(case.status == status for case in cases)


def summary(cases):
    return ", ".join(f"{count(cases, s)} {s}" for s in ("passed", "failed", "skipped"))


def report(stage, cases, seconds):
    good = count(cases, "failed") == 0
    print(f"{'ok  ' if good else 'FAIL'} {stage.name:7} {summary(cases)}  ({seconds:.1f} s)")
    for case in cases:
        if case.status == "passed" and case.detail:
            print("\n".join("     " + line for line in case.detail.splitlines()))
        if case.status == "failed":
            print(f"not ok - {case.label}")
            print("\n".join("    " + line for line in case.detail.splitlines()))
    sys.stdout.flush()


def report_skips(cases):
    by_reason = {}
    for case in cases:
        if case.status == "skipped":
            by_reason.setdefault(case.detail, []).append(case.label)
    if by_reason:
        print("\n*** SKIPPED, and why:")
    for reason, labels in by_reason.items():
        print(f"*** {reason}")
        for label in labels:
            print(f"      {label}")


def chosen_stages(options):
    names = options.only.split(",") if options.only else [stage.name for stage in STAGES]
    unknown = set(names) - {stage.name for stage in STAGES}
    if unknown:
        sys.exit(f"no stage {', '.join(sorted(unknown))}; there are: "
                 + ", ".join(stage.name for stage in STAGES))
    return [stage for stage in STAGES if stage.name in names]


def run_timed(stage, options):
    """(cases, seconds)."""
    programs = [p for p in stage.programs(options) if options.k in p.label]
    start = time.monotonic()
    cases = run_stage(stage, programs)
    if not cases and not options.k:
        cases = [Case("failed", stage.name, "the stage has no tests")]
    return cases, time.monotonic() - start


def list_programs(stage, options):
    labels = [p.label for p in stage.programs(options) if options.k in p.label]
    print(f"{stage.name}: {stage.about}", *(f"    {label}" for label in labels), sep="\n")


def run(options):
    stages = chosen_stages(options)
    if options.list:
        for stage in stages:
            list_programs(stage, options)
        return 0
    everything, begun, failed = [], {}, []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for stage in stages:
            begun.update({other.name: pool.submit(run_timed, other, options)
                          for other in stages if other.beside == stage.name})
            try:
                cases, seconds = (begun[stage.name].result() if stage.name in begun
                                  else run_timed(stage, options))
            except BaseException:
                children.end_all()
                raise
            report(stage, cases, seconds)
            everything += cases
            failed += [(stage, case) for case in cases if case.status == "failed"]
    run_again(failed, options)
    report_skips(everything)
    print(summary(everything))
    return 0 if count(everything, "failed") == 0 and count(everything, "passed") > 0 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="STAGE[,STAGE]", help="only these stages")
    parser.add_argument("-k", metavar="WORD", default="", help="only programs whose name has WORD")
    parser.add_argument("--list", action="store_true", help="what would run")
    parser.add_argument("--build", default="build", help="the ordinary build")
    parser.add_argument("--asan", default="build-asan", help="the sanitized build")
    parser.add_argument("--static-build", default="build-static", help="the static build")
    parser.add_argument("--binary", help="the plimsoll under system tests (BUILD/plimsoll)")
    options = parser.parse_args()
    os.chdir(ROOT)
    options.static = os.path.join(options.static_build, "plimsoll")
    options.binary = options.binary or os.path.join(options.build, "plimsoll")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return run(options)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
