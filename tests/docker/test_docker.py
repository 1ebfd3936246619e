"""Real Docker: what plimsoll prints without asking the engine, against what the engine says itself.

One engine of Debian's docker.io is started for the whole file (engine.py), with containers that are
limited, unlimited, limited by their parent group, at their limit with page cache, and paused.
"""
import concurrent.futures
import functools
import http.client
import json
import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import harness
import host
from engine import IMAGE, Engine, pair, size, table
from harness import (MIB, Skip, Stream, agree, check, equal, main, near, no_control_bytes, note,
                     plimsoll, test)
from host import cgroup_dir, read, run, wait_for

HEAD = ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O",
        "PIDS"]
FIVE = ("limited", "unlimited", "parented", "full", "paused")
STRAY = "a\x1b[31m\nb\u202e\x9b"
HOLD_20M = "(head -c 20971520 /dev/zero; exec sleep 600) | tail"
FILL_CACHE = "dd if=/dev/zero of=/big bs=1M count=48; cat /big /big > /dev/null; exec sleep 600"


def static_binary():
    path = harness.options.static
    return path if os.access(path, os.X_OK) else None


@functools.lru_cache(None)
def started():
    """The engine with its five containers, or the reason why there is none."""
    static = static_binary()
    try:
        engine = Engine([(static, "/plimsoll")] if static else [])
    except host.Missing as reason:
        return str(reason)
    engine.run("limited", "-m", "64m", command=("/bin/sh", "-c", HOLD_20M))
    engine.run("unlimited", command=("/bin/sh", "-c", "sleep 601 & exec sleep 600"))
    make_parent(engine)
    engine.run("parented", "--cgroup-parent", "/" + engine.parent_name,
               command=("/bin/sh", "-c", HOLD_20M))
    engine.run("full", "-m", "24m", command=("/bin/sh", "-c", FILL_CACHE))
    engine.run("paused", "-m", "32m")
    engine.docker("pause", "paused")
    wait_for(lambda: filled(engine) and held(engine, "limited") and held(engine, "parented"), 90)
    return engine


def docker_engine():
    engine = started()
    if isinstance(engine, str):
        raise Skip(engine)
    return engine


def needs_static():
    docker_engine()
    if static_binary() is None:
        raise Skip(f"no static program at {harness.options.static} (make static)")


def make_parent(engine):
    """A group of our own with a limit of 96 MiB, for containers to be put below."""
    for mount in host.hierarchies():
        os.makedirs(f"{mount}/{engine.parent_name}", exist_ok=True)
    folder = f"{host.hierarchy('memory')}/{engine.parent_name}"
    name = "memory.limit_in_bytes" if host.is_v1() else "memory.max"
    harness.write(f"{folder}/{name}", 96 * MIB)


def filled(engine):
    return read(f"/proc/{engine.pid('full')}/comm") == "sleep\n"


def refill(engine):
    """Its cache is at its limit again, whatever the host has taken of it meanwhile."""
    engine.docker("exec", "full", "/bin/sh", "-c", "cat /big > /dev/null")


def held(engine, name):
    return usage(engine, name) > 20 * MIB


def group_file(engine, name, v1, v2):
    return read(f"{cgroup_dir(engine.pid(name))}/{v1 if host.is_v1() else v2}")


def usage(engine, name):
    return int(group_file(engine, name, "memory.usage_in_bytes", "memory.current"))


# --- what plimsoll says ----------------------------------------------------------------------

def rows(*words, **more):
    """`stats --no-stream --json` by name. Two rows of one name are a failure of their own."""
    docker_engine()
    found = plimsoll("stats", "--no-stream", "--json", *words, **more).objects
    by_name = {row["name"]: row for row in found}
    equal(len(by_name), len(found), "rows with the same name: " + repr([r["name"] for r in found]))
    return by_name


def ours(engine, found):
    """The rows of this engine's containers only: others may run on the machine."""
    ids = set(engine.docker("ps", "-q", "--no-trunc").stdout.split())
    return {name: row for name, row in found.items() if row["id"] in ids}


def free(*words):
    """The container's part of `free --json`, after a look at the host's."""
    answer = json.loads(plimsoll("free", *words, "--json").raw)
    equal(answer["host"]["total"], harness.meminfo()["MemTotal"], "total of the host")
    return answer["container"]


# --- beside docker stats -------------------------------------------------------------------------

def both_tables(*names):
    engine = docker_engine()
    out = plimsoll("stats", "--no-stream", "--format", "docker", *names).lines
    head, theirs = engine.stats(*names)
    return out, head, theirs


