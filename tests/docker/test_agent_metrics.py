"""The agent's /metrics beside real Docker containers, and scraped by a real Prometheus.

What cAdvisor is installed for: the queries of widely used dashboards (14282, 193, kubernetes-mixin)
are asked through Prometheus' own API and must return the container's series. A container that looks
like one of a pod has the labels the kubelet's Docker gave it; kube_pod_info comes from a few lines of
HTTP here.
"""
import functools
import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import agents
import harness
import host
from engine import IMAGE, Engine
from harness import MIB, Skip, agree, check, equal, main, near, note, test
from host import run, wait_for

PROMETHEUS, PROMTOOL = "/usr/bin/prometheus", "/usr/bin/promtool"
HOLD_20M = "(head -c 20971520 /dev/zero; exec sleep 600) | tail"
EAT = ("/bin/tail", "/dev/zero")  # one process, so one kill
PROJECT = ("--label", "com.docker.compose.project=shop", "--label", "team=a=\"b\"\n\\")
POD = {"namespace": "shop", "pod": "cart-0", "container": "app"}
POD_LABELS = ["--label", "io.kubernetes.pod.namespace=shop", "--label", "io.kubernetes.pod.name=cart-0",
              "--label", "io.kubernetes.container.name=app",
              "--label", "io.kubernetes.docker.type=container"]

# $host and $container are what Grafana fills in: here all.
OURS = 'instance=~".*",name=~"plain",name=~".+"'
DASHBOARD_14282 = [
    "sum(container_memory_rss{%s}) by (name)" % OURS,
    "sum(container_memory_cache{%s}) by (name)" % OURS,
    "sum(rate(container_cpu_usage_seconds_total{%s}[5m])) by (name) * 100" % OURS,
    "sum(rate(container_network_receive_bytes_total{%s}[5m])) by (name)" % OURS,
    "sum(rate(container_network_transmit_bytes_total{%s}[5m])) by (name)" % OURS,
    "(time() - container_start_time_seconds{%s}) / 86400" % OURS,
]
DASHBOARD_193 = [
    'count(container_last_seen{image!=""})',
    'sum(container_memory_usage_bytes{image!="",name="plain"}) by (name)',
    'container_memory_usage_bytes{image!="",name=~"plain"}',
    'sum(rate(container_network_receive_bytes_total{image!="",name="plain"}[1m])) by (name)',
]
MIXIN = ["working_set_bytes", "rss", "cache", "swap"]
MIXIN_RULE = ('container_memory_%s{job="cadvisor", image!=""} * on (cluster, namespace, pod) '
              'group_left(node) topk by (cluster, namespace, pod) (1, max by (cluster, namespace, pod, '
              'node) (kube_pod_info{node!=""}))')
MIXIN_PANEL = ('sum(max by (cluster, namespace, pod, container) (container_memory_%s{job="cadvisor", '
               'namespace="shop", pod="cart-0", container!="", image!=""})) by (container)')


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server(http.server.BaseHTTPRequestHandler):
    """kube-state-metrics, as far as the mixin's rules need it."""

    def do_GET(self):
        text = b'# TYPE kube_pod_info gauge\nkube_pod_info{namespace="shop",pod="cart-0",node="n1"} 1\n'
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # Prometheus ends before it does


