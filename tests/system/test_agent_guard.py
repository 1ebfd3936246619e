#!/usr/bin/python3
"""The agent's guards: real groups, from the configuration to the action and its record."""
import atexit
import json
import mmap
import os
import resource
import signal
import tempfile
import time

import harness
from agents import Agent
from harness import (MIB, PATIENCE, SMALL, Load, check, equal, group, needs_cgroups, note, test,
                     top, wait_for)

LIMIT = 64 * MIB
TRIES = int(os.environ.get("PLIMSOLL_TRIES", "10")) // 10 or 1
GROUPS = 20 if SMALL else 100


def guard(match, rest):
    """A guard for these groups: `match` is below our own folder."""
    return f"  - {{match: {{cgroup: '{top().path}/{match}'}}, {rest}}}\n"


def config(*guards):
    return "targets: all\ninterval: 200ms\nguards:\n" + "".join(guards)


def guarded(agent, path, seconds=10):
    """Waits until its guard has begun."""
    wait_for(lambda: agent.records(kind="guard", target=path), seconds, f"a guard of {path}")


def ended(agent, path, action, seconds=10, **more):
    wait_for(lambda: agent.records(kind="end", target=path, action=action, **more), seconds,
             f"{action} of {path}")
    return agent.records(kind="end", target=path, action=action, **more)[-1]


