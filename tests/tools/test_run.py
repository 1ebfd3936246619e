"""tests/run.py: whatever a test program does wrong is counted as a failure."""
import pathlib
import sys
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

main(needs_programs=False)
