"""tests/run.py: whatever a test program does wrong is counted as a failure."""
import contextlib
import io
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import run  # noqa: E402
from harness import check, equal, main, test  # noqa: E402


def counts(script, timeout=20):
    program = run.Program("p", ["/bin/sh", "-c", script], timeout=timeout)
    cases = run.run_program(program, time.monotonic() + 60)
    return tuple(run.count(cases, s) for s in ("passed", "failed", "skipped")), cases


@test("passed, failed and skipped tests are counted")
def counted():
    numbers, cases = counts("echo 1..3; echo 'ok 1 - a'; echo '# why'; echo 'not ok 2 - b';"
                            "echo 'ok 3 - c # SKIP no kvm'; exit 1")
    equal(numbers, (1, 1, 1), "counts")
    check("# why" in cases[1].detail, cases[1].detail)
    equal((cases[2].label, cases[2].detail), ("p: c", "no kvm"), "the skip")


@test("a whole program may be skipped with its reason")
def all_skipped():
    numbers, cases = counts("echo '1..0 # SKIP no docker'")
    equal((numbers, cases[0].detail), ((0, 0, 1), "no docker"), "counts and reason")


@test("no plan, a plan not kept, no test, a bail-out, a crash, an exit code: each fails")
def broken_programs():
    for script in ("echo 'ok 1 - a'", "echo 1..2; echo 'ok 1 - a'",
                   "echo 1..1; echo 'ok 1 - a'; echo 'ok 2 - b'", "echo 1..0", "true",
                   "echo 1..1; echo 'ok 1 - a'; echo 'Bail out! lost'",
                   "echo 1..1; echo 'ok 1 - a'; kill -SEGV $$",
                   "echo 1..1; echo 'ok 1 - a'; exit 3"):
        numbers, _ = counts(script)
        equal(numbers[1], 1, f"failures of {script!r}")


@test("a failed test cannot be excused by a SKIP")
def failed_skip():
    equal(counts("echo 1..1; echo 'not ok 1 - a # SKIP no'; exit 1")[0], (0, 1, 0), "counts")


@test("a program over its time is ended with its children, and fails")
def over_time():
    start = time.monotonic()
    numbers, cases = counts("echo 1..1; echo 'ok 1 - a'; sleep 60 & wait", timeout=1)
    equal(numbers, (1, 1, 0), "counts")
    check("over its time of 1 s" in cases[-1].detail, cases[-1].detail)
    check(time.monotonic() - start < 15, "the child held the runner up")


@test("a program that cannot be started fails")
def not_started():
    cases = run.run_program(run.Program("p", ["/nonexistent"]), time.monotonic() + 9)
    equal([case.status for case in cases], ["failed"], "cases")


@test("what cmocka explains after a result belongs to that result")
def notes_after():
    _, cases = counts("echo 1..1; echo 'not ok 1 - a'; echo '# 3 != 4'; exit 1")
    check("# 3 != 4" in cases[0].detail, cases[0].detail)


@test("what node explains after a result belongs to that result, and to no other")
def block_after():
    block = "echo '  ---'; echo '  error: no, {}'; echo '  ...'; "
    numbers, cases = counts("echo '# Subtest: a'; echo 'ok 1 - a'; " + block.format("first")
                            + "echo 'not ok 2 - b'; " + block.format("second")
                            + "echo 'not ok 3 - c'; " + block.format("third") + "echo 1..3; exit 1")
    equal(numbers, (1, 2, 0), "counts")
    for case, word in zip(cases, ("", "second", "third")):
        equal([w for w in ("first", "second", "third") if w in case.detail], [word] if word else [],
              case.label)


@test("a figure is shown though the program passes, other output is not")
def figures():
    for figure, detail in ((True, "page: 1 kB"), (False, "")):
        program = run.Program("p", ["/bin/echo", "page: 1 kB"], tap=False, figure=figure)
        (case,) = run.run_program(program, time.monotonic() + 20)
        equal((case.status, case.detail), ("passed", detail), f"figure {figure}")


def again(script, label="p: a", others=0, alone=True):
    """What becomes of a failed case, and what is printed."""
    def program(options, label):
        return run.Program(label, ["/bin/sh", "-c", script], timeout=20)
    stage = run.Stage("s", "", None, 60, alone=program if alone else None)
    cases = [run.Case("failed", label, "why"), *[run.Case("failed", "o")] * others]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        run.run_again([(stage, case) for case in cases], None)
    return cases[0].status, said.getvalue()


GOOD = "echo 1..1; echo 'ok 1 - a'"


@test("a failed test that passes each time when it runs alone is counted as passed, and named")
def alone():
    with tempfile.NamedTemporaryFile() as file:
        status, said = again(f"echo >> {file.name}; {GOOD}")
        equal(len(file.read()), run.ALONE_TIMES, "times it ran")
    equal(status, "passed", "status")
    check("FAILED beside the others" in said and "p: a" in said, said)


@test("a failed test stays one: when it fails alone once, runs nothing, or is not to be run again")
def not_alone():
    with tempfile.NamedTemporaryFile() as file:
        third = (f"echo >> {file.name}; [ $(wc -l < {file.name}) = {run.ALONE_TIMES} ] && "
                 f"{{ echo 1..1; echo '# third'; echo 'not ok 1 - a'; exit 1; }}; {GOOD}")
        status, said = again(third)
    equal(status, "failed", "status")
    check("third" in said, said)
    for words in ({"script": "echo '1..0 # SKIP no'"}, {"script": GOOD, "alone": False},
                  {"script": GOOD, "label": "tests/system/test_warden.py: a"},
                  {"script": GOOD, "others": run.ALONE_MOST}):
        equal(again(**words)[0], "failed", str(words))


@test("a test that is run alone is that one")
def one():
    class options:
        binary, static = "B", "S"
    words = run.python_alone(options, "tests/system/test_x.py: --is: so").command
    equal(words[1:2] + words[-1:], ["tests/system/test_x.py", "-k--is: so"], "on this machine")
    words = run.python_alone(options, "tests/system/test_x.py").command
    check(not words[-1].startswith("-k"), f"a whole file: {words}")
    words = run.vm_alone(options, "cgroup v2: test_x.py: is: so").command
    equal(words[-3:], ["-k", "is: so", "test_x.py"], "in the virtual machine")
    equal(run.vm_alone(options, "cgroup v2: test_x.py ran to its end"), None, "no test")
    for name in run.NEVER_AGAIN:
        check((run.ROOT / "tests/system" / name).exists(), f"{name} is not there")


main(needs_programs=False)
