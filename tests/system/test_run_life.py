"""run: when a program is started again, and how it and what it left are ended."""
import datetime
import signal
import tempfile
import time

from harness import check, equal, main, test
from runs import Run, demo, is_alive, needs_runs, nothing_left, place, run

# --- restarts --------------------------------------------------------------------------------

@test("--restart: what each policy starts again", [needs_runs])
def _():
    box = place()
    cases = (  # policy, what ends it, starts, exit code
        ("oom", ["/bin/sh", "-c", "exit 7"], 1, 7),
        ("oom", ["/bin/true"], 1, 0),
        ("oom", ["/bin/sh", "-c", "kill -9 $$"], 1, 137),
        ("oom", demo("-s", 0, "climb", 60), 3, 137),
        ("oom", demo("-s", 0, "wrapper", 60), 3, 137),
        ("failure", ["/bin/true"], 1, 0),
        ("failure", ["/bin/sh", "-c", "exit 7"], 3, 137),
        ("failure", ["/bin/sh", "-c", "kill -9 $$"], 3, 137),
        ("always", ["/bin/true"], 3, 137),
        ("never", demo("-s", 0, "climb", 60), 1, 137),
        ("never", ["/bin/sh", "-c", "exit 7"], 1, 7),
    )
    for policy, command, starts, code in cases:
        done = run(box, "-m", "12M", "--restart", policy, "--max-restarts", "2", "--backoff", "10ms",
                   "--", *command, code=code)
        equal(len(done.all("start")), starts, f"starts of {command} with {policy}: {done.err!r}")
        equal(done.all("end")[0]["gave_up"], starts == 3, f"gave up on {command} with {policy}")
        equal([e["restarts"] for e in done.all("start")], list(range(starts)), "restarts told")


@test("the back-off doubles, and is told before it is kept", [needs_runs])
def _():
    done = run(place(), "-m", "30M", "--restart", "always", "--max-restarts", "4", "--backoff", "40ms",
               "--", "/bin/true", code=137)
    equal([e["delay_ms"] for e in done.all("exit")], [40, 80, 160, 320, None], "delays")
    equal([e["then"] for e in done.all("exit")], ["again"] * 4 + ["give-up"], "then")
    stamps = [datetime.datetime.fromisoformat(e["ts"].replace("Z", "+00:00")).timestamp()
              for e in done.events if e["event"] in ("exit", "start")]
    waits = [b - a for a, b in list(zip(stamps, stamps[1:]))[1::2]]
    for told, kept in zip((40, 80, 160, 320), waits):
        check(kept * 1000 >= told - 2, f"waited {kept * 1000:.0f} ms, told {told}")
    check("give" in done.err or "gave up" in done.err, f"stderr: {done.err!r}")


@test("--max-restarts within --window: restarts that are further apart do not count together",
      [needs_runs])
def _():
    box = place()
    # One restart each 0.4 s and more: three within 0.3 s never happen, two within 60 s do.
    with tempfile.NamedTemporaryFile() as count:
        script = f'echo x >> {count.name}; [ $(wc -l < {count.name}) -ge 6 ] && exit 0; ' \
                 'sleep 0.4; exit 1'
        done = run(box, "-m", "30M", "--restart", "failure", "--max-restarts", "2", "--window", "300ms",
                   "--backoff", "1ms", "--", "/bin/sh", "-c", script, code=0, seconds=40)
        equal(len(done.all("start")), 6, "starts")
    done = run(box, "-m", "30M", "--restart", "failure", "--max-restarts", "2", "--window", "60",
               "--backoff", "1ms", "--", "/bin/false", code=137)
    equal(len(done.all("start")), 3, "starts in a wide window")


# --- how it ends -----------------------------------------------------------------------------

@test("TERM ends the program, and is told as a stop and not as a failure", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "30M", "--restart", "always", "--", *demo("sleep"))
    pid = one.wait_event("start")["pid"]
    one.wait_out("main")
    one.signal(signal.SIGTERM)
    one.finish(code=143)
    equal(one.exit()["cause"], "stopped", "cause")
    equal([(e["signal"]) for e in one.all("stopping")], ["TERM"], "stopping")
    check(not is_alive(pid), "it still lives")
    nothing_left(box)


@test("a tree that ignores TERM: grace, then all of it is killed", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "30M", "--grace", "1500ms", "--", *demo("-n", 4, "stubborn"))
    pids = one.wait_out("main") + one.wait_out("child", 4)
    start = time.monotonic()
    one.signal(signal.SIGTERM)
    time.sleep(0.2)
    alive = all(is_alive(pid) for pid in pids)
    check(alive or time.monotonic() - start > 1.5, "killed before the grace period was over")
    one.finish(code=137)
    check(time.monotonic() - start >= 1.5, "did not wait")
    equal([pid for pid in pids if is_alive(pid)], [], "processes left")
    equal((one.all("stopping")[0]["grace_ms"], one.exit()["cause"]), (1500, "stopped"), "told")
    nothing_left(box)


@test("what the program forked off is ended with it, daemons too", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "60M", "--grace", "300ms", "--", *demo("-n", 3, "-s", 100, "daemons", 2))
    daemons = one.wait_out("daemon", 3)
    one.finish(code=0)
    equal([pid for pid in daemons if is_alive(pid)], [], "daemons left")
    check(one.exit()["left"] >= 3, f"left: {one.exit()['left']}")
    nothing_left(box)


@test("leftovers are killed before the next start", [needs_runs])
def _():
    box = place()
    one = Run(box, "-m", "60M", "--restart", "always", "--backoff", "100ms", "--",
              *demo("-n", 2, "-s", 100, "daemons", 2))
    for count in (2, 3):
        one.wait_event("start", count)
        old = one.wait_out("daemon", 2 * (count - 1))[:2 * (count - 1)]
        equal([pid for pid in old if is_alive(pid)], [], f"daemons left at start {count}")
    one.signal(signal.SIGTERM)
    one.finish()
    nothing_left(box)


# One write a line: print() may write the line's end on its own, and a signal may come between.
TRAPS = "import os, signal, time\n" \
        "for n in (1, 10, 12, 28, 34):\n" \
        "    signal.signal(n, lambda number, frame: os.write(1, b'got %d\\n' % number))\n" \
        "os.write(1, b'main 1\\n')\n" \
        "while True: time.sleep(0.05)\n"


@test("HUP, USR1, USR2, WINCH and real-time signals are sent on, once each", [needs_runs])
def _():
    one = Run(place(), "-m", "60M", "--grace", "5s", "--", "/usr/bin/python3", "-c", TRAPS)
    one.wait_out("main")
    for i, number in enumerate((10, 12, 28, 34, 1), 1):
        one.signal(number)
        one.wait_out("got", i)
    time.sleep(0.2)
    equal(one.wait_out("got"), [10, 12, 28, 34, 1], "signals")
    one.signal(signal.SIGTERM)
    one.finish(code=143)

main()
