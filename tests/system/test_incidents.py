#!/usr/bin/python3
"""What happened, from the audit file and from the agent: the list, a story, and what is damaged."""
import json
import mmap
import os
import re
import signal
import subprocess
import tempfile
import time

import harness
from agents import Agent
from harness import (MIB, PATIENCE, check, equal, group, needs_cgroups, note, plimsoll, test,
                     top, wait_for)

LIMIT = 64 * MIB
NOBODY = ("--socket", "/nonexistent/plimsoll.sock")
AT = 1795305600000


def record(kind, number, after_ms, **more):
    facts = more.pop("facts", {})
    return {"kind": kind, "id": f"id-{number}", "at_ms": AT + after_ms, "by": "guard", "name": "web",
            "target": "/docker/4f2a9c11", "guard": "web", "dry_run": False, **more,
            "facts": {"at_us": 10 ** 6 + after_ms * 1000, **facts}}


STORY = [
    record("guard", 1, 0, text="80% gc, 95% rescue"),
    record("mark", 2, 60000, mark=1, up=True, facts={"used": 231 * MIB, "limit": 256 * MIB}),
    record("begin", 3, 60010, action="gc", mark=1, hang="none", why="used 231M of 256M (90.2 %)",
           before=231 * MIB),
    record("end", 3, 62010, action="gc", mark=1, hang="none", outcome="done", text="Go: 1 collection",
           before=231 * MIB, after=120 * MIB, took_ms=2000.12),
    record("mark", 4, 63000, mark=1, up=False, facts={"used": 120 * MIB, "limit": 256 * MIB}),
    record("hang", 5, 120000, up=True, hang="oom-wait", hang_for_ms=300,
           facts={"used": 256 * MIB, "limit": 256 * MIB}),
    record("begin", 6, 120010, action="rescue", hang="oom-wait", why="it hangs", before=256 * MIB),
    record("end", 6, 122010, action="rescue", hang="oom-wait", outcome="refused", took_ms=12.5,
           text="nothing to lend", next="plimsoll rescue --lend 64M web", file="/var/dump/web"),
]


class AuditFile:
    def __init__(self, records=STORY):
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-audit-")
        self.path = self.folder.name + "/audit.jsonl"
        self.add(*[json.dumps(r) for r in records])

    def add(self, *lines, end="\n"):
        with open(self.path, "a") as file:
            file.write("".join(line + end for line in lines))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def listed(file, *more, **how):
    return plimsoll("incidents", "--audit", file.path, *NOBODY, *more, **how)


@test("without an agent the audit file is told, and that it is alone")
def file_alone():
    with AuditFile() as file:
        result = listed(file, "--json")
        answer = json.loads(result.out)
        equal([(i["kind"], i["id"], i["outcome"]) for i in answer["incidents"]],
              [("gc", "id-3", "done"), ("hang", "id-5", None), ("rescue", "id-6", "refused")], "incidents")
        first = answer["incidents"][0]
        equal((first["before"], first["after"], first["freed"], first["took_ms"]),
              (231 * MIB, 120 * MIB, 111 * MIB, 2000.12), "bytes and time of the collection")
        equal((answer["agent"], answer["file"], answer["damaged_lines"]), (False, file.path, 0), "sources")
        equal(result.err, "", "what is said where something was found")
        told = listed(file, "--verbose").err
        check("alone" in told and "no OOM kills" in told, told)
        none = listed(file, "--target", "db").err
        check("OOM kills are not known without an agent" in none and len(none) < 140, none)
        lines = listed(file).lines
        equal(lines[0].split(), "TIME TARGET KIND WHAT DONE BEFORE AFTER TOOK ID".split(), "heads")
        check(re.search(r"web +gc +used 231M of 256M .* gc: done, Go: 1 collection +231M +120M +2.0s +id-3",
                        lines[1]), lines[1])
        equal(len(lines), 4, "lines")
        check("not over" in lines[2], lines[2])
        equal([i["kind"] for i in json.loads(listed(file, "--json", "--kind", "hang,gc").out)["incidents"]],
              ["gc", "hang"], "of two kinds")
        equal(json.loads(listed(file, "--json", "--target", "db").out)["incidents"], [], "of another")
        equal(len(json.loads(listed(file, "--json", "--since", "2026-11-22T00:02:00Z").out)["incidents"]),
              2, "since then")
        check("--since lies behind" in listed(file, "--since", "now", "--until", "-1h", code=2).err, "spans")
        check("'dance'" in listed(file, "--kind", "dance", code=2).err, "kinds")


