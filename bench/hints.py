"""hints: a Go program with 200 MiB live under a cap of 256 MiB, with and without --hints.

Without, its collector lets the heap grow to twice of what is live. The highest usage is the kernel's
own (of the run's group), beside what we saw by looking every 20 ms.
"""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "system"))
import harness  # noqa: E402

CAP = 256 << 20
LIVE_MIB = 200
GOAL = 0.93


def one(options, box, hints, burst, seconds):
    """(how it ended, seconds it ran, highest usage by the kernel, highest seen)"""
    name = "bench"
    folder = f"{box.dir}/plimsoll-run-{name}"
    reader, writer = os.pipe()
    load = [os.path.join(options.loads, "godemo"), "-seconds", str(seconds), *burst, "churn",
            str(LIVE_MIB)]
    child = subprocess.Popen([options.binary, "run", "-q", "-m", str(CAP), "--name", name, "--restart",
                              "never", "--hints", hints, "--cgroup-parent", box.path, "--events",
                              f"fd:{writer}", "--", *load], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=(writer,))
    os.close(writer)
    usage = "memory.usage_in_bytes" if harness.machine.version == "v1" else "memory.current"
    seen = 0
    while child.poll() is None:
        try:
            seen = max(seen, harness.read_int(f"{folder}/{usage}"))
        except OSError:
            pass
        time.sleep(0.02)
    said = child.stderr.read().decode()
    child.stderr.close()
    with os.fdopen(reader) as file:
        told = [event for event in map(json.loads, file) if event["event"] == "exit"][-1]
    return told, seen, said.strip()


def hints(options):
    harness.needs_cgroups()
    if not os.access(os.path.join(options.loads, "godemo"), os.X_OK):
        raise harness.Skip("no Go when the loads were built")
    box = harness.group("hints", limit=None, controllers=("unified",))
    print(f"hints: Go, {LIVE_MIB} MiB live, a fifth replaced each 200 ms, cap {CAP >> 20} MiB, "
          f"{options.hint_seconds} s")
    print(f"{'hints':>6} {'replaced':>9} {'ran s':>7} {'highest':>8} {'seen':>6}  end")
    for burst in ([], ["-burst"]):
        for how in ("auto", "off"):
            told, seen, said = one(options, box, how, burst, options.hint_seconds)
            share = (told["peak"] or seen) / CAP
            print(f"{how:>6} {'at once' if burst else 'evenly':>9} {told['ran_ms'] / 1000:>7.1f} "
                  f"{share:>8.3f} {seen / CAP:>6.3f}  {told['cause']}; {said}", flush=True)
            if how == "auto" and not burst:
                held = told["cause"] == "exited" and share < GOAL
                print(f"hints: below {GOAL} of the cap: {'kept' if held else 'MISSED'}")
    box.remove()
