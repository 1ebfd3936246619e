#!/usr/bin/python3
"""The agent's processes: started, killed at any moment, told to read their configuration again; and
what is left of history then."""
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time

import harness
import runs
from agents import Agent
from harness import MIB, PATIENCE, SMALL, check, equal, near, needs_cgroups, note, once, test

ROUNDS = 6 if SMALL else 15
BIT_ROUNDS = int(os.environ.get("PLIMSOLL_BIT_ROUNDS", "2" if SMALL else "3"))
WAIT = 10 * PATIENCE


def until(claim, what, seconds=WAIT):
    end = time.monotonic() + seconds
    while True:
        result = claim()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def points(agent, target, metric="usage", query=""):
    answer = agent.json(f"/api/v1/series?target={target}&metric={metric}{query}")
    return [(point[0], point[1]) for point in answer["points"]]


def host_gaps(agent, since_ms):
    """The longest time between two samples of the machine, in ms, and how many there are, as soon as
    the last of them came after now."""
    asked_ms = now_ms()

    def times_until_now():
        times = [at for at, _ in points(agent, "host", query=f"&from={since_ms}")]
        return times if len(times) > 1 and times[-1] > asked_ms else None
    times = until(times_until_now, f"history of the machine from {since_ms} until {asked_ms}")
    return max(b - a for a, b in zip(times, times[1:])), len(times)


def now_ms():
    return int(time.time() * 1000)


def answers(agent):
    try:
        return agent.get("/healthz", timeout=2).status == 200
    except OSError:
        return False


@test("targets have the kernel's figures, and history has what was shown", needs=[needs_cgroups])
def figures():
    group = harness.group(limit=100 * MIB)
    harness.Load("anon", 20, groups=[group])
    with Agent("targets: all\n") as agent:
        row = until(lambda: agent.target(group.path) if agent.target(group.path)["anon"] else None,
                    "a look at the group")
        near(row["usage"], group.usage(), 2 * MIB, "usage")
        near(row["anon"], 20 * MIB, 2 * MIB, "anon")
        equal(row["limit"], 100 * MIB, "limit")
        equal(row["limit_from"], group.path, "limit_from")
        host = agent.target("host")
        near(host["limit"], harness.meminfo()["MemTotal"], 4096, "the machine's memory")
        until(lambda: len(points(agent, group.path)) >= 3, "three points of history")
        near(points(agent, group.path)[-1][1], group.usage(), 2 * MIB, "the last point")
        equal(agent.stop(), 0, "exit code")
        check("signal" not in agent.said(), agent.said())


@test("a group is there at once when it is made, and gone when it is removed",
      needs=[needs_cgroups])
def births():
    with Agent("targets: all\n") as agent:
        group = harness.group()
        until(lambda: any(r["cgroup"] == group.path for r in agent.targets()), "the new group", 2)
        group.remove()
        until(lambda: all(r["cgroup"] != group.path for r in agent.targets()), "its end", 3)


@test("the front killed at any moment: the collector's rounds go on, and no sample is lost",
      needs=[needs_cgroups])
def front_killed():
    with Agent("targets: all\n") as agent:
        begin = now_ms()
        collector = agent.children()["collector"]
        for _ in range(ROUNDS):
            front = until(lambda: agent.children().get("front"), "a front")
            os.kill(front, signal.SIGKILL)
            until(lambda: agent.children().get("front", front) != front and answers(agent),
                  "another front that answers")
            time.sleep(random.uniform(0, 0.3))
        equal(agent.children()["collector"], collector, "the collector's pid")
        gap, count = host_gaps(agent, begin)
        note(f"{ROUNDS} kills, {count} samples, longest gap {gap} ms")
        check(gap <= 2000 * PATIENCE, f"a gap of {gap} ms between samples")


@test("the collector killed at any moment: another goes on, the front answers meanwhile",
      needs=[needs_cgroups])
def collector_killed():
    with Agent("targets: all\n") as agent:
        begin = now_ms()
        front = agent.children()["front"]
        for _ in range(ROUNDS):
            collector = until(lambda: agent.children().get("collector"), "a collector")
            os.kill(collector, signal.SIGKILL)
            agent.json("/api/v1/targets")
            until(lambda: agent.children().get("collector", collector) != collector,
                  "another collector")
            time.sleep(random.uniform(0, 0.3))
        equal(agent.children()["front"], front, "the front's pid")
        until(lambda: agent.targets(), "targets again")
        gap, count = host_gaps(agent, begin)
        note(f"{ROUNDS} kills, {count} samples, longest gap {gap} ms")
        check(gap <= 3000 * PATIENCE, f"a gap of {gap} ms between samples")


@test("everything killed at any moment: history opens each time and lacks at most two seconds",
      needs=[needs_cgroups])