@test("damaged lines are counted and told, and the rest is shown")
def damaged():
    with AuditFile() as file:
        file.add('{"kind":"end","id":', "\x01\x7f", "[1]")
        file.add('{"kind":"mark","id":"torn"', end="")
        result = listed(file, "--json")
        equal(json.loads(result.out)["damaged_lines"], 4, "damaged lines")
        equal(len(json.loads(result.out)["incidents"]), 3, "incidents")
        check("4 lines of the audit file are damaged" in result.err, result.err)
        evil = record("begin", 9, 130000, action="kill", hang="none", why="\x1b[2Jx\x07", name="a\x1b[31m\u202e")
        file.add("", json.dumps(evil))
        harness.no_control_bytes(listed(file).out.encode(), "the list")
        check("\\x1b[2Jx" in listed(file).out, "what is hostile is not escaped")


@test("the file that was full before is read too, and what is in both is told once")
def rotated():
    with AuditFile() as file:
        os.rename(file.path, file.path + ".1")
        file.add(json.dumps(STORY[-1]), json.dumps(record("end", 7, 200000, action="reclaim", hang="none",
                                                          outcome="partly", text="cache")))
        equal([i["id"] for i in json.loads(listed(file, "--json").out)["incidents"]],
              ["id-3", "id-5", "id-6", "id-7"], "ids")


@test("the story of an incident goes from well to well, with its dump and the next step")
def story():
    with AuditFile() as file:
        told = listed(file, "id-3").out
        check("2026-11-22T00:01:00.000Z to 2026-11-22T00:01:03.000Z (3.0s)" in told, told)
        check("mark 1 passed: 231M of 256M used (90.2 %)" in told and "below mark 1 again" in told, told)
        check("hangs" not in told, "the story of another time is in it")
        told = listed(file, "id-6").out
        check("not over as far as is known" in told and "/var/dump/web" in told, told)
        check("Next: plimsoll rescue --lend 64M web" in told, told)
        check("no agent that would know it" in told, told)
        answer = json.loads(listed(file, "id-5", "--json").out)
        equal([r["kind"] for r in answer["records"]], ["hang", "begin", "end"], "records")
        equal((answer["used"], answer["to_ms"]), (None, None), "what is not known")
        check("no incident 'id-77'" in listed(file, "id-77", code=1).err, "an id that is none")


@test("what comes is told at once with --follow, from another file under the name too")
def follow():
    with AuditFile() as file:
        process = subprocess.Popen([harness.options.binary, "incidents", "--follow", "--audit", file.path,
                                    *NOBODY, "--plain"], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        try:
            lines = [process.stdout.readline() for _ in STORY]
            check("nothing to lend" in lines[-1], lines)
            file.add(json.dumps(record("mark", 10, 300000, mark=1, up=True)))
            check("mark 1 passed" in process.stdout.readline(), "what came")
            os.rename(file.path, file.path + ".1")
            file.add(json.dumps(record("over", 11, 310000, text="the end")))
            check("no longer guarded: the end" in process.stdout.readline(), "the other file")
        finally:
            process.kill()
            process.wait()


@test("neither file nor agent is a failure that names both; one that may not be read is told")
def nothing():
    err = plimsoll("incidents", *NOBODY, "--audit", "/nonexistent/audit.jsonl", code=1).err
    check("/nonexistent/audit.jsonl" in err, err)
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "XDG_STATE_HOME": folder, "HOME": folder}
        if os.geteuid() == 0 and os.path.exists("/var/log/plimsoll/audit.jsonl"):
            return
        err = plimsoll("incidents", *NOBODY, code=1, env=env).err
        check("no agent" in err and "there is no audit file" in err, err)