class Hog:
    """A process in a group that takes `first` MiB, then one each `pause` seconds up to `most`, and
    keeps them. It ends by itself after a minute."""

    def __init__(self, member, first, most=0, pause=0.01):
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.run(member, first, most, pause, tell)
            finally:
                os._exit(1)
        os.close(tell)
        self.alive = True
        hogs.append(self)
        check(os.read(ready, 1) == b"x", "the hog did not begin")
        os.close(ready)

    @staticmethod
    def run(member, first, most, pause, tell):
        signal.alarm(180 * PATIENCE)
        os.closerange(3, tell)
        os.closerange(tell + 1, 1024)
        for directory in member.dirs.values():
            harness.write(directory + "/cgroup.procs", "0")
        kept = mmap.mmap(-1, max(first, most) * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for step in range(max(first, most)):
            if step == first:
                os.write(tell, b"x")
            if step >= first:
                time.sleep(pause)
            for page in range(0, MIB, 4096):
                kept[step * MIB + page] = 1
        if first >= most:
            os.write(tell, b"x")
        while True:
            time.sleep(60)

    def is_running(self):
        if self.alive and os.waitpid(self.pid, os.WNOHANG)[0]:
            self.alive = False
        return self.alive

    def end(self):
        if self.is_running():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.alive = False


hogs = []


@atexit.register
def end_hogs():
    while hogs:
        hogs.pop().end()


@test("a group that a guard matches is acted upon, and one beside it is not", [needs_cgroups])
def acts():
    yes, no = group("kill", LIMIT), group("other", LIMIT)
    with Agent(config(guard("kill*", "at: 90%, do: kill"))) as agent:
        guarded(agent, yes.path)
        spared = Hog(no, 61)
        hog = Hog(yes, 54, 60)
        wait_for(lambda: not hog.is_running(), 10, "the end of the hog")
        end = ended(agent, yes.path, "kill")
        equal(end["outcome"], "done", "outcome")
        equal(end["pid"], hog.pid, "pid")
        check(end["before"] > 57 * MIB > end["after"], f"bytes: {end}")
        begins = agent.records(kind="begin", target=yes.path)
        equal([b["id"] for b in begins], [end["id"]], "its beginning")
        check(spared.is_running(), "the other group's hog is gone")
        equal(agent.records(target=no.path), [], "records of the other group")
    end_hogs()


@test("the hook is run, page cache is reclaimed, and each effect is told", [needs_cgroups])
def hook_and_reclaim():
    box = group("cache", LIMIT)
    with tempfile.TemporaryDirectory(prefix="plimsoll-hook-", dir="/run") as folder:
        said = folder + "/said"
        program = folder + "/tell"
        with open(program, "w") as file:
            file.write(f"#!/bin/sh\n{{ echo \"$1\"; env | grep ^PLIMSOLL_; cat; }} > {said}.new\n"
                       f"mv {said}.new {said}\n")
        os.chmod(program, 0o755)
        with Agent(config(guard("cache*", f"at: [60%, 70%], do: [notify, reclaim], "
                                          f"hook: [{program}, 'a b']"))) as agent:
            guarded(agent, box.path)
            load = Load("written", 12, groups=[box])
            hog = Hog(box, 30, 46)
            end = ended(agent, box.path, "notify")
            equal(end["outcome"], "done", f"outcome of {end}")
            wait_for(lambda: os.path.exists(said), 5, "the hook")
            words = harness.read(said).split("\n")
            equal(words[0], "a b", "its argument")
            check(any(w.startswith("PLIMSOLL_") for w in words), f"its environment: {words}")
            told = json.loads(next(w for w in words if w.startswith("{")))
            equal(told["target"], box.path, "what it was told")
            ended(agent, box.path, "reclaim")
            check(hog.is_running(), "the hog is gone")
            load.end()
        end_hogs()


@test("what a guard did is told by the agent's API, and asked for through it", [needs_cgroups])
def told_and_asked():
    box, other = group("asked", LIMIT), group("lone", LIMIT)
    with Agent(config(guard("asked*", "at: [80%, 95%], do: [notify, reclaim]"))) as agent:
        guarded(agent, box.path)
        agent.target(other.path)
        hog = Hog(box, 48, 53)
        end = ended(agent, box.path, "notify")
        wait_for(lambda: any(i.get("id") == end["id"] and i.get("record") == "end"
                             for i in agent.json("/api/v1/incidents")["incidents"]),
                 10, f"the notice in /api/v1/incidents: {end}")
        wait_for(lambda: agent.target(box.path).get("guarded"), 10, "the row's guard")
        check(not agent.target(other.path).get("guarded"), "a group without a guard has one")
        answer = agent.post("/api/v1/act", {"target": box.path, "action": "reclaim"})
        equal(answer.status, 202, f"answer to a request {answer.body}")
        asked = ended(agent, box.path, "reclaim")
        equal((asked["id"], asked["by"]), (answer.json()["id"], "api"), "record of the request")
        equal(agent.post("/api/v1/act", {"target": box.path, "action": "kill"}).status, 403,
              "answer to what the guard does not have")
        equal(agent.post("/api/v1/act", {"target": other.path, "action": "reclaim"}).status, 403,
              "answer where there is no guard")
        check(hog.is_running(), "the hog is gone")
        guards = "plimsoll_self_targets_guarded"
        wait_for(lambda: agent.metrics().get(guards, [({}, 0)])[0][1] == 1, 10, "the metric")
        equal(agent.metrics()["plimsoll_self_guards"][0][1], 1, "guards in /metrics")
    end_hogs()


@test("what a guard does is in the log, what is quiet is not", [needs_cgroups])
def logged():
    box, quiet = group("told", LIMIT), group("toldnot", LIMIT)
    with Agent(config(guard("told*", "at: [60%, 80%], do: [notify, kill]"))) as agent:
        guarded(agent, box.path)
        guarded(agent, quiet.path)
        hog = Hog(box, 41, 56)
        wait_for(lambda: not hog.is_running(), 10, "the end of the hog")
        ended(agent, box.path, "kill")
        wait_for(lambda: "kill" in agent.said(), 5, "the kill in the log")
        lines = [line for line in agent.said().splitlines() if line.startswith("plimsoll: guard: '")]
        for line in lines:
            note(line)
        check(all(f"'{os.path.basename(box.path)}': " in line for line in lines), "the log has what is quiet")
        check(any(": mark 1: notify: done" in line for line in lines), "notify is not in the log")
        check(any(f": mark 2: kill {hog.pid}: done in " in line and " -> " in line for line in lines),
              "the kill is not in the log")
    end_hogs()


@test("what was killed is counted under its own name, also when its group is gone", [needs_cgroups])
def counted_when_gone():
    box = group("gone", LIMIT)
    with Agent(config(guard("gone*", "at: 80%, do: kill"))) as agent:
        guarded(agent, box.path)
        hog = Hog(box, 41, 58)
        wait_for(lambda: not hog.is_running(), 10, "the end of the hog")
        os.rmdir(box.dir)  # before what came of it is told, mostly
        ended(agent, box.path, "kill")

        def kills():
            return [(labels["id"].endswith(box.path), value)
                    for labels, value in agent.metrics().get("plimsoll_guard_actions_total", [])
                    if labels["action"] == "kill"]

        wait_for(lambda: agent.records(kind="over", target=box.path), 10, "the end of its guard")
        wait_for(kills, 10, "the kill in /metrics")
        time.sleep(1)
        equal(kills(), [(True, 1.0)], "kills in /metrics")
        for name, lines in agent.metrics().items():
            if name.startswith("plimsoll_guard_"):
                check(all(labels["id"] != "/" for labels, _ in lines), f"{name} of the machine")
    end_hogs()


@test("a dry run records what it would have done, and does nothing", [needs_cgroups])
def dry_run():
    box = group("dry", LIMIT)
    with Agent(config(guard("dry*", "at: 80%, do: [throttle, pause, kill], dry_run: true"))) as agent:
        guarded(agent, box.path)
        hog = Hog(box, 48, 54)
        for action in ("throttle", "pause", "kill"):
            end = ended(agent, box.path, action)
            check(end["dry_run"] and end["outcome"] == "dry-run", f"record {end}")
        check(hog.is_running(), "the hog is gone")
    end_hogs()


@test("guarding goes on when collector, front and guard are killed", [needs_cgroups])
def killed():
    with Agent(config(guard("life*", "at: 90%, do: kill"))) as agent:
        for round in range(TRIES):
            for who in ("collector", "front", "guard"):
                box = group("life", LIMIT)
                guarded(agent, box.path)
                hog = Hog(box, 54, 56)
                os.kill(agent.children()[who], signal.SIGKILL)
                if who == "guard":  # it begins again; nobody guards while there is none
                    wait_for(lambda: len(agent.records(kind="guard", target=box.path)) == 2, 10,
                             f"the guard of {box.path} after its end")
                again = Hog(box, 0, 5)
                wait_for(lambda: not hog.is_running() or not again.is_running(), 10,
                         f"the end of a hog after that of the {who}")
                check(ended(agent, box.path, "kill")["outcome"] == "done", "outcome")
                if who != "guard":
                    begun = agent.records(kind="guard", target=box.path)
                    equal(len(begun), 1, f"times its guard began after the end of the {who}")
                end_hogs()
                box.remove()
                wait_for(lambda: agent.records(kind="over", target=box.path), 10, "its end")
        wait_for(lambda: set(agent.children()) == {"collector", "front", "guard"}, 10, "all of them")


@test("a group that was made again is guarded again", [needs_cgroups])
def made_again():
    box = group("again", LIMIT)
    with Agent(config(guard("again*", "at: 90%, do: kill"))) as agent:
        guarded(agent, box.path)
        for round in range(2, 4):
            begun = time.time()
            os.rmdir(box.dir)
            os.mkdir(box.dir)
            box.limit(LIMIT)
            wait_for(lambda: len(agent.records(kind="guard", target=box.path)) == round, 10,
                     f"guard number {round}")
            note(f"{time.time() - begun:.2f} s until it is guarded again")
        equal(len(agent.records(kind="over", target=box.path)), 2, "ends of guards")
        hog = Hog(box, 54, 60)
        wait_for(lambda: not hog.is_running(), 10, "the end of the hog")
    end_hogs()


@test("SIGHUP takes over another configuration, keeps what is the same, refuses a wrong one",
      [needs_cgroups])
def reload():
    same, other, new = (group(name, LIMIT) for name in ("same", "other", "new"))
    kept = guard("same*", "name: kept, at: 90%, do: kill")
    with Agent(config(kept, guard("other*", "at: 90%, do: kill"))) as agent:
        guarded(agent, same.path)
        guarded(agent, other.path)
        pid = agent.children()["guard"]
        agent.configure(config(guard("new*", "at: 90%, do: notify"), kept))
        agent.process.send_signal(signal.SIGHUP)
        guarded(agent, new.path)
        wait_for(lambda: agent.records(kind="over", target=other.path), 10, "the end of a guard")
        equal(len(agent.records(kind="guard", target=same.path)), 1, "guards of what is the same")
        equal(agent.records(kind="over", target=same.path), [], "ends of what is the same")
        agent.configure(config("  - {mach: 1}\n"))
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "not taken over" in agent.said(), 10, "the refusal")
        equal(agent.children()["guard"], pid, "the guard's process")
        equal(agent.records(kind="over", target=same.path), [], "ends after a refusal")
        agent.configure("targets: all\n")
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "guard" not in agent.children(), 10, "the end of the guard's process")
        wait_for(lambda: agent.records(kind="over", target=same.path), 10, "the end of all guards")
        agent.configure(config(kept))
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(agent.records(kind="guard", target=same.path)) == 2, 10,
                 "a guard once more")