@test("stats --format docker has docker's columns and a row for each of its containers")
def same_columns():
    out, head, theirs = both_tables(*FIVE)
    equal(re.split(r"\s{2,}", head.strip()), HEAD, "docker's own header")
    equal(re.split(r"\s{2,}", out[0].strip()), HEAD, "header")
    equal(sorted(table(out)), sorted(theirs), "names")
    equal({n: r["CONTAINER ID"] for n, r in table(out).items()},
          {n: r["CONTAINER ID"] for n, r in theirs.items()}, "ids")


@test("stats --format docker: limit and pids are docker's exactly, memory is within 1 MiB")
def same_numbers():
    agree(numbers_agree)


def numbers_agree():
    out, _, theirs = both_tables(*FIVE)
    mine = table(out)
    for name in FIVE:
        (used, limit), (their_used, their_limit) = (pair(t[name]["MEM USAGE / LIMIT"])
                                                    for t in (mine, theirs))
        equal(mine[name]["PIDS"], theirs[name]["PIDS"], f"pids of {name}")
        equal(limit, their_limit, f"limit of {name}")
        near(used, their_used, MIB, f"memory of {name}")
        percent, their_percent = (float(t[name]["MEM %"].rstrip("%")) for t in (mine, theirs))
        near(percent, 100 * used / limit, 0.1, f"MEM % of {name} against its own figures")
        near(percent, their_percent, 100 * MIB / limit + 0.02, f"MEM % of {name}")
        for column in ("NET I/O", "BLOCK I/O"):
            equal(mine[name][column], theirs[name][column], f"{column} of {name}")
    equal(mine["limited"]["NET I/O"], "0B / 0B", "traffic of a container without a network")


@test("stats --format docker prints docker's own text for the same figures")
def same_text():
    out, _, theirs = both_tables("unlimited")
    mine = table(out)["unlimited"]
    # 23.54GiB, 0.00%: the host's memory and an idle CPU are the same bytes in both
    equal(mine["MEM USAGE / LIMIT"].split(" / ")[1],
          theirs["unlimited"]["MEM USAGE / LIMIT"].split(" / ")[1], "limit as text")
    check(re.fullmatch(r"\d+\.\d\d%", mine["CPU %"]), f"CPU % is {mine['CPU %']!r}")


@test("stats --format TEMPLATE knows docker's field names")
def templates():
    engine = docker_engine()
    for template in ("{{.Name}} {{.PIDs}}", "{{.ID}}|{{.Name}}|{{.NetIO}}|{{.BlockIO}}|{{.PIDs}}"):
        mine = plimsoll("stats", "--no-stream", "--format", template, *FIVE).lines
        theirs = engine.docker("stats", "--no-stream", "--format", template, *FIVE).stdout
        equal(sorted(mine), sorted(theirs.splitlines()), template)
    line = plimsoll("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.MemPerc}} "
                    "{{.CPUPerc}}", "limited").out
    check(re.fullmatch(r"limited [\d.]+MiB / 64MiB [\d.]+% [\d.]+%\n", line), f"got {line!r}")


@test("stats names all containers of the engine when nothing is named")
def all_containers():
    engine = docker_engine()
    names = set(engine.docker("ps", "--format", "{{.Names}}").stdout.split())
    equal(set(ours(engine, rows())), names, "names")


@test("JSON of a container: id, image, runtime, cgroup are the engine's, the figures the kernel's")
def json_rows():
    engine = docker_engine()
    found = rows(*FIVE)
    for name in FIVE:
        row, seen = found[name], engine.inspect(name)
        equal(row["id"], seen["Id"], f"id of {name}")
        equal(row["image"], IMAGE, f"image of {name}")
        equal(row["runtime"], "docker", f"runtime of {name}")
        parent = seen["HostConfig"]["CgroupParent"] or engine.parent
        equal(row["cgroup"], f"{parent}/{seen['Id']}", f"cgroup of {name}")
        equal(row["pids"], int(group_pids(engine, name)), f"pids of {name}")
    equal(found["limited"]["limit"], 64 * MIB, "limit of limited")
    equal(found["unlimited"]["limit"], harness.meminfo()["MemTotal"], "limit of unlimited")
    near(found["limited"]["anon"], 20 * MIB, 2 * MIB, "anon of limited")
    for name in FIVE:
        agree(lambda: near(rows(name)[name]["usage"], usage(engine, name), MIB,  # noqa: B023
                           f"usage of {name}"))


def group_pids(engine, name):
    return read(f"{cgroup_dir(engine.pid(name), 'pids')}/pids.current")


@test("a container below a limited --cgroup-parent is measured against the parent's limit")
def parent_limit():
    engine = docker_engine()
    row = rows("parented")["parented"]
    equal((row["limit"], row["limit_from"]), (96 * MIB, "/" + engine.parent_name), "limit")
    near(row["used_pct"], 100 * row["used"] / (96 * MIB), 1, "used_pct against the parent's limit")
    near(row["headroom"], 96 * MIB - row["used"], MIB, "headroom below the parent's limit")
    own = rows("limited", "unlimited")
    equal(own["limited"]["limit_from"], own["limited"]["cgroup"], "limit_from of its own limit")
    equal(own["unlimited"]["limit_from"], "host", "limit_from without any limit")