class Prometheus:
    def __init__(self, place, agent_port):
        self.port, self.log = free_port(), place.path("prometheus.log")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        rules = [{"record": f"node_namespace_pod_container:container_memory_{x}",
                  "expr": MIXIN_RULE % x} for x in MIXIN]
        self.write(place.path("rules.json"), {"groups": [{"name": "mixin", "rules": rules}]})
        self.write(place.path("prometheus.json"), {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [place.path("rules.json")],
            "scrape_configs": [self.job("cadvisor", agent_port),
                               self.job("kube-state-metrics", server.server_port)]})
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [PROMETHEUS, "--config.file", place.path("prometheus.json"), "--log.level=warn",
                 "--storage.tsdb.path", place.mkdir("tsdb"),
                 "--web.listen-address", f"127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=host.clean_env())
        place.on_close(self.stop)

    @staticmethod
    def write(path, what):
        with open(path, "w") as f:
            json.dump(what, f)  # YAML is a superset

    @staticmethod
    def job(name, port):
        return {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def query(self, expression):
        """[(labels, number)]"""
        answer = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        equal(answer["status"], "success", f"{expression}: {answer}")
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def eventually(self, expression, seconds=20):
        """The same, once it is not empty."""
        found = []

        def asked():
            try:
                found[:] = self.query(expression)
            except (OSError, http.client.HTTPException, ValueError):
                pass
            return found

        wait_for(asked, seconds * harness.PATIENCE, 0.2)
        return found


class Scene:
    def __init__(self):
        self.engine = Engine()
        self.engine.run("plain", "-m", "64m", *PROJECT, command=("/bin/sh", "-c", HOLD_20M))
        self.engine.run("podlike", "-m", "48m", *POD_LABELS)
        port = free_port()
        self.agent = agents.Agent(listen=f"127.0.0.1:{port}").start()
        self.agent.target("plain")
        self.agent.target("podlike")
        self.prometheus = Prometheus(self.engine.place, port)


@functools.lru_cache(None)
def started():
    """The scene, or why there is none: made once."""
    try:
        host.need(PROMETHEUS, PROMTOOL)
        return Scene()
    except host.Missing as reason:
        return Skip(reason)
    except Exception as error:
        return error


def scene():
    s = started()
    if isinstance(s, Exception):
        raise s
    return s


def series(metrics, family, **labels):
    """The values of a family whose labels hold these."""
    return [value for have, value in metrics.get(family, [])
            if all(have.get(name) == wanted for name, wanted in labels.items())]


def one(metrics, family, **labels):
    found = series(metrics, family, **labels)
    equal(len(found), 1, f"lines of {family} with {labels}")
    return found[0]


def docker_memory(engine, name):
    """memory_stats of the engine's API."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(engine.socket)
    connection = http.client.HTTPConnection("localhost")
    connection.sock = s
    connection.request("GET", f"/containers/{name}/stats?stream=false&one-shot=true")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["memory_stats"]


def inactive_file(memory):
    return memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file"))


@test("promtool has nothing to say about /metrics, and one old name about /metrics/cadvisor")
def promtool():
    s = scene()
    for path, wanted in (("/metrics", ""),
                         ("/metrics/cadvisor", "container_memory_failcnt counter metrics should have "
                                               '"_total" suffix')):
        page = s.agent.get(path)
        equal(page.status, 200, path)
        check(page.headers["Content-Type"].startswith("text/plain; version=0.0.4"),
              page.headers["Content-Type"])
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=page.body, capture_output=True)
        equal((done.stdout + done.stderr).decode().strip(), wanted, f"promtool on {path}")
        lines = [line.rpartition(b" ")[0] for line in page.body.splitlines() if line[:1] != b"#"]
        equal(len(lines), len(set(lines)), f"series of {path}, each once")


@test("a scrape's figures are those of the engine's own API")
def engine_agrees():
    s = scene()
    page = 64 * 4096  # the kernel hands out charges in batches of pages to each CPU
    who = {"name": "plain", "image": IMAGE}

    def look():
        theirs, metrics = docker_memory(s.engine, "plain"), s.agent.metrics()
        near(one(metrics, "container_memory_usage_bytes", **who), theirs["usage"], page, "usage")
        near(one(metrics, "container_memory_working_set_bytes", **who),
             theirs["usage"] - inactive_file(theirs), page, "working set, what docker stats shows")
        near(one(metrics, "container_last_seen", **who), time.time(), 5, "last seen")
        return metrics

    metrics = agree(look, 10)
    check(one(metrics, "container_memory_rss", **who) > 19 * MIB, "20 MB are anonymous memory")
    equal(one(metrics, "container_spec_memory_limit_bytes", **who), 64 * MIB, "the limit")
    equal(one(metrics, "plimsoll_memory_limit_bytes", **who), 64 * MIB, "the limit that counts")
    state = s.engine.inspect("plain")["State"]["StartedAt"]
    started_at = time.mktime(time.strptime(state[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    near(one(metrics, "container_start_time_seconds", **who), started_at, 3, "start")
    total = harness.meminfo()["MemTotal"]
    equal(one(metrics, "machine_memory_bytes"), total, "the machine's memory")
    equal(one(metrics, "machine_cpu_cores"), os.sysconf("SC_NPROCESSORS_ONLN"), "CPUs")


@test("plain groups and the machine have neither name nor image")
def plain_groups():
    metrics = scene().agent.metrics()
    equal(series(metrics, "container_memory_usage_bytes", id="/", name="", image="") != [], True,
          "the machine")
    for labels, _ in metrics["container_memory_usage_bytes"]:
        check((labels["name"] == "") <= (labels["image"] == ""), f"an image without a name: {labels}")


@test("dashboards 14282 and 193 get data of a docker container through Prometheus")
def docker_dashboards():
    s = scene()
    for expression in DASHBOARD_14282 + DASHBOARD_193:
        check(s.prometheus.eventually(expression), f"nothing for {expression}")
    ((labels, value),) = s.prometheus.query(DASHBOARD_14282[0])
    equal(labels, {"name": "plain"}, "labels")
    near(value, 20 * MIB, 3 * MIB, "rss of 'plain' in Prometheus")
    ((_, count),) = s.prometheus.query(DASHBOARD_193[0])
    equal(count, 2, "containers with an image")


@test("kubernetes-mixin's rules and panels get data of a container with a pod's labels")
def kubernetes_mixin():
    s = scene()
    asked = ["working_set_bytes", "rss", "cache"]
    if series(s.agent.metrics(), "container_memory_swap", **POD):
        asked.append("swap")
    else:
        note("swap is not accounted on this machine")
    for what in asked:
        found = s.prometheus.eventually(f"node_namespace_pod_container:container_memory_{what}")
        equal(len(found), 1, f"recorded series of {what}")
        labels = found[0][0]
        equal({name: labels[name] for name in POD}, POD, "labels")
        equal(labels["node"], "n1", "joined with kube_pod_info")
        equal(s.prometheus.eventually(MIXIN_PANEL % what)[0][0], {"container": "app"}, "the panel")


@test("labels and the compose project are in the agent's rows, and in those of what was")
def labels():
    s = scene()
    theirs = s.engine.inspect("plain")["Config"]["Labels"]
    row = s.agent.target("plain")
    at = urllib.parse.quote(row["ts"])
    was, = s.agent.targets(f"?target=plain&at={at}")
    for one_row, when in ((row, "now"), (was, "then")):
        equal((one_row["labels"], one_row["compose"]), (theirs, "shop"), when)
    row = s.agent.target("podlike")
    equal((len(row["labels"]), row["compose"]), (4, None), "a container of no project")
    past, = harness.plimsoll("stats", "plain", "--json", f"--at={row['ts']}",
                             "--socket", s.agent.socket).objects
    equal(past["labels"], theirs, "what stats prints of the past")


@test("a container that was removed is gone at the next scrape")
def stale_at_once():
    s = scene()
    expression = 'container_memory_usage_bytes{name="passing"}'
    s.engine.run("passing")
    check(s.prometheus.eventually(expression), "it was never scraped")
    s.engine.remove("passing")
    removed = time.monotonic()
    wait_for(lambda: not series(s.agent.metrics(), "container_memory_usage_bytes", name="passing"),
             5 * harness.PATIENCE)
    left = time.monotonic() - removed
    gone = wait_for(lambda: not s.prometheus.query(expression), 10 * harness.PATIENCE, 0.1)
    check(gone, "Prometheus still shows it")
    note(f"gone from /metrics {left:.2f} s after docker rm returned, from Prometheus after "
         f"{time.monotonic() - removed:.2f} s")
    equal(series(s.agent.metrics(), "container_memory_rss", name="passing"), [], "other families")


def kills(metrics, name):
    found = series(metrics, "container_oom_events_total", name=name)
    equal(series(metrics, "plimsoll_oom_kills_total", name=name), found, "our own name for it")
    check(len(found) < 2, f"two series for {name}: {found}")
    return found[0] if found else 0


def run_killed(engine, name):
    done = engine.docker("run", "--rm", "--network", "none", "--name", name, "-m", "16m",
                         "--memory-swap", "16m", IMAGE, *EAT, check=False)
    equal(done.returncode, 137, "its exit code")


@test("OOM kills of containers that were removed at once are counted under their name")
def removed_kills():
    s = scene()
    ours = 'container_oom_events_total{name="shortlived"}'
    for n in range(1, 4):
        run_killed(s.engine, "shortlived")
        wait_for(lambda: kills(s.agent.metrics(), "shortlived") >= n, 5 * harness.PATIENCE)
        equal(kills(s.agent.metrics(), "shortlived"), n, f"kills after {n} runs")
        wait_for(lambda: [v for _, v in s.prometheus.query(ours)] == [n], 10 * harness.PATIENCE, 0.1)
        equal([v for _, v in s.prometheus.query(ours)], [n], "in Prometheus, as one series")
    equal(series(s.agent.metrics(), "container_memory_usage_bytes", name="shortlived"), [],
          "other families of it")
    ((_, increase),) = s.prometheus.query(f"increase({ours}[5m])")
    check(increase >= 1.9, f"an increase of {increase} over three runs")


@test("kills of a container that Docker restarts go on counting")
def restarted_kills():
    s = scene()
    s.engine.run("looping", "-m", "16m", "--memory-swap", "16m", "--restart", "on-failure:3",
                 command=EAT)
    stopped = wait_for(lambda: s.engine.inspect("looping")["State"]["Status"] == "exited" and
                       s.engine.inspect("looping")["RestartCount"] == 3, 30 * harness.PATIENCE, 0.2)
    check(stopped, "it does not end")
    wait_for(lambda: kills(s.agent.metrics(), "looping") >= 4, 5 * harness.PATIENCE)
    equal(kills(s.agent.metrics(), "looping"), 4, "kills in four starts")
    s.engine.remove("looping")


@test("restarts are counted under the name, in one series")
def restarts():
    s = scene()
    s.engine.run("again")
    for n in range(3):
        found = wait_for(lambda: series(s.agent.metrics(), "plimsoll_target_restarts_total",
                                        name="again") == [n], 5 * harness.PATIENCE)
        check(found, f"{series(s.agent.metrics(), 'plimsoll_target_restarts_total', name='again')} "
                     f"after {n} restarts")
        if n == 0:
            s.engine.docker("restart", "-t", "0", "again")
        else:  # another container, by the same name
            s.engine.remove("again")
            s.engine.run("again")
    s.engine.remove("again")


def told(name):
    """What happened to a container, the oldest first."""
    events = scene().agent.json("/api/v1/events?limit=1000")["events"]
    return [e["kind"] for e in reversed(events) if e["name"] == name]


def restarts_told(name, wanted, why):
    """(restarts, events) once they are so, and a while later still."""
    s, found = scene(), []

    def same():
        rows = [row["restarts"] for row in s.agent.targets() if row["name"] == name]
        found[:] = [rows, told(name)]
        return found == [[wanted.count("restart")], wanted]

    wait_for(same, 10 * harness.PATIENCE, 0.1)
    equal(found, [[wanted.count("restart")], wanted], why)
    time.sleep(1.5)
    same()
    equal(found, [[wanted.count("restart")], wanted], why + ", a moment later")


@test("a container that is started again is one restart: an end and a restart, whoever asks when")
def restart_events():
    s = scene()
    s.engine.run("phoenix")
    restarts_told("phoenix", ["start"], "begun")
    first = s.agent.target("phoenix")
    for words in (["sleep", "0.1"], ["-d", "sleep", "60"], ["unshare", "-pf", "true"]):
        options = words[:1] if words[0] == "-d" else []
        s.engine.docker("exec", *options, "phoenix", *words[len(options):], check=False)
    time.sleep(6)  # the first process is looked at every five seconds
    restarts_told("phoenix", ["start"], "after processes were started in it")
    s.engine.docker("restart", "-t", "0", "phoenix")
    again = ["start", "end", "restart"]
    restarts_told("phoenix", again, "docker restart")
    row = s.agent.target("phoenix")
    equal(row["id"], first["id"], "the same container")
    check(row["start_ms"] > first["start_ms"], "it started later")
    s.engine.docker("stop", "-t", "0", "phoenix")
    s.engine.docker("start", "phoenix")
    again += ["end", "restart"]
    restarts_told("phoenix", again, "docker stop and start")
    s.engine.docker("kill", "phoenix")
    s.engine.docker("start", "phoenix")
    again += ["end", "restart"]
    restarts_told("phoenix", again, "docker kill and start")
    for who in ("front", "collector"):
        pid = s.agent.children()[who]
        os.kill(pid, signal.SIGKILL)
        check(wait_for(lambda: s.agent.children().get(who, pid) != pid, 10 * harness.PATIENCE),
              f"no other {who}")
        s.agent.wait_ready()
        s.agent.target("phoenix")
        restarts_told("phoenix", again, f"after the {who} was killed")
    time.sleep(5)
    restarts_told("phoenix", again, "once the last collector has found all")
    s.engine.remove("phoenix")


@test("the agent tells what it costs")
def own_cost():
    agree(costs_agree)


def costs_agree():
    s = scene()
    metrics = s.agent.metrics()
    for process, pid in s.agent.children().items():
        if process not in ("collector", "front"):
            continue
        used = one(metrics, "plimsoll_self_cpu_seconds_total", process=process)
        ticks = harness.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        # its own, and for the collector that of the children it waited for
        spent = sum(map(int, ticks[11:15] if process == "collector" else ticks[11:13]))
        near(used, spent / os.sysconf("SC_CLK_TCK"), 1.0,
             f"CPU seconds of the {process}")
        resident = one(metrics, "plimsoll_self_resident_bytes", process=process)
        pages = int(harness.read(f"/proc/{pid}/statm").split()[1])
        near(resident, pages * os.sysconf("SC_PAGESIZE"), 4 * MIB,
             f"resident memory of the {process}")
        note(f"{process}: {resident / MIB:.1f} MiB")
    check(one(metrics, "plimsoll_self_ticks_total") > 2, "ticks")
    equal(len(metrics["plimsoll_build_info"]), 1, "build_info")


if __name__ == "__main__":
    main()
