"""The past that the agent tells is what the kernel's files said then."""
import calendar
import os
import time

import agents
from harness import (MIB, PATIENCE, Load, check, equal, group, main, near, needs_cgroups, once,
                     plimsoll, test, wait_for)

STEADY = 4  # seconds a load stands still, so that samples of it are on record


def ask(agent, *args, code=0):
    return plimsoll(*args, "--socket", agent.socket, code=code)


def stand_still(box):
    """The usage that the kernel tells of a group, and a moment at which it was that."""
    time.sleep(STEADY / 2)
    usage, at_ms = box.usage(), int(time.time() * 1000)
    time.sleep(STEADY / 2)
    near(box.usage(), usage, MIB, "a load that stands still")
    return usage, at_ms


def climb(agent):
    """[(usage, moment)] of a group whose usage climbs in steps."""
    box = group("climb")
    agent.target(box.path)
    steps, loads = [], []
    for size in (20, 40, 80):
        loads.append(Load("anon", size, groups=[box]))
        steps.append(stand_still(box))
    return box, steps


@test("stats --at tells of each step of a climb what the kernel told then", [needs_cgroups])
def _():
    with agents.Agent("targets: all\n") as agent:
        box, steps = climb(agent)
        for usage, at_ms in steps:
            row, = ask(agent, "stats", box.path, "--json", "--at", str(at_ms)).objects
            near(row["usage"], usage, MIB, f"usage at {at_ms}")
            near(row["anon"], row["used"], 2 * MIB, "used of a load of anonymous memory")
            equal(row["limit"], box.limit(), "its limit")
            check(-15000 < at_ms - to_ms(row["ts"]) + 0 < 15000, f"{row['ts']} for {at_ms}")
        # the moment may be written in every way
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(steps[0][1] / 1000 + 1))
        row, = ask(agent, "stats", box.path, "--json", f"--at={text}").objects
        near(row["usage"], steps[0][0], MIB, f"usage at {text}")
        ago = f"-{time.time() - steps[1][1] / 1000:.1f}s"
        row, = ask(agent, "stats", box.path, "--json", "--at", ago).objects
        near(row["usage"], steps[1][0], MIB, f"usage {ago}")


def to_ms(text):
    whole, _, rest = text.partition(".")
    return (int(calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))) * 1000
            + int(rest.rstrip("Z")))


@test("what was prints in every form as what is", [needs_cgroups, once])
def _():
    with agents.Agent("targets: all\n") as agent:
        box = group("forms")
        load = Load("anon", 30, groups=[box])
        agent.target(box.path)
        _, at_ms = stand_still(box)
        now, = plimsoll("stats", box.path, "--no-stream", "--json").objects
        then, = ask(agent, "stats", box.path, "--json", "--at", str(at_ms)).objects
        equal(list(then), list(now), "the keys of a row")
        for key in ("name", "kind", "runtime", "image", "pod", "cgroup", "version", "limit",
                    "limit_from", "limit_certain", "own_limit", "id"):
            equal(then[key], now[key], key)
        check(then["state"] in (now["state"], "steady"), f"{then['state']}, not {now['state']}")
        for key in ("usage", "used", "anon", "headroom"):
            near(then[key], now[key], MIB, key)
        unknown = [key for key in now if now[key] is not None and then[key] is None]
        equal(set(unknown) - {"init_pid", "start_ms", "cpu_pct"}, set(), "known now, not then")
        live = plimsoll("stats", box.path, "--no-stream").out.splitlines()
        past = ask(agent, "stats", box.path, "--at", str(at_ms)).out.splitlines()
        equal(past[0].split(), live[0].split(), "the heads of the table")
        check(box.path in past[1], f"no row: {past[1]}")
        for form in (["--plain"], ["--format", "docker"], ["--format", "json"],
                     ["--format", "{{.Name}} {{.Used}} {{.LimitFrom}}"]):
            live = plimsoll("stats", box.path, "--no-stream", *form).out.splitlines()
            past = ask(agent, "stats", box.path, "--at", str(at_ms), *form).out.splitlines()
            equal(len(past), len(live), f"lines of {form}")
            equal(len(past[-1].split()), len(live[-1].split()), f"words of {form}: {past[-1]}")
        load.end()