@test("page cache at the limit is not memory in use")
def cache_is_not_used():
    refill(docker_engine())
    row = rows("full")["full"]
    check(row["usage"] > 20 * MIB, f"usage is {row['usage']}: the container is not at its limit")
    check(row["used"] < 4 * MIB, f"used is {row['used']}, all but 1 MiB is clean page cache")
    check(row["failcnt"] > 50, f"failcnt is {row['failcnt']}")


# --- without the engine ------------------------------------------------------------------------

@test("names and images are right with the engine's sockets hidden, after a rename too")
def hidden_socket():
    engine = docker_engine()
    engine.run("first-name")
    engine.docker("rename", "first-name", "second-name")
    engine.run("labelled", "--label", "team=billing", "--hostname", "shop")
    engine.hide_socket()
    try:
        found = rows()
    finally:
        engine.show_socket()
    for name in (*FIVE, "second-name", "labelled"):
        check(name in found, f"{name} is not among {sorted(found)}")
        equal(found[name]["image"], IMAGE, f"image of {name}")
        equal(found[name]["runtime"], "docker", f"runtime of {name}")
    check("first-name" not in found, "the old name is still shown")
    engine.remove("second-name", "labelled")


@test("labels in the JSON are the engine's own, with its sockets hidden, whatever is in them")
def labels():
    engine = docker_engine()
    odd = {"a": "b", "com.docker.compose.project": "shop", "empty": "", STRAY: STRAY, "k" * 200: "v",
           "line\nbreak\\n": "=\\\n\"</script>"}
    words = [w for key, value in odd.items() for w in ("--label", f"{key}={value}")]
    engine.run("tagged", *words)
    engine.run("crowded", "--label", "com.docker.compose.project=shop",
               *(w for n in range(300) for w in ("--label", f"{n:03}={'x' * 40}")),
               "--label", "large=" + "x" * 4000)
    try:
        theirs = engine.inspect("tagged")["Config"]["Labels"]
        every = engine.inspect("crowded")["Config"]["Labels"]
        engine.hide_socket()
        found = rows()
    finally:
        engine.show_socket()
        engine.remove("tagged", "crowded")
    equal(set(theirs), set(odd), "keys that docker has kept")
    equal(found["tagged"]["labels"], theirs, "labels")
    equal(found["limited"]["labels"], {}, "labels of a container without any")
    some = found["crowded"]["labels"]
    check(some.items() <= every.items(), f"labels that it does not have: {some}")
    check(len(some) == 64 and "large" not in some, f"{len(some)} labels of 302 are shown")
    equal(some["com.docker.compose.project"], "shop", "the project among many labels")


@test("a NUL in a label, which only the API lets in, hides no container's name or other labels")
def nul_in_a_label():
    engine = docker_engine()
    answer = ask_engine(engine, "POST", "/containers/create?name=nulled", {
        "Image": IMAGE, "Cmd": ["/bin/sleep", "600"], "Labels": {"a\0b": "c\0d", "team": "billing"},
        "NetworkDisabled": True})
    check("Id" in answer, f"docker says {answer}")
    try:
        engine.docker("start", "nulled")
        row = rows("nulled")["nulled"]
        equal(row["id"], answer["Id"], "id")
        equal(row["labels"], {"a\ufffdb": "c\ufffdd", "team": "billing"}, "labels")
    finally:
        engine.remove("nulled")


def ask_engine(engine, method, path, body):
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(engine.socket)
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@test("stats streaming: a new container comes named within 3 s, a rename shows, a removed one goes")
def streaming():
    engine = docker_engine()
    stream = Stream("stats", "--json", "--interval", "1")
    stream.read_for(30, lambda data: b'"limited"' in data)
    try:
        for _ in range(4):  # a busy machine may take longer for the container itself
            moment = time.monotonic()
            ident = engine.run("newcomer")

            def seen(name, ident=ident):
                return any(r["id"] == ident and r["name"] == name for r in stream.objects())

            stream.read_for(30, lambda data: data.endswith(b"\n") and seen("newcomer"))  # noqa: B023
            took = time.monotonic() - moment
            check(seen("newcomer"), f"no row for it: {names_in(stream)}")
            note(f"a new container was shown after {took:.1f} s")
            wrong = {r["name"] for r in stream.objects() if r["id"] == ident} - {"newcomer"}
            check(not wrong, f"it was shown under other names: {wrong}")
            engine.docker("rename", "newcomer", "oldtimer")
            stream.read_for(30, lambda data: data.endswith(b"\n") and seen("oldtimer"))  # noqa: B023
            check(seen("oldtimer"), f"the new name is not shown: {names_in(stream)}")
            engine.remove("oldtimer")
            check(gone_from(stream, ident),
                  f"after its removal, shown or nothing is: {stream.errors()[-300:]!r}")
            if took < 6:
                break
        check(took < 6, f"a new container was shown after {took:.1f} s")
    finally:
        code = stream.end()
    equal(stream.errors(), "", "messages")
    check(code in (0, 130, -2), f"exit code {code} after an interrupt")