def eater(member, most=100):
    """A process that takes 2 MiB each few ms, so many in all, and is killed: its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(90 * PATIENCE)
            for directory in member.dirs.values():
                harness.write(directory + "/cgroup.procs", "0")
            kept = mmap.mmap(-1, most * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for page in range(0, most * MIB, 4096):
                kept[page] = 1
                if page % (2 * MIB) == 0:
                    time.sleep(0.005)
            time.sleep(90 * PATIENCE)
        finally:
            os._exit(1)
    equal(os.waitpid(pid, 0)[1], signal.SIGKILL, f"how the eater in {member.path} ended")
    return pid


def config(folder):
    return (f"targets: all\ninterval: 200ms\nguards:\n"
            f"  - {{name: mine, match: {{cgroup: '{folder}/guarded*'}}, at: [50%, 90%], do: [reclaim, kill]}}\n")


@test("guard and kernel: both are listed once, the story has the memory before, /metrics counts",
      [needs_cgroups])
def together():
    box, other = group("guarded", LIMIT), group("wild", LIMIT)
    with Agent(config(top().path)) as agent:
        def incidents(*more, **how):
            return plimsoll("incidents", "--audit", agent.audit, "--socket", agent.socket, *more, **how)

        def of(name, kind):
            return [i for i in json.loads(incidents("--json", "--target", name).out)["incidents"]
                    if i["kind"] == kind]

        wait_for(lambda: agent.records(kind="guard", target=box.path), 10, "the guard")
        agent.target(other.path)
        time.sleep(1.5)  # there is a before
        eater(other)
        pid = eater(box, 60)  # above the guard's mark, and nothing for the kernel
        wait_for(lambda: of(other.path, "oom"), 10, "the kernel's kill")
        wait_for(lambda: of(box.path, "kill") and of(box.path, "kill")[0]["outcome"], 10, "the guard's")
        kill = of(box.path, "kill")
        equal((len(kill), kill[0]["outcome"], kill[0]["pid"]), (1, "done", pid), "the guard's kill")
        check(kill[0]["freed"] > 40 * MIB, f"bytes freed: {kill[0]}")
        oom = of(other.path, "oom")
        equal((len(oom), oom[0]["kills"]), (1, 1), "the kernel's kill")
        answer = json.loads(incidents("--json").out)
        ids = [i["id"] for i in answer["incidents"]]
        equal(len(ids), len(set(ids)), "ids, each once")
        check(answer["agent"] and answer["file"] == agent.audit, f"sources: {answer}")
        equal([i["at_ms"] for i in answer["incidents"]],
              sorted(i["at_ms"] for i in answer["incidents"]), "the order")

        def whole():
            return json.loads(incidents(kill[0]["id"], "--json").out)

        wait_for(lambda: whole()["to_ms"] and whole()["used"], 10, "its end and the memory before")
        told = whole()
        kinds = [r["kind"] for r in told["records"]]
        check(kinds[0] == "mark" and "end" in kinds, f"records: {kinds}")
        note(f"story of {len(kinds)} records, {len(told['used'])} points")
        equal([r["kind"] for r in json.loads(incidents(oom[0]["id"], "--json").out)["records"]], ["oom"],
              "the story of the kernel's kill")
        found = [value for labels, value in agent.metrics().get("plimsoll_guard_actions_total", [])
                 if labels["id"].endswith(box.path) and labels["action"] == "kill"
                 and labels["outcome"] == "done"]
        equal(found, [1.0], "kills in /metrics")
        words = {e["kind"] for e in agent.json(f"/api/v1/events?target={box.path}")["events"]}
        check("guard" in words and not words & {"begin", "mark", "guarded"}, f"events: {words}")


if __name__ == "__main__":
    harness.main()
