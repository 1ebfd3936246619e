"""The agent tells which runtimes the targets have and what they say of their heaps, keeps it, and
disturbs nobody."""
import json
import os
import select
import shutil
import subprocess
import time

import agents
import harness
from harness import MIB, PATIENCE, Skip, check, equal, group, main, near, needs_cgroups, test

FIGURES = ("rt_heap_used", "rt_heap_committed", "rt_heap_idle", "rt_gcs", "rt_gc_us", "rt_tasks")


def loads():
    return os.path.join(harness.options.loads, "rt")


class Program:
    """A program in a group, which says that it is ready; answers lines."""

    def __init__(self, box, *command):
        if not os.path.exists(command[0]):
            raise Skip(f"there is no {os.path.basename(command[0])}")
        enter = "".join(f"echo $$ > {directory}/cgroup.procs; " for directory in box.dirs.values())
        self.process = subprocess.Popen(["/bin/sh", "-c", enter + 'exec "$@"', "sh", *command],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.line()

    def line(self):
        check(select.select([self.process.stdout], [], [], 30 * PATIENCE)[0], "it says nothing")
        return self.process.stdout.readline()

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.line()

    def end(self):
        self.process.kill()
        self.process.wait()


def java():
    """The executable itself: what stands in PATH may start it in ways of its own."""
    found = shutil.which("java") or ""
    return os.path.realpath(found) if found else "java"


def jstat(pid):
    """{"heap", "collections", "seconds"} as the JDK's own tool reads them."""
    tool = os.path.join(os.path.dirname(java()), "jstat")
    out = subprocess.run([tool, "-gc", str(pid)], stdout=subprocess.PIPE, text=True, check=True).stdout
    head, values = (line.split() for line in out.splitlines()[:2])
    told = {key: float(value) for key, value in zip(head, values) if value != "-"}
    return {"heap": sum(told.get(key, 0) for key in ("S0U", "S1U", "EU", "OU")) * 1024,
            "collections": told["YGC"] + told["FGC"] + told.get("CGC", 0)}


def wait_figures(agent, box, seconds, wanted):
    """Its row, once `wanted` holds of it."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        row = agent.target(box.path)
        if wanted(row):
            return row
        check(time.monotonic() < end,
              f"of {box.path} it says {row['lang']!r}, {[row[key] for key in FIGURES]}")
        time.sleep(0.1)


@test("runtimes are recognised, their heaps are those that Go and the JDK tell, collections only "
      "grow, and all of it is kept", [needs_cgroups])
def _():
    boxes = {name: group(name, limit=600 * MIB) for name in ("go", "java", "sleep", "script")}
    programs = {
        "go": Program(boxes["go"], f"{loads()}/goheap", "-keep", "20", "-garbage", "50",
                      "-idle"),
        "java": Program(boxes["java"], java(), "-XX:+UseSerialGC", "-Xmx200m", "-cp", loads(),
                        "Garbage", "20", "30"),
        "sleep": Program(boxes["sleep"], "/bin/sh", "-c", "echo; exec sleep 100"),
        # An entry script that becomes the program later on: the same pid, the same start.
        "script": Program(boxes["script"], "/bin/sh", "-c", f"echo; read go; exec {loads()}/goheap"),
    }
    try:
        with agents.Agent("targets: all\n") as agent:
            rows = {name: wait_figures(agent, boxes[name], 30, lambda row: row["lang"])
                    for name in programs}
            check(rows["go"]["lang"].startswith("go 1."), rows["go"]["lang"])
            check(rows["java"]["lang"].startswith("java "), rows["java"]["lang"])
            check("libc" in rows["sleep"]["lang"] or "musl" in rows["sleep"]["lang"],
                  rows["sleep"]["lang"])
            equal({rows["sleep"][key] for key in FIGURES}, {None}, "heap of a C program")

            # the other's own word for the same, of programs that stand still
            told = json.loads(programs["go"].ask("stats"))
            row = rows["go"]
            near(row["rt_heap_used"], told["heap_alloc"], MIB, "heap in use")
            near(row["rt_heap_idle"], told["heap_idle"] - told["heap_released"], 2 * MIB, "idle, not released")
            near(row["rt_gcs"], told["gc_count"], 2, "collections")
            check(1 <= row["rt_tasks"] <= 50, f"goroutines: {row['rt_tasks']}")
            real = jstat(programs["java"].pid)
            near(rows["java"]["rt_heap_used"], real["heap"], 2 * MIB, "heap of java")
            near(rows["java"]["rt_gcs"], real["collections"], 1, "collections of java")
            check(rows["java"]["rt_heap_committed"] >= rows["java"]["rt_heap_used"], "committed")

            check("libc" in rows["script"]["lang"], rows["script"]["lang"])
            check(programs["script"].ask("go").startswith("ready"), "the script's program")

            # Of one that ended nothing is known any more; what the target has collected stays.
            counted = rows["java"]["rt_gcs"]
            programs["java"].end()
            programs["java"] = Program(boxes["java"], java(), "-XX:+UseSerialGC", "-Xmx200m", "-cp",
                                       loads(), "Garbage", "5", "60")
            # A new target: runtimes are looked at soon.
            programs["late"] = Program(group("late"), "/bin/sh", "-c", "echo; exec sleep 100")
            row = wait_figures(agent, boxes["java"], 60,
                               lambda row: (row["rt_gcs"] or 0) > counted)
            check(row["rt_heap_used"] < rows["java"]["rt_heap_used"] + 60 * MIB, "of two processes")

            wait_figures(agent, boxes["script"], 30,
                         lambda row: (row["lang"] or "").startswith("go ") and row["rt_heap_used"])

            past = agent.json("/api/v1/series?metric=rt_heap_used&metric=rt_gcs&from=-1m&target="
                              + boxes["go"].path)
            points = {curve["metric"]: curve["points"] for curve in past["series"]}
            near(points["plimsoll_runtime_heap_used_bytes"][-1][-1],
                 agent.target(boxes["go"].path)["rt_heap_used"], 2 * MIB, "kept")
            check(points["plimsoll_runtime_collections_total"], "collections are not kept")
            exported = {labels.get("id"): value for labels, value in
                        agent.metrics()["plimsoll_runtime_heap_used_bytes"]}
            check(any(value > 15 * MIB for value in exported.values()), f"/metrics: {exported}")
        word, _, broken = programs["go"].ask("ping").split()
        equal((word, broken), ("pong", "0"), "what the Go program says of its memory")
        equal(programs["java"].process.poll(), None, "the JVM's end")
    finally:
        for program in programs.values():
            program.end()


if __name__ == "__main__":
    main()