def all_killed():
    group = harness.group()
    agent = Agent("targets: all\n")
    try:
        for number in range(ROUNDS // 3):
            agent.start()
            time.sleep(random.uniform(0.5, 3.5))
            seen = [at for at, _ in until(lambda: points(agent, "host"), "history")]
            died = now_ms()
            agent.kill()
            agent.start()
            kept = {at for at, _ in points(agent, "host", query=f"&from={seen[0]}&to={now_ms()}")}
            lost = [at for at in seen if at < died - 2000 * PATIENCE and at not in kept]
            check(not lost, f"round {number}: died at {died}, lost {lost}")
            agent.stop()
        check("damaged" not in agent.said(), agent.said())
        agent.start()
        equal(agent.target(group.path)["restarts"], 0, "restarts of a group that was never restarted")
    finally:
        agent.delete()


def front_hangs():
    with Agent("targets: all\n") as agent:
        begin = now_ms()
        time.sleep(2)
        front = agent.children()["front"]
        os.kill(front, signal.SIGSTOP)
        until(lambda: agent.children().get("front", front) != front and answers(agent),
              "another front", 60)
        gap, count = host_gaps(agent, begin)
        note(f"{count} samples, longest gap {gap} ms")
        check(gap <= 2000 * PATIENCE, f"a gap of {gap} ms between samples")


if not SMALL:  # half a minute of waiting; the same on either version
    test("a front that hangs is ended, and another takes over without a loss",
         needs=[needs_cgroups])(front_hangs)


@test("HUP: a good configuration is taken over without losing samples, a bad one is told",
      needs=[needs_cgroups, once])
def reload():
    with Agent("targets: all\ninterval: 1s\n") as agent:
        begin = now_ms()
        time.sleep(2)
        text = harness.read(agent.config)
        with open(agent.config, "w") as file:
            file.write(text + "limt: 3\n")
        agent.process.send_signal(signal.SIGHUP)
        until(lambda: "did you mean" in agent.said() or "unknown key" in agent.said(),
              "what is wrong with it")
        until(lambda: "goes on as before" in agent.said(), "that it goes on")
        check(answers(agent), "the agent does not answer any more")
        with open(agent.config, "w") as file:
            file.write(text.replace("interval: 1s", "interval: 500ms"))
        front = agent.children()["front"]
        agent.process.send_signal(signal.SIGHUP)
        until(lambda: agent.children().get("front", front) != front and answers(agent),
              "a front with the new configuration")
        time.sleep(4)
        times = [at for at, _ in points(agent, "host", query=f"&from={now_ms() - 3000}")]
        check(len(times) >= 4, f"half a second between samples: {times}")
        check(host_gaps(agent, begin)[0] <= 2500 * PATIENCE, "samples were lost")


# Is killed for memory the first two times that it is started, and stays the third.
CLIMBER = """
import sys, time
with open(sys.argv[1], "a+") as file:
    file.write("x")
    file.seek(0)
    count = len(file.read())
time.sleep(2)
kept = bytearray(64 << 20) if count < 3 else None
time.sleep(120)
"""


def events_of(agent, name):
    """What happened to the target, the oldest first."""
    return [e for e in reversed(agent.json("/api/v1/events?limit=1000")["events"])
            if e["name"] == name]


def counted(agent, name):
    """What is kept over restarts of a target, as it is told now."""
    row = agent.target(name)
    told = [e["kind"] for e in events_of(agent, name)]
    return (row["restarts"], row["oom_kills_total"], told.count("start"), told.count("restart"),
            told.count("end"))


def judged(agent, name, query=""):
    row = next(row for row in agent.targets(query) if row["name"] == name)
    return row["state"], row["oom_killed_ms"]


def check_first_life(agent, name):
    """Before its first kill: nothing of what was to come, and whose limit it was at each moment."""
    events = events_of(agent, name)
    start_ms = next(e["at_ms"] for e in events if e["kind"] == "start")
    kill_ms = next(e["at_ms"] for e in events if e["kind"] == "oom")
    seen = 0
    for at_ms in range(start_ms, kill_ms - 300, 200):
        for row in agent.targets(f"?at={at_ms}"):
            if row["name"] != name:
                continue
            seen += 1
            check(row["state"] != "oom-killed", f"{kill_ms - at_ms} ms before its first kill")
            equal(row["oom_killed_ms"], None, "the newest kill")
            check(row["start_ms"] is None or row["start_ms"] <= at_ms, "it began after the moment")
            own = row["own_limit"] is not None
            equal(row["limit_from"], row["cgroup"] if own else "host", f"whose {row['limit']} is")
    check(seen > 0, "it was never seen before its first kill")


@test("a run that starts its program again is restarted: counted, told, and how it moves begins anew",
      needs=[runs.needs_runs])
def run_again():
    box, name = runs.place("again"), runs.new_name("climb")
    with tempfile.TemporaryDirectory(prefix="plimsoll-agent-test-") as folder, \
            Agent("targets: all\n") as agent:
        until(lambda: len(points(agent, "host")) >= 7, "what was there before is known")
        run = runs.Run(box, "-m", "32M", "--restart", "oom", "--backoff", "100ms", "--",
                       "/usr/bin/python3", "-c", CLIMBER, folder + "/count", name=name)
        run.wait_event("start", 3, 30)
        began = now_ms()
        until(lambda: counted(agent, name) == (2, 2, 1, 2, 0),
              f"two restarts: {counted(agent, name)} {events_of(agent, name)}")
        row = until(lambda: (r := agent.target(name))["init_pid"] and r, "its first process")
        equal(row["init_pid"], run.all("start")[2]["pid"], "the first process")
        near(row["start_ms"], began, 3000 * PATIENCE, "its start")
        killed = ("oom-killed", [e for e in events_of(agent, name) if e["kind"] == "oom"][-1]["at_ms"])
        equal(judged(agent, name), killed, "its state")
        check_first_life(agent, name)
        equal(judged(agent, name, f"?at={began + 500}"), killed, "its state as of then")
        restarts = [e for e in events_of(agent, name) if e["kind"] == "restart"]
        equal([e["restarts"] for e in restarts], [1, 2], "the numbers in the events")
        check(restarts[0]["ts"] < restarts[1]["ts"], restarts)
        time.sleep(1.2)
        for who in ("front", "collector", "front", "collector"):
            pid = until(lambda: agent.children().get(who), f"a {who}")
            os.kill(pid, signal.SIGKILL)
            until(lambda: agent.children().get(who, pid) != pid and answers(agent),
                  f"another {who}")
            until(lambda: agent.targets(), "targets again")
            time.sleep(1.2)
            equal(counted(agent, name), (2, 2, 1, 2, 0), f"after the {who} was killed")
            equal(judged(agent, name), killed, f"its state after the {who} was killed")
        time.sleep(6)  # until the last collector is believed to have found all
        equal(counted(agent, name), (2, 2, 1, 2, 0), "a while later")
        until(lambda: agent.target(name)["trend_window_s"], "how it moves", 30 * PATIENCE)
        window = agent.target(name)["trend_window_s"]
        check(window * 1000 <= now_ms() - began + 1000, f"its trend reaches back {window} s")
        run.end()
        until(lambda: any(e["kind"] == "end" for e in events_of(agent, name)), "its end")


@test("what is started again all the time is counted, and told of now and then",
      needs=[runs.needs_runs])
def run_storm():
    box, name, starts = runs.place("storm"), runs.new_name("storm"), 100
    outer = runs.run_dir(box, name)
    with Agent("targets: all\n") as agent:
        until(lambda: len(points(agent, "host")) >= 2, "history")
        os.mkdir(outer)
        os.mkdir(outer + "/w")
        until(lambda: counted(agent, name)[:3] == (0, 0, 1), "its first start")
        for _ in range(starts):
            time.sleep(0.03)
            os.rmdir(outer + "/w")
            os.mkdir(outer + "/w")
        time.sleep(1.5)
        row = agent.target(name)
        os.rmdir(outer + "/w")
        os.rmdir(outer)
        until(lambda: any(e["kind"] == "end" for e in events_of(agent, name)), "its end")
        told = [e["restarts"] for e in events_of(agent, name) if e["kind"] == "restart"]
        note(f"{starts} starts, {row['restarts']} restarts counted, {len(told)} of them told")
        check(starts // 10 <= row["restarts"] <= starts, f"{row['restarts']} of {starts} starts")
        check(len(told) in (min(row["restarts"], 30), 31), f"{len(told)} events")
        equal(told, sorted(set(told)), "each once")


@test("a configuration that is wrong keeps the agent from starting, with its place told", [once])
def wrong():
    agent = Agent("interval: soon\n")
    try:
        agent.start(wait=False)
        equal(agent.process.wait(10 * PATIENCE), 2, "exit code")
        check("plimsoll.yaml:4:" in agent.said(), agent.said())
        done = subprocess.run([harness.options.binary, "agent", "--check", "--config",
                               agent.config], capture_output=True, text=True, check=False)
        equal(done.returncode, 2, "exit code of --check")
        check("plimsoll.yaml:4:" in done.stderr, done.stderr)
    finally:
        agent.delete()


@test("a disk that is full for a while: told, kept in memory, and written when there is room",
      needs=[needs_cgroups, once])
def disk_full():
    folder = tempfile.mkdtemp(prefix="plimsoll-agent-test-")
    state = folder + "/state"
    os.mkdir(state)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "plimsoll-test", state],
                      check=False).returncode:
        raise harness.Skip("cannot mount a tmpfs")
    agent = Agent("targets: all\ninterval: 200ms\n", folder=folder)
    try:
        agent.start()
        until(lambda: len(points(agent, "host")) >= 3, "history")
        begin = now_ms()
        filler = state + "/filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 65536)
            except OSError:
                pass
            try:
                while True:
                    file.write(b"x" * 512)
            except OSError:
                pass
        until(lambda: agent.get("/healthz").json()["status"] == "degraded", "that it is told",
              30 * PATIENCE)
        until(lambda: "history is not written" in agent.said(), "a line about it")
        time.sleep(3)
        check(agent.targets(), "no targets while the disk is full")
        os.unlink(filler)
        until(lambda: agent.get("/healthz").json()["status"] == "ok", "that it is well again",
              30 * PATIENCE)
        time.sleep(2.5)
        agent.kill()
        agent.start()
        gap, count = host_gaps(agent, begin)
        note(f"{count} samples, longest gap {gap} ms")
        check(gap <= 4000 * PATIENCE, f"a gap of {gap} ms: samples were lost")
    finally:
        agent.kill()
        subprocess.run(["umount", state], check=False)
        agent.owns_folder = True
        agent.delete()