def names_in(stream):
    return sorted({str(r["name"]) for r in stream.objects()})


def gone_from(stream, ident):
    """Whether, soon, a second passes in which others are shown and IDENT is not."""
    for _ in range(12):
        before = len(stream.objects())
        stream.read_for(1.2)
        fresh = stream.objects()[before:]
        if fresh and ident not in [row["id"] for row in fresh]:
            return True
    return False


@test("stats streaming: eight containers born and gone at once are never shown under a wrong name")
def burst():
    engine = docker_engine()
    names = [f"burst{n}" for n in range(8)]
    stream = Stream("stats", "--json", "--interval", "0.2")
    try:
        stream.read_for(30, lambda data: b'"limited"' in data)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            ids = dict(zip(pool.map(engine.run, names), names))
            stream.read_for(30, lambda data: all(f'"{n}"'.encode() in data for n in names))
            list(pool.map(engine.remove, names))
        stream.read_for(1)
        check(stream.process.poll() is None, "plimsoll has ended")
    finally:
        stream.end()
    shown = {(ids[row["id"]], row["name"]) for row in stream.objects() if row["id"] in ids}
    equal(shown, {(name, name) for name in names}, "name and name shown")
    equal(stream.errors(), "", "messages")


@test("stats streaming: a restarted container goes on under its name")
def restarted():
    engine = docker_engine()
    engine.run("restless")
    stream = Stream("stats", "restless", "--json", "--interval", "1")
    try:
        stream.read_for(20, lambda data: data.count(b"\n") >= 2)
        engine.docker("restart", "-t", "0", "restless")
        before = len(stream.objects())
        stream.read_for(6, lambda data: data.count(b"\n") >= before + 3)
        stream.read_for(20, lambda _: stream.objects()[-1]["usage"])
        later = stream.objects()[before:]
        check(later and later[-1]["name"] == "restless" and later[-1]["usage"],
              f"after the restart: {later[-1:]}")
    finally:
        stream.end()
        engine.remove("restless")
    equal(stream.errors(), "", "messages")


@test("stats streaming: a container made anew under its name is followed to its new group")
def made_anew():
    engine = docker_engine()
    engine.run("phoenix")
    stream = Stream("stats", "phoenix", "--json", "--interval", "0.5")
    try:
        stream.read_for(20, lambda data: data.count(b"\n") >= 2)
        engine.remove("phoenix")
        engine.run("phoenix")
        stream.read_for(30, lambda data: len({row["id"] for row in stream.objects()}) == 2)
        equal(len({row["id"] for row in stream.objects()}), 2, "ids under one name")
        equal({row["name"] for row in stream.objects()}, {"phoenix"}, "names")
    finally:
        stream.end()
        engine.remove("phoenix")
    equal(stream.errors(), "", "messages")


@test("containers that only containerd knows are named by their bundle")
def plain_containerd():
    engine = docker_engine()
    pid = engine.ctr_run("web-1", "--memory-limit", str(48 * MIB))
    engine.ctr_run("odd-path", "--cgroup", f"/{engine.parent_name}/some/where",
                   "--annotation", "com.docker.compose.project=shop", "--annotation", "nerdctl/x=y")
    try:
        found = rows()
        check("web-1" in found and "odd-path" in found, f"shown are {sorted(found)}")
        row = found["web-1"]
        equal(row["runtime"], "containerd", "runtime")
        equal(row["cgroup"], f"/{engine.namespace}/web-1", "cgroup")
        equal(row["limit"], 48 * MIB, "limit")
        equal(found["odd-path"]["cgroup"], f"/{engine.parent_name}/some/where", "cgroup")
        equal(found["odd-path"]["labels"], {"com.docker.compose.project": "shop"}, "labels")
        equal(rows(str(pid)).keys(), {"web-1"}, "by pid")
        check(engine.namespace not in found, "the namespace's own group is shown as a container")
    finally:
        engine.ctr_remove("web-1")
        engine.ctr_remove("odd-path")


# --- hostile text ------------------------------------------------------------------------------

