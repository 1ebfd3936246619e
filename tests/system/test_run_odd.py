#!/usr/bin/env python3
"""`plimsoll run` at odd moments: a program that vanishes, signals that were ignored, a shortage."""
import os
import shutil
import signal
import subprocess
import tempfile
import time

from harness import PATIENCE, Skip, check, equal, main, needs_v1, test, write
import harness
from runs import Run, demo, is_alive, needs_runs, nothing_left, place


@test("a program that vanishes between two starts: told once, 127, and not tried again",
      [needs_runs])
def _():
    box = place()
    with tempfile.TemporaryDirectory() as folder:
        program = shutil.copy("/bin/false", folder + "/app")
        one = Run(box, "-m", "30M", "--restart", "always", "--backoff", "400ms", "--", program)
        one.wait_event("exit")
        os.unlink(program)
        one.finish(code=127)
    equal(one.err.count("was not found"), 1, f"told: {one.err!r}")
    check(len(one.all("start")) <= 2, f"starts: {one.all('start')}")
    equal((one.exit()["cause"], one.exit()["exit_code"]), ("not-executed", 127), "exit")
    equal(one.all("end")[0]["exit_code"], 127, "end")
    nothing_left(box)


@test("a signal that was ignored when it was started (nohup) is ignored by it and its program",
      [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "30M", "--restart", "failure", "--max-restarts", "1", "--backoff", "600ms",
              "--", "/bin/sh", "-c", "kill -HUP $$; sleep 0.2; exit 3",
              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    one.wait_event("exit")
    one.signal(signal.SIGHUP)
    one.finish(code=137)
    equal([(e["cause"], e["exit_code"]) for e in one.all("exit")], [("exited", 3)] * 2, "ends")


@test("a limit on file sizes is the program's matter, not the supervisor's end", [needs_runs])
def _():
    box = place()
    with tempfile.TemporaryDirectory() as folder:
        line = (f'ulimit -f 0; exec {harness.options.binary} run -m 30M --cgroup-parent {box.path} '
                f'--name odd-{os.getpid()} --events {folder}/events -- /bin/sh -c "sleep 0.3; exit 5"')
        done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True,
                              timeout=20 * PATIENCE)
    equal(done.returncode, 5, f"exit code, stderr {done.stderr!r}")
    check("exited with code 5" in done.stderr, f"stderr: {done.stderr!r}")
    nothing_left(box)


@test("memory that kills it after a HUP or INT is not what was asked for: it is started again",
      [needs_runs])
def _():
    box = place()
    script = (f"import os, signal\n"
              f"signal.signal(signal.SIGHUP, lambda n, f: os.execv({demo()[0]!r}, "
              f"['demo', '-s', '0', 'climb', '100']))\n"
              f"print('main', os.getpid(), flush=True)\n"
              f"while True: signal.pause()")
    one = Run(box, "-m", "30M", "--backoff", "50ms", "--", "/usr/bin/python3", "-c", script)
    one.wait_out("main")
    one.signal(signal.SIGHUP)
    one.wait_event("start", 2)
    equal((one.exit()["cause"], one.exit()["then"]), ("oom", "again"), "first end")
    one.wait_out("main", 2)
    one.signal(signal.SIGTERM)
    one.finish(code=143)
    nothing_left(box)


@test("a tree that ignores TERM is killed after its grace in a later start as in the first",
      [needs_runs])
def _():
    box = place()
    with tempfile.NamedTemporaryFile() as seen:
        script = (f"[ -s {seen.name} ] || {{ echo x > {seen.name}; sleep 60 & exit 1; }}; "
                  f"exec {demo()[0]} -n 2 stubborn")
        one = Run(box, "-m", "30M", "--grace", "400ms", "--restart", "failure", "--backoff", "50ms",
                  "--", "/bin/sh", "-c", script)
        pids = one.wait_out("main") + one.wait_out("child", 2)
        one.signal(signal.SIGTERM)
        one.finish(code=137)
    equal([pid for pid in pids if is_alive(pid)], [], "processes left")
    equal(one.exit()["cause"], "stopped", "cause")
    check("cannot be killed" not in one.err, f"stderr: {one.err!r}")
    nothing_left(box)


@test("the grace period is one, for the program and for what it leaves behind", [needs_runs])
def _():
    box = place()
    script = ("(trap '' TERM; echo child 1; exec sleep 60) & trap 'sleep 1; exit 0' TERM; "
              "echo main 1; while :; do sleep 0.1; done")
    one = Run(box, "-m", "30M", "--grace", "4s", "--", "/bin/sh", "-c", script)
    one.wait_out("main")
    one.wait_out("child")
    start = time.monotonic()
    one.signal(signal.SIGTERM)
    one.finish(code=0)
    took = time.monotonic() - start
    harness.note(f"ended after {took:.1f} s of grace 4 s")
    check(took >= 3.9, f"took {took:.1f} s: no grace for what was left")
    exits = one.exit()
    equal((exits["cause"], exits["left"]), ("stopped", 1), "told")
    nothing_left(box)


def needs_pids():
    if "pids" not in harness.machine.mount:
        raise Skip("no pids controller")


# v2 counts a child in the group that it is born into, not in the supervisor's.
@test("no process to be had at a restart is no end: tried again until there is one",
      [needs_runs, needs_v1, needs_pids])
def _():
    box = place()
    fence = os.path.join(harness.machine.mount["pids"], f"plimsoll-fence-{os.getpid()}")
    os.mkdir(fence)
    one = Run(box, "-m", "30M", "--restart", "always", "--backoff", "400ms", "--max-restarts", "1",
              "--", "/bin/false", preexec_fn=lambda: write(fence + "/cgroup.procs", "0"))
    try:
        one.wait_event("exit")
        write(fence + "/pids.max", "1")
        end = time.monotonic() + 10 * PATIENCE
        while "tried again" not in one.err:
            check(time.monotonic() < end, f"stderr: {one.err!r}")
            time.sleep(0.02)
        write(fence + "/pids.max", "max")
        one.finish(code=137)
        equal(len(one.all("exit")), 2, "ends")
    finally:
        one.end()
        os.rmdir(fence)
    nothing_left(box)


main()