@test("a damaged database is set aside and told, and recording goes on",
      needs=[needs_cgroups, once])
def damaged():
    agent = Agent("targets: all\n")
    try:
        agent.start()
        until(lambda: len(points(agent, "host")) >= 3, "history")
        agent.stop()
        path = agent.state + "/plimsoll.db"
        with open(path, "r+b") as file:
            size = file.seek(0, 2)
            file.seek(0)
            file.write(b"\xff" * min(size, 65536))
        agent.start()
        check("damaged" in agent.said(), agent.said())
        check(any("damaged" in name for name in os.listdir(agent.state)), os.listdir(agent.state))
        until(lambda: len(points(agent, "host")) >= 3, "history again")
    finally:
        agent.delete()


def flip_bits(path, dice, count):
    """Single bits between the ends of a file; their places."""
    places = []
    with open(path, "r+b") as file:
        size = file.seek(0, 2)
        for _ in range(count):
            places.append(dice.randrange(size // 10, size * 9 // 10))
            file.seek(places[-1])
            byte = file.read(1)[0]
            file.seek(places[-1])
            file.write(bytes([byte ^ 1 << dice.randrange(8)]))
    return places


@test("single bits of a database flipped: all is there still, or it is told that it is not",
      needs=[needs_cgroups, once])
def flipped():
    groups = ["host"] + [harness.group().path for _ in range(12)]
    agent = Agent("targets: all\ninterval: 100ms\n")
    path, whole = agent.state + "/plimsoll.db", agent.folder + "/whole.db"
    seed = int(os.environ.get("PLIMSOLL_SEED", time.time_ns() % 10000))
    dice = random.Random(seed)
    ends = []

    def history():
        return {name: [p for p in points(agent, name) if p[0] <= ends[0]] for name in groups}

    try:
        agent.start()
        until(lambda: len(points(agent, "host")) >= 80, "history", 3 * WAIT)
        ends.append(points(agent, "host")[-1][0])
        kept = history()
        agent.stop()
        shutil.copyfile(path, whole)
        said = []
        for number in range(BIT_ROUNDS):
            for name in os.listdir(agent.state):
                if name.startswith("plimsoll.db") and name != "plimsoll.db":
                    os.unlink(f"{agent.state}/{name}")
            shutil.copyfile(whole, path)  # over the one that is there: it stays its user's
            where = f"seed {seed}, round {number}, bytes {flip_bits(path, dice, 6)}"
            before = len(agent.said())
            agent.start()
            begin = now_ms()
            found = history()
            lost = [name for name in groups if found[name] != kept[name]]
            time.sleep(2.5)  # what reading found is dealt with by the next commit
            words = agent.said()[before:]
            aside = [name for name in os.listdir(agent.state) if "db.damaged-" in name]
            for name in aside:
                check(name in words or name.endswith("-wal"), f"{where}: {name}: {words}")
            check(not lost or "it is kept as plimsoll.db.damaged-" in words
                  or "a part of it is damaged" in words, f"{where}: {lost} lost: {words!r}")
            health = agent.json("/healthz")
            equal(health["status"], "ok", f"{where}: status")
            equal(bool(health["store"]["notice"]), bool(aside), f"{where}: {health['store']}")
            check(len(points(agent, "host", query=f"&from={begin}")) >= 5, f"{where}: no samples")
            equal(agent.stop(), 0, f"{where}: exit code")
            said.append("set aside" if aside else "a part" if "a part" in words else "whole")
        note(f"{os.path.getsize(whole)} bytes, seed {seed}: " + ", ".join(said))
    finally:
        agent.delete()


if __name__ == "__main__":
    harness.main(at_once=2)  # they mostly wait