@test("hostile labels, environment, command line and host name: clean output, right names")
def hostile():
    engine = docker_engine()
    engine.run("stray", "--label", f"{STRAY}={STRAY}", "--env", f"EVIL={STRAY}",
               "--hostname", "h\x1b[31m\nx",
               command=("/bin/sh", "-c", "sleep 602; true", STRAY, "\ufffd\x9b"))
    try:
        for words in (("stats", "--no-stream"), ("stats", "--no-stream", "--format", "docker"),
                      ("stats", "--no-stream", "--plain"), ("ps", "stray"), ("free", "stray")):
            result = plimsoll(*words)
            no_control_bytes(result.raw.replace(b"\t", b" ") if "--plain" in words else result.raw,
                             " ".join(words))
            check("stray" in result.out or words[0] == "free", f"{words}: {result.out!r}")
        equal(rows("stray")["stray"]["image"], IMAGE, "image")
        commands = [p.get("command") for p in plimsoll("ps", "stray", "--json").objects]
        check(any(c and STRAY[0] in c and "sleep 602" in c for c in commands),
              f"command lines: {commands}")
    finally:
        engine.remove("stray")


# --- targets -----------------------------------------------------------------------------------

@test("a target may be a name, an id or its prefix, a cgroup path, or a pid inside")
def targets():
    engine = docker_engine()
    ident, pid = engine.inspect("limited")["Id"], engine.pid("limited")
    inside = max(int(p) for p in read(cgroup_dir(pid) + "/cgroup.procs").split())
    for target in ("limited", ident, ident[:12], ident[:20], f"{engine.parent}/{ident}", str(pid),
                   str(inside)):
        found = plimsoll("stats", "--no-stream", "--json", target).objects
        equal([row["name"] for row in found], ["limited"], f"names for {target}")
    both = plimsoll("stats", "--no-stream", "--json", "limited", "unlimited").objects
    equal(sorted(row["name"] for row in both), ["limited", "unlimited"], "names for two targets")


@test("an ambiguous id prefix is an error that lists the candidates")
def ambiguous():
    engine = docker_engine()
    # docker chooses its ids itself; containerd takes any, here two that begin alike
    twins = ["feedface" + "0" * 55 + end for end in "12"]
    for ident in twins:
        engine.ctr_run(ident)
    try:
        for command in (["stats", "--no-stream"], ["ps"], ["free"]):
            result = plimsoll(*command, "feedface", code=None)
            check(result.code in (1, 2), f"{command}: exit code {result.code}")
            equal(result.out, "", f"{command}: output")
            for ident in twins:
                check(ident[:12] in result.err, f"{command}: {ident} is not in {result.err!r}")
        found = plimsoll("stats", "--no-stream", "--json", twins[1]).objects
        equal([row["id"] for row in found], [twins[1]], "by the whole id")
    finally:
        for ident in twins:
            engine.ctr_remove(ident)


@test("an unknown target is an error with a suggestion")
def unknown():
    docker_engine()
    for command in ("stats", "ps", "free"):
        words = [command, "limted"] + (["--no-stream"] if command == "stats" else [])
        result = plimsoll(*words, code=None)
        check(result.code in (1, 2), f"{command}: exit code {result.code}")
        equal(result.out, "", f"{command}: output")
        check("limted" in result.err and "limited" in result.err, f"{command}: {result.err!r}")


# --- ps and free from the host -----------------------------------------------------------------

