"""The load of the seed in a plain group whose killer is disabled: unguarded it hangs for good,
guarded it runs below its cap, and its log is never silent for long."""
import os
import tempfile
import time

from hangs import Hanger
from harness import MIB, check, main, needs_v1, note, read_int, test, wait_for
from seedload import CAP_MIB, FAST, GUARD, Guard, Watch, command

SECONDS = float(os.environ.get("PLIMSOLL_GUARD_SECONDS", "6"))
MOST = 0.93  # of the cap
SILENT_MS = 2000


@test("the seed's load hangs without a guard, its log silent", needs=(needs_v1,))
def unguarded():
    hung = Hanger(command(120, FAST), CAP_MIB * MIB)
    hung.wait()

    def silent():
        before = len(hung.lines())
        return len(hung.lines(2.5)) <= before + 1 and hung.stays()

    wait_for(silent, 10, "its log to be silent")  # at first the kernel may find a page now and then
    check(hung.alive(), "nobody has killed it")


@test("guarded it stays below 0.93 of its cap and logs all the time", needs=(needs_v1,))
def guarded():
    with tempfile.TemporaryDirectory(prefix="plimsoll-seed-") as folder:
        start = "read x; exec " + " ".join(command(int(SECONDS) + 60))
        load = Hanger(["/bin/sh", "-c", start], CAP_MIB * MIB)
        guard = Guard(load.box.path, folder, *GUARD)
        os.set_blocking(load.process.stdout.fileno(), True)
        watch = Watch(load.box.dir + "/memory.usage_in_bytes", load.process.stdout.fileno())
        load.process.stdin.write(b"go\n")
        load.process.stdin.flush()
        wait_for(watch.times, 20, "its first line")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and load.alive() and not load.waits():
            time.sleep(0.1)
        silence, hangs, alive = watch.silence(), load.waits(), load.alive()
        watch.end()
        guard.end()
        peak = max(watch.peak, read_int(load.box.dir + "/memory.max_usage_in_bytes"))
        note(f"{SECONDS:.0f} s: peak {peak / CAP_MIB / MIB:.3f} of the cap ({watch.samples} looks), "
             f"log silent for {silence:.0f} ms at most, {len(watch.times())} lines, "
             f"{guard.actions()}")
        check(guard.actions(), f"something was done: {guard.records}")
        check(alive and not hangs, f"it runs: {guard.records[-3:]}")
        check(peak <= MOST * CAP_MIB * MIB, f"peak {peak / CAP_MIB / MIB:.3f} of the cap")
        check(silence <= SILENT_MS, f"its log was silent for {silence:.0f} ms")


if __name__ == "__main__":
    main()
