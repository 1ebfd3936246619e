"""How targets move is what was done to them: told now, in the stream, after a restart, and as of
then."""
import json
import os
import signal
import subprocess
import tempfile
import time

import agents
from harness import (MIB, PATIENCE, Load, check, equal, group, main, near, needs_cgroups, note,
                     scratch_dir, test)
from runs import demo

STEP_MS = 300  # a MiB each
WORDS = {"climbs": ("growing", "growing"), "stands": ("steady", "steady"),
         "cached": ("steady", "cache-bound")}


def climber(box, mib):
    """A program in the group that takes a MiB each STEP_MS."""
    enter = "".join(f"echo $$ > {directory}/cgroup.procs; " for directory in box.dirs.values())
    climb = demo("-s", STEP_MS, "-t", 120, "climb", mib)
    return subprocess.Popen(["/bin/sh", "-c", enter + 'exec "$@"', "sh", *climb],
                            stdout=subprocess.DEVNULL)


class Cache:
    """Fills the group with page cache, and reads it again all the time: a host that takes cache away
    has it back at once."""

    def __init__(self, box, mib):
        box.limit(mib * MIB)
        self.file = tempfile.NamedTemporaryFile(dir=scratch_dir())
        enter = "".join(f"echo $$ > {directory}/cgroup.procs; " for directory in box.dirs.values())
        self.program = subprocess.Popen(
            ["/bin/sh", "-c", enter + f"head -c {mib * 94 // 100}M /dev/zero > {self.file.name}; "
             f"while sleep 0.3; do cat {self.file.name} > /dev/null 2>&1; done"])

    def end(self):
        self.program.kill()
        self.program.wait()
        self.file.close()


def words(row):
    return row["trend"], row["state"]


def rows(agent, boxes, query=""):
    by_path = {row["cgroup"]: row for row in agent.targets(query)}
    return {name: by_path[box.path] for name, box in boxes.items()}


def wait_words(agent, boxes, seconds):
    end = time.monotonic() + seconds * PATIENCE
    while True:
        now = rows(agent, boxes)
        if all(words(now[name]) == WORDS[name] for name in boxes) or time.monotonic() > end:
            return now
        time.sleep(0.5)


def streamed_words(agent, boxes, seconds):
    """What a reader of the stream knows of each at its end, who saw only what changed."""
    connection = agents.UnixConnection(agent.socket, 10 * PATIENCE)
    connection.request("GET", "/api/v1/stream")
    answer = connection.getresponse()
    known, end = {}, time.monotonic() + seconds
    while time.monotonic() < end:
        line = answer.readline()
        if line.startswith(b"data: "):
            for row in json.loads(line[6:]).get("targets", []):
                known.setdefault(row["uid"], {}).update(row)
    connection.close()
    by_path = {row["cgroup"]: row for row in known.values()}
    return {name: words(by_path[box.path]) for name, box in boxes.items()}


@test("what climbs is growing, what stands is steady, what is full of cache is cache-bound: now, "
      "in the stream, to a front that began anew, and as of then", [needs_cgroups])
def _():
    with agents.Agent("targets: all\n") as agent:
        boxes = {name: group(name) for name in WORDS}
        boxes["climbs"].limit(1024 * MIB)  # of which it takes too little for another word
        loads = [Load("anon", 30, groups=[boxes["stands"]]), Cache(boxes["cached"], 120)]
        program = climber(boxes["climbs"], 200)
        try:
            agent.target(boxes["climbs"].path)
            before, before_s = boxes["climbs"].usage(), time.monotonic()
            streamed = streamed_words(agent, boxes, 22)
            now = wait_words(agent, boxes, 20)
            speed = (boxes["climbs"].usage() - before) / (time.monotonic() - before_s)
            equal({name: words(row) for name, row in now.items()}, WORDS, "now")
            equal(streamed, WORDS, "in the stream")

            row = now["climbs"]
            note(f"{row['trend_bytes_per_h'] / 3600 / MIB:.2f} MiB/s over {row['trend_window_s']} s, "
                 f"of {speed / MIB:.2f}; {row['time_to_limit_s']} s to the limit")
            near(row["trend_bytes_per_h"] / 3600, speed, speed / 5, "bytes a second")
            near(row["time_to_limit_s"], row["headroom"] / speed, 0.2 * row["headroom"] / speed + 1,
                 "seconds to the limit")
            for name in ("stands", "cached"):
                equal(now[name]["time_to_limit_s"], None, f"time to the limit of {name}")
                check(abs(now[name]["trend_bytes_per_h"]) < 100 * MIB, f"slope of {name}")
                stat = boxes[name].stat()
                if not stat.get("total_workingset_refault_file", stat["workingset_refault_file"]):
                    equal(now[name]["refaults_per_s"], 0, f"refaults of {name}")

            at_ms = int(time.time() * 1000) - 1000
            then = rows(agent, boxes, f"?at={at_ms}")
            equal({name: words(row) for name, row in then.items()}, WORDS, "as of then")
            near(then["climbs"]["trend_bytes_per_h"] / 3600, speed, speed / 5, "slope as of then")

            front = agent.children()["front"]
            os.kill(front, signal.SIGKILL)
            end = time.monotonic() + 10 * PATIENCE
            while agent.children().get("front", front) == front and time.monotonic() < end:
                time.sleep(0.05)
            agent.wait_ready()
            after = wait_words(agent, boxes, 3)
            equal({name: words(row) for name, row in after.items()}, WORDS, "to another front")
            check(after["climbs"]["trend_window_s"] >= 15, f"{after['climbs']['trend_window_s']} s")
        finally:
            program.kill()
            program.wait()
        for load in loads:
            load.end()


if __name__ == "__main__":
    main()