@test("sparks are the same numbers as the kernel's, for every target at once", [needs_cgroups])
def _():
    with agents.Agent("targets: all\n") as agent:
        box, steps = climb(agent)
        series = agent.target(box.path)["series"]
        from_ms = steps[0][1] - 4000
        answer = agent.json(f"/api/v1/sparks?metric=usage&from={from_ms}&points=2000")
        equal(answer["metric"], "plimsoll_memory_usage_bytes", "metric")
        equal(answer["step_ms"], 1000, "step")
        equal(answer["from_ms"], from_ms - from_ms % 1000, "from")
        values = answer["series"][str(series)]
        equal(len(values), (answer["to_ms"] - answer["from_ms"]) // 1000 + 1, "steps")
        for usage, at_ms in steps:
            near(values[(at_ms - answer["from_ms"]) // 1000], usage, MIB, f"usage at {at_ms}")
        rows = {str(row["series"]) for row in agent.targets()}
        check(rows <= set(answer["series"]), f"without {rows - set(answer['series'])}")
        some = agent.json("/api/v1/sparks?metric=used&target=host&target=cgroup:" + box.path)
        equal(set(some["series"]), {str(series), str(agent.target("host")["series"])}, "two")
        equal(agent.get("/api/v1/sparks?target=cgroup:/nothing").status, 404, "nothing")


def container(parent, digit, limit):
    """A group that looks like one of docker's."""
    box = parent.child("docker-" + digit * 64 + ".scope")
    box.limit(limit)
    return box


def kinds(agent, query=""):
    return [event["kind"] for event in agent.json("/api/v1/events" + query)["events"]]


def wait_events(agent, query, wanted):
    wait_for(lambda: kinds(agent, query) == wanted, 20, f"{wanted}, not {kinds(agent, query)}")


@test("what begins, ends, begins again and gets another limit is told once, whoever restarts",
      [needs_cgroups])
def _():
    with agents.Agent() as agent:
        top = group("engine")
        first = container(top, "1", 50 * MIB)
        load = Load("anon", 10, groups=[first])
        key = agent.target(first.path)["key"]
        query = f"?target={key}"
        wait_events(agent, query, ["start"])
        event = agent.json("/api/v1/events" + query)["events"][0]
        equal((event["key"], event["target"]), (key, first.path), "whose it is")
        near(event["at_ms"], time.time() * 1000, 30000 * PATIENCE, "when it began")
        time.sleep(11)  # the engine might set its first limit until now
        first.limit(60 * MIB)
        wait_for(lambda: kinds(agent, query)[0] == "limit", 60, "a limit that moved")
        event = agent.json("/api/v1/events" + query)["events"][0]
        equal((event["from"], event["to"]), (50 * MIB, 60 * MIB), "the limits")

        agent_again(agent, "front")
        agent_again(agent, "collector")
        agent.target(first.path)
        time.sleep(2.5 * PATIENCE)
        equal(kinds(agent, query), ["limit", "start"], "after both restarted")

        load.end()
        first.remove()
        wait_events(agent, query, ["end", "limit", "start"])
        first = container(top, "1", 50 * MIB)
        load = Load("anon", 10, groups=[first])
        wait_events(agent, query, ["restart", "end", "limit", "start"])
        event = agent.json("/api/v1/events" + query)["events"][0]
        equal(event["restarts"], 1, "how often")
        equal(kinds(agent, query + "&kind=end&kind=restart"), ["restart", "end"], "some kinds")
        equal(kinds(agent, query + "&limit=1"), ["restart"], "the newest")

        # What ends while nobody looks is told when somebody does again.
        agent.stop()
        load.end()
        first.remove()
        agent.start()
        wait_events(agent, query, ["end", "restart", "end", "limit", "start"])
        equal([event for event in agent.json("/api/v1/events")["events"]
               if event["target"] == top.path], [], "a plain group")


def agent_again(agent, which):
    pid = agent.children()[which]
    os.kill(pid, 9)
    wait_for(lambda: agent.children().get(which) not in (None, pid), 20, f"another {which}")
    agent.wait_ready()


@test("the agent tells what its numbers are and what it costs", [once])
def _():
    with agents.Agent() as agent:
        about = agent.json("/api/v1/about")
        row = agent.target("host")
        check(set(about["metrics"]) <= set(row), f"{set(about['metrics']) - set(row)} not in a row")
        equal(about["host"], os.uname().nodename, "host")
        check(about["history"] and about["commands"], "what may be asked through the socket")
        names = {metric["name"] for metric in about["metrics"].values()}
        unknown = {name for name in agent.metrics() if name.startswith("plimsoll_memory_")} - names
        equal(unknown, set(), "exported, but not explained")
        check(row["state"] in about["states"] + [None], row["state"])
        front = agent.json("/healthz")["front"]
        check(front["requests"] > 0, front)
        wait_for(lambda: agent.json("/healthz")["front"]["rss"] > MIB, 10, "its memory")


@test("ps --at lists the processes that were there then", [needs_cgroups])
def _():
    with agents.Agent("targets: all\nprocesses: 50\n") as agent:
        box = group("procs")
        first = Load("sleepers", 8, groups=[box])
        agent.target(box.path)
        seen = wait_for_processes(agent, box, set(first.children))
        at_ms = seen["at_ms"]
        told = {row["pid"]: row for row in seen["processes"]}
        for pid in first.children:
            equal(told[pid]["fds"], len(os.listdir(f"/proc/{pid}/fd")), f"descriptors of {pid}")
        first.end()
        second = Load("sleepers", 5, groups=[box])
        wait_for_processes(agent, box, set(second.children))
        then = ask(agent, "ps", box.path, "--json", "--at", str(at_ms)).objects
        listed = {row["pid"]: row for row in then[:-1]}
        check(set(first.children) <= set(listed), f"{first.children} are not all in {list(listed)}")
        check(not set(second.children) & set(listed), "processes of later")
        for pid, row in listed.items():
            for key in ("res", "pss", "comm", "command", "threads", "fds", "state"):
                equal(row[key], told[pid][key], f"{key} of {pid}")
            equal(row["user"], "root", f"user of {pid}")
        equal(then[-1]["total"]["processes"], len(listed), "how many are summed up")
        text = ask(agent, "ps", box.path, "--at", str(at_ms)).out
        check(text.split()[:4] == ["PID", "USER", "VIRT", "RES"], text[:80])
        equal(plimsoll("ps", "--at", "-5s", "--socket", agent.socket, code=2).out, "", "no TARGET")


def wait_for_processes(agent, box, pids):
    end = time.monotonic() + 60 * PATIENCE
    while time.monotonic() < end:
        answer = agent.json(f"/api/v1/processes?target={box.path}")
        if pids <= {row["pid"] for row in answer["processes"]}:
            return answer
        time.sleep(0.2)
    raise AssertionError(f"no record of the processes {pids}")


@test("query gives the same steps, now and over a time", [needs_cgroups, once])
def _():
    with agents.Agent("targets: all\n") as agent:
        began_ms = int(time.time() * 1000)
        box, steps = climb(agent)
        expression = f'usage{{id="{box.path}"}}'
        series, = ask(agent, "query", expression, "--json").objects
        equal(series["metric"]["__name__"], "plimsoll_memory_usage_bytes", "the name of the metric")
        equal(series["metric"]["id"], box.path, "its label")
        near(series["value"], box.usage(), MIB, "the value now")
        series, = ask(agent, "query", expression, "--json", "--at", str(steps[0][1])).objects
        near(series["value"], steps[0][0], MIB, "the value then")
        series, = ask(agent, "query", expression, "--json", "--since", str(began_ms), "--step",
                      "1").objects
        points = dict(map(tuple, series["points"]))
        for usage, at_ms in steps:
            nearest = min(points, key=lambda moment, at_ms=at_ms: abs(moment - at_ms))
            check(abs(nearest - at_ms) <= 1500, f"no point within 1.5 s of {at_ms}")
            near(points[nearest], usage, MIB, f"usage at {at_ms}")
        lines = ask(agent, "query", expression, "--since", "1h").out.splitlines()
        equal(lines[0].split(), ["NAME", "METRIC", "LABELS", "LAST", "MIN", "MAX", "POINTS"],
              "the table")
        plain = ask(agent, "query", expression, "--plain").out.splitlines()
        equal(plain[0], "NAME\tMETRIC\tLABELS\tVALUE", "tab-separated")
        near(int(plain[1].split("\t")[-1]), box.usage(), MIB, "bytes in --plain")
        none = ask(agent, "query", 'usage{id="/nowhere"}', code=1)
        check("matches" in none.err, none.err)
        bad = ask(agent, "query", 'usage{id=', code=1)
        check(bad.err.startswith("plimsoll: "), bad.err)


@test("without an agent, and before there was one, it is said what to do", [once])
def _():
    for command in (["stats"], ["ps", "1"], ["query", "used"]):
        words = command + ([] if command[0] == "query" else ["--at", "-5s"])
        done = plimsoll(*words, "--socket", "/nonexistent/plimsoll.sock", code=1)
        check("plimsoll agent" in done.err and "/nonexistent/plimsoll.sock" in done.err,
              done.err)
        plimsoll(*words[:-1], "soon", "--socket", "/x", code=2) if command[0] != "query" else None


@test("before its history began the agent says when that was", [needs_cgroups, once])
def _():
    with agents.Agent("targets: all\n") as agent:
        done = ask(agent, "stats", "--all", "--at", "-1h", code=1)
        check("the history begins at 2" in done.err, done.err)


@test("agent --check tells every error with its place, and nothing else happens", [once])
def _():
    agent = agents.Agent("")
    with open(agent.config, "a") as file:
        file.write("intervall: 1s\nprocesses: many\nrules: [a]\n")
    done = plimsoll("agent", "--check", "--config", agent.config, code=2)
    said = (done.out + done.err).splitlines()
    check(any(line.startswith(f"{agent.config}:4:1: unknown key \"intervall\", did you mean "
                              "\"interval\"?") for line in said), said)
    check(any(line.startswith(f"{agent.config}:5:12: processes is a number") for line in said),
          said)
    check(not os.path.exists(agent.state), "a check made the directory of the history")
    with open(agent.config, "w") as file:
        file.write(f"state: {agent.state}\nlisten: off\n")
    done = plimsoll("agent", "--check", "--config", agent.config)
    equal(done.out, f"{agent.config}: good\n", "what a good file gives")
    os.chmod(agent.config, 0o666)
    done = plimsoll("agent", "--check", "--config", agent.config, code=2)
    check("others than its owner may write it" in done.out + done.err, done.err)
    agent.delete()


if __name__ == "__main__":
    main()