@test("ps NAME lists the container's processes with the host's figures")
def ps_from_host():
    engine = docker_engine()

    def look():
        want = {}
        for line in engine.docker("top", "limited", "-eo", "pid,ppid,rss,args").stdout.splitlines()[1:]:
            pid, ppid, rss, args = line.split(None, 3)
            want[int(pid)] = (int(ppid), int(rss) * 1024, args.strip())
        objects = plimsoll("ps", "limited", "--json").objects
        for found in (o for o in objects if o.get("pid") in want):
            near(found["res"], want[found["pid"]][1], MIB // 4, f"res of {found['pid']}")
        near(objects[-1]["total"]["cgroup_usage"], usage(engine, "limited"), MIB, "usage in the sum")
        return want, objects

    want, objects = agree(look)
    got = {o["pid"]: o for o in objects if "pid" in o}
    equal(sorted(got), sorted(want), "pids")
    for pid, (ppid, _, args) in want.items():
        equal(got[pid]["ppid"], ppid, f"parent of {pid}")
        equal(got[pid]["command"], args, f"command of {pid}")
        check(got[pid]["cgroup"].endswith(engine.inspect("limited")["Id"]), "cgroup of the process")
    total = objects[-1]["total"]
    equal(total["processes"], len(want), "processes in the sum")
    heads = plimsoll("ps", "limited").lines[0].split()
    for word in ("PID", "USER", "VIRT", "RES", "SHR", "PSS", "USS", "THREADS", "STATE", "COMMAND"):
        check(word in heads, f"no column {word} in {heads}")


@test("free NAME from the host tells the container's limit and use")
def free_from_host():
    engine = docker_engine()
    text = plimsoll("free", "limited")
    no_control_bytes(text.raw, "free")
    answer = free("limited")
    equal(answer["total"], 64 * MIB, "total")
    agree(lambda: near(free("limited")["used"], usage(engine, "limited"), 2 * MIB, "used"))
    equal(free("parented")["total"], 96 * MIB, "total below a parent")
    refill(engine)
    cache = free("full")
    check(cache["cache"] > 16 * MIB and cache["used"] < 4 * MIB, f"page cache: {cache}")


# --- CPU, block I/O, network -------------------------------------------------------------------

@test("CPU % of a container held to half a CPU agrees with docker's and the kernel's")
def cpu_percent():
    engine = docker_engine()
    engine.run("spinner", "--cpus", "0.5", command=("/bin/sh", "-c", "while :; do :; done"))
    clock = f"{cgroup_dir(engine.pid('spinner'), 'cpuacct')}/cpuacct.usage"
    try:
        for _ in range(6):  # on a busy machine two seconds may differ by more than that
            mine, mine_true = measured(clock, lambda: rows("spinner")["spinner"]["cpu_pct"])
            theirs, _ = measured(clock, lambda: docker_cpu(engine, "spinner"))
            note(f"cpu %: plimsoll {mine:.1f}, docker {theirs:.1f}, kernel {mine_true:.1f}")
            if abs(mine - theirs) <= 15 and abs(mine - mine_true) <= 15:
                return
        near(mine, theirs, 15, "cpu_pct against docker stats")
        near(mine, mine_true, 15, "cpu_pct against cpuacct.usage")
    finally:
        engine.remove("spinner")


def measured(clock, ask):
    """What ASK() says, and the kernel's own CPU % for the time that took."""
    start, spent = time.monotonic(), int(read(clock))
    answer = ask()
    return answer, (int(read(clock)) - spent) / 1e7 / (time.monotonic() - start)


def docker_cpu(engine, name):
    return float(engine.stats(name)[1][name]["CPU %"].rstrip("%"))


def loop_device(engine):
    """A block device of our own. I/O is only counted on v1 where a rate limit was set once."""
    image = engine.place.path("disk")
    with open(image, "wb") as f:
        f.truncate(32 * MIB)
    made = run(["/usr/sbin/losetup", "--find", "--show", image], check=False)
    if made.returncode != 0:
        raise Skip(f"no loop device: {made.stderr.strip()}")
    device = made.stdout.strip()
    engine.place.on_close_last(lambda: run(["/usr/sbin/losetup", "--detach", device]))
    return device


@test("block I/O of a container is docker's")
def block_io():
    engine = docker_engine()
    device = loop_device(engine)
    engine.run("writer", "--device", device, "--device-write-bps", device + ":1gb",
               "--device-read-bps", device + ":1gb", command=("/bin/sh", "-c",
               f"dd if=/dev/zero of={device} bs=1M count=8 oflag=direct; "
               f"dd if={device} of=/dev/null bs=1M count=4 iflag=direct; exec sleep 600"))
    wait_for(lambda: "8388608" in io_file(engine) and "4194304" in io_file(engine), 60)
    try:
        row = rows("writer")["writer"]
        equal((row["blk_read"], row["blk_write"]), (4 * MIB, 8 * MIB), "bytes read and written")
        out, _, theirs = both_tables("writer")
        equal(theirs["writer"]["BLOCK I/O"], "4.19MB / 8.39MB", "docker's own text")
        equal(table(out)["writer"]["BLOCK I/O"], theirs["writer"]["BLOCK I/O"], "text")
    finally:
        engine.remove("writer")


def io_file(engine):
    return read(cgroup_dir(engine.pid("writer"), "blkio") + "/blkio.throttle.io_service_bytes")


@test("network bytes are those of the container's own interfaces, without lo")
def network():
    engine = docker_engine()
    engine.run("wired")
    try:
        pid = engine.pid("wired")
        give_interface(pid)
        row = rows("wired")["wired"]
        want = interface_bytes(pid)
        check(want[0] > 100000, f"only {want[0]} bytes arrived in the container")
        near(row["net_rx"], want[0], 4096, "net_rx")
        near(row["net_tx"], want[1], 4096, "net_tx")
    finally:
        engine.remove("wired")


@test("a container in the host's network has no traffic of its own")
def host_network():
    engine = docker_engine()
    engine.docker("run", "-d", "--network", "host", "--name", "hosted", IMAGE, "/bin/sleep", "600")
    try:
        row = rows("hosted")["hosted"]
        equal((row["net_rx"], row["net_tx"]), (None, None), "net_rx and net_tx")
        out, _, theirs = both_tables("hosted")
        equal(table(out)["hosted"]["NET I/O"], theirs["hosted"]["NET I/O"], "docker's column")
    finally:
        engine.remove("hosted")


def give_interface(pid):
    """A pair of interfaces, one end here, one in the container; and traffic over it and over lo."""
    here, there = f"plim{os.getpid() % 100000}a", "plim0"
    done = run(["/usr/sbin/ip", "link", "add", here, "type", "veth", "peer", "name", there],
               check=False)
    if done.returncode != 0:
        raise Skip(f"no veth: {done.stderr.strip()}")
    inside = ["/usr/bin/nsenter", "-t", str(pid), "-n", "/usr/sbin/ip"]
    run(["/usr/sbin/ip", "link", "set", there, "netns", str(pid)])
    run(["/usr/sbin/ip", "addr", "add", "198.51.100.1/30", "dev", here])
    run(["/usr/sbin/ip", "link", "set", here, "up"])
    run([*inside, "addr", "add", "198.51.100.2/30", "dev", there])
    run([*inside, "link", "set", there, "up"])
    run([*inside, "link", "set", "lo", "up"])
    send = "import socket;s=socket.socket(2,2);[s.sendto(b'x'*1400,(%r,9)) for _ in range(100)]"
    run(["/usr/bin/python3", "-c", send % "198.51.100.2"])
    run(["/usr/bin/nsenter", "-t", str(pid), "-n", "/usr/bin/python3", "-c", send % "127.0.0.1"])
    wait_for(lambda: interface_bytes(pid)[0] > 140000, 5)


def interface_bytes(pid):
    rx = tx = 0
    for line in read(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(":")
        if name.strip() != "lo":
            rx, tx = rx + int(numbers.split()[0]), tx + int(numbers.split()[8])
    return rx, tx


# --- from inside a container -------------------------------------------------------------------

def inside(engine, name, *words, options=()):
    return engine.docker("exec", *options, name, "/plimsoll", *words).stdout


def tells_its_truth(engine, name, limit):
    def free_inside():
        answer = json.loads(inside(engine, name, "free", "--json"))["container"]
        near(answer["used"], usage(engine, name), 4 * MIB, "used of free")
        return answer

    def stats_inside():
        lines = inside(engine, name, "stats", "--no-stream", "--json").splitlines()
        near(json.loads(lines[0])["usage"], usage(engine, name), 4 * MIB, "usage in stats")
        return lines

    equal(agree(free_inside)["total"], limit, "total of free")
    lines = agree(stats_inside)
    equal(len(lines), 1, f"rows of stats: {lines}")
    row = json.loads(lines[0])
    equal(row["limit"], limit, "limit in stats")
    equal((row["init_pid"], row["net_rx"]), (1, 0), "first process, and bytes received")
    listed = [json.loads(line) for line in inside(engine, name, "ps", "--json").splitlines()]
    processes = [o for o in listed if "pid" in o]
    check(any(o["pid"] == 1 for o in processes), f"no pid 1 in {processes}")
    want = int(group_pids(engine, name))
    check(want <= len(processes) <= want + 1, f"{len(processes)} processes, the group has {want}")


@test("inside a busybox-only container the static plimsoll tells that container's truth",
      needs=[needs_static])
def truth_inside():
    tells_its_truth(docker_engine(), "limited", 64 * MIB)


@test("inside a container with its own cgroup namespace it tells the same", needs=[needs_static])
def truth_in_namespace():
    engine = docker_engine()
    engine.run("private", "--cgroupns", "private", "-m", "40m",
               command=("/bin/sh", "-c", "sleep 601 & exec sleep 600"))
    try:
        tells_its_truth(engine, "private", 40 * MIB)
    finally:
        engine.remove("private")


@test("inside, an unprivileged user on a read-only root still sees the truth", needs=[needs_static])
def truth_as_nobody():
    engine = docker_engine()
    engine.run("bare", "--read-only", "--cap-drop", "ALL", "-u", "65534:65534", "-m", "48m",
               "--security-opt", "no-new-privileges")
    try:
        tells_its_truth(engine, "bare", 48 * MIB)
    finally:
        engine.remove("bare")


@test("inside a container without a limit of its own, the parent's limit counts",
      needs=[needs_static])
def parent_limit_inside():
    engine = docker_engine()
    answer = json.loads(inside(engine, "parented", "free", "--json"))
    equal(answer["container"]["total"], 96 * MIB, "total of free")


@test("free inside and free NAME outside agree", needs=[needs_static])
def inside_is_outside():
    engine = docker_engine()

    def look():
        within = json.loads(inside(engine, "limited", "free", "--json"))["container"]
        without = free("limited")
        equal(within["total"], without["total"], "total")
        near(within["used"], without["used"], 4 * MIB, "used")

    agree(look)


# --- groups below containers -------------------------------------------------------------------

@test("groups below a container's group make no second row without --all")
def nested():
    engine = docker_engine()
    engine.run("outer", "-m", "64m")
    top = cgroup_dir(engine.pid("outer"))
    below = ["init.scope", "system.slice", "system.slice/ssh.service", "payload", "a" * 64]
    try:
        for name in below:
            os.makedirs(f"{top}/{name}")
        engine.exec("outer", "/bin/true")
        mine = [r for r in plimsoll("stats", "--no-stream", "--json").objects
                if engine.inspect("outer")["Id"] in r["cgroup"]]
        equal([r["name"] for r in mine], ["outer"], "rows")
        everything = plimsoll("stats", "--no-stream", "--all", "--json").objects
        paths = {r["cgroup"] for r in everything}
        for name in below:
            check(any(p.endswith(f"{engine.inspect('outer')['Id']}/{name}") for p in paths),
                  f"--all does not show {name}")
    finally:
        for name in reversed(below):
            os.rmdir(f"{top}/{name}")
        engine.remove("outer")


@test("what looks like a container inside a container says so and takes no name from outside")
def nested_container():
    engine = docker_engine()
    ident = engine.run("outer")
    top = cgroup_dir(engine.pid("outer"))
    inner = f"{top}/docker/{'b' * 64}"
    os.makedirs(inner)
    sleeper = None
    try:
        engine.exec("outer", "/bin/sh", "-c", "sleep 555 &")
        sleeper = next(p for p in read(top + "/cgroup.procs").split()
                       if int(p) != engine.pid("outer"))
        harness.write(inner + "/cgroup.procs", sleeper)
        found = plimsoll("stats", "--no-stream", "--json").objects
        equal([r["id"] for r in found if r["name"] == "outer"], [ident], "ids of the name outer")
        for row in found:
            if row["cgroup"].startswith(f"{engine.parent}/{ident}/"):
                check("outer" in str(row["inside"]), f"a row inside of outer: {row['inside']!r}")
        equal(rows("outer")["outer"]["id"], ident, "the target called outer")
    finally:
        if sleeper:
            host.kill_wait([int(sleeper)])
        os.rmdir(inner)
        os.rmdir(os.path.dirname(inner))
        engine.remove("outer")


@test("--all shows the engine's parent group once, and containers keep their names")
def all_groups():
    engine = docker_engine()
    found = plimsoll("stats", "--no-stream", "--all", "--json").objects
    paths = [row["cgroup"] for row in found]
    for path in (engine.parent, "/" + engine.parent_name):
        equal(paths.count(path), 1, f"rows of {path}")
    names = [row["name"] for row in found]
    for name in FIVE:
        equal(names.count(name), 1, f"rows of {name}")


# --- without rights, and without the engine ----------------------------------------------------

@test("as nobody: ids stand for names, the figures are there, one line says why")
def as_nobody():
    engine = docker_engine()
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}

    def seen_as(user):
        return {row["id"]: row for row in plimsoll("stats", "--no-stream", "--json", **user).objects}

    result, found = plimsoll("stats", "--no-stream", "--json", **nobody), seen_as(nobody)
    for name in FIVE:
        row = found[engine.inspect(name)["Id"]]
        check(row["name"] == name or row["id"].startswith(row["name"]), f"name: {row['name']!r}")
        agree(lambda: near(seen_as(nobody)[row["id"]]["usage"], usage(engine, name), MIB,  # noqa: B023
                           f"usage of {name}"))
    equal(len(result.err.splitlines()), 1, f"messages: {result.err!r}")


@test("no trace of docker's sockets: plimsoll opens none of them")
def asks_nobody():
    engine = docker_engine()
    heard = []
    engine.hide_socket()
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(engine.socket)
        listener.listen(5)
        listener.settimeout(0.2)
        plimsoll("stats", "--no-stream")
        try:
            heard.append(listener.accept())
        except TimeoutError:
            pass
    finally:
        listener.close()
        os.unlink(engine.socket)
        engine.show_socket()
    equal(heard, [], "connections to the engine's socket")


@test("containers that outlive their killed engine keep their names and figures")
def engine_killed():
    engine = docker_engine()
    ids = {name: engine.inspect(name)["Id"] for name in FIVE}
    engine.daemon.kill()
    engine.daemon.wait()
    found = rows()
    for name, ident in ids.items():
        equal(found[name]["id"], ident, f"id of {name}")
        equal(found[name]["image"], IMAGE, f"image of {name}")
    # the last test: nothing can be asked of this engine any more


if __name__ == "__main__":
    main()