@test("a hundred groups are guarded at once, each by its own mark", [needs_cgroups])
def many():
    box = group("many", None)
    box.make("g", GROUPS)
    with Agent(config(guard("many*/g*", "at: 8M, do: kill"))) as agent:
        wait_for(lambda: len(agent.records(kind="guard")) == GROUPS, 30, f"{GROUPS} guards")
        hogs_here = [Hog(box.child(f"g{i}"), 4, 12, 0.002) for i in range(0, GROUPS, GROUPS // 5)]
        wait_for(lambda: not any(hog.is_running() for hog in hogs_here), 20, "their end")
        for i in range(0, GROUPS, GROUPS // 5):
            equal(ended(agent, f"{box.path}/g{i}", "kill")["outcome"], "done", f"kill in g{i}")
        rss = int(harness.read(f"/proc/{agent.children()['guard']}/statm").split()[1]) * 4096
        note(f"the guard of {GROUPS} groups has {rss >> 10} KiB")
    end_hogs()


@test("what cannot be guarded for want of descriptors is told", [needs_cgroups])
def too_few_descriptors():
    box = group("few", None)
    box.make("g", 40)
    with Agent("targets: all\n") as agent:
        check("guard" not in agent.children(), "a guard's process without guards")
        resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (420, 420))
        agent.configure(config(guard("few*/g*", "at: 8M, do: kill")))
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(agent.records(kind="guard")) + len(agent.records(kind="over")) == 40,
                 20, "40 groups guarded or told")
        begun, failed = agent.records(kind="guard"), agent.records(kind="over")
        check(begun and failed, f"{len(begun)} guarded, {len(failed)} told")
        check(all("cannot be guarded" in record["text"] for record in failed), f"words: {failed[:1]}")
        check("cannot be guarded" in agent.said(), "the log says nothing")


@test("--check tells what is wrong with a guard and its hook, and where", [needs_cgroups])
def checked():
    with tempfile.TemporaryDirectory(prefix="plimsoll-hook-", dir="/run") as folder:
        path = folder + "/plimsoll.yaml"

        def says(line, code):
            with open(path, "w") as file:
                file.write("guards:\n" + line)
            done = harness.plimsoll("agent", "--check", "--config", path, code=code)
            equal(done.out, "" if code else f"{path}: good\n", "the verdict")
            return done.err

        err = says("  - {match: {name: a}, at: 90%, do: kil}\n", 2)
        check(f'{path}:2:37: unknown action "kil", did you mean "kill"?' in err, err)
        err = says(f"  - {{match: {{name: a}}, at: 90%, do: notify, hook: [{folder}/none]}}\n", 2)
        check(f"{path}:2:51: " in err and "none" in err, err)
        program = folder + "/tell"
        with open(program, "w") as file:
            file.write("#!/bin/sh\n")
        os.chmod(program, 0o757)
        line = f"  - {{match: {{name: a}}, at: 90%, do: notify, hook: [{program}]}}\n"
        check("tell" in says(line, 2), "a program that others may write is taken")
        os.chmod(program, 0o755)
        equal(says(line, 0), "", "what is said of a good one")


@test("a hook that cannot be run keeps the agent from starting, and from taking a file over",
      [needs_cgroups])
def hook_is_wrong():
    box = group("hook", LIMIT)
    bad = config(guard("hook*", "at: 90%, do: notify, hook: [/nonexistent/tell]"))
    agent = Agent(bad)
    try:
        agent.start(wait=False)
        equal(agent.process.wait(10 * PATIENCE), 2, "exit code")
        check("plimsoll.yaml:7:" in agent.said() and "/nonexistent" in agent.said(), agent.said())
        check(not os.path.exists(agent.state), "it has begun")
    finally:
        agent.delete()
    with Agent(config(guard("hook*", "at: 90%, do: gc"))) as agent:
        guarded(agent, box.path)
        agent.configure(bad)
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "not taken over" in agent.said(), 10, "the refusal")
        check("plimsoll.yaml:7:" in agent.said() and "/nonexistent" in agent.said(), agent.said())
        equal(agent.records(kind="over"), [], "ends after a refusal")


if __name__ == "__main__":
    harness.main()
