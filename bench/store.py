"""store: bytes a sample and the time of a read, beside Prometheus and VictoriaMetrics.

All get the same gauges, a sample a second in whole pages: a quarter each that stand still, that
grow until they are collected, that leak, and that wander. Prometheus makes its blocks with promtool
and serves them; VictoriaMetrics takes them by its import API and is asked to merge. Theirs are read
by HTTP as JSON, as they are meant to; ours by the store's own functions, of a database that was just
opened. Prints ratios, fails nothing.
"""
import array
import collections
import glob
import json
import math
import os
import random
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "system"))
import harness  # noqa: E402

PAGE = 4096
STEP_S = 60
READS = 9
START_WITHIN_S = 60
# (series, samples, metrics of a target with many): an hour of many, a day of few
SETS = ((200, 3600, 40), (20, 86400, 20))


def flat(dice, base, pages):
    if dice.random() < 0.01:
        pages += dice.randint(-8, 8)
    return pages


def saw(dice, base, pages, rate, top):
    pages += max(0, round(dice.gauss(rate, rate / 3)))
    return pages if pages <= top else base + dice.randrange(400)


def growth(dice, base, pages, leak):
    steps, left = 0, math.exp(-leak)
    chance = dice.random()
    while chance > left and steps < 50:  # Poisson: how many of a kind fall into one second
        steps += 1
        chance -= left
        left *= leak / steps
    return pages + steps - (dice.randint(1, 19) if dice.random() < 0.002 else 0)


def noise(dice, base, pages):
    return pages + round(dice.gauss((base - pages) * 0.01, 120))


def gauge(number, samples):
    """One series in bytes: what it does is its number modulo 4."""
    dice = random.Random(number)
    base = pages = dice.randrange(2000, 200000)
    shape = (flat, saw, growth, noise)[number % 4]
    more = {saw: (dice.choice((40, 150, 600, 2500)), base + dice.randrange(5000, 60000)),
            growth: (dice.choice((0.02, 0.1, 0.5, 2)),)}.get(shape, ())
    values = array.array("Q")
    for _ in range(samples):
        pages = max(1, shape(dice, base, pages, *more))
        values.append(pages * PAGE)
    return values


def entropy(gauges):
    """Bytes a sample that a coder of each step by itself cannot go below, mean of all series."""
    bits = []
    for values in gauges:
        steps = collections.Counter(b - a for a, b in zip(values, values[1:]))
        n = len(values) - 1
        bits.append(-sum(c / n * math.log2(c / n) for c in steps.values()))
    return statistics.mean(bits) / 8


def folder_bytes(*patterns):
    return sum(os.path.getsize(path) for pattern in patterns
               for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))


def timed(function):
    """(the first time, the least and the median of READS more) in ms, and what it gave."""
    times = []
    for _ in range(READS + 1):
        start = time.monotonic()
        result = function()
        times.append((time.monotonic() - start) * 1e3)
    return (times[0], min(times[1:]), statistics.median(times[1:])), result


class Server:
    """A server on a free port of the loopback, ended by its pid."""

    def __init__(self, folder, command, ready):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % probe.getsockname()[1]
        self.log = open(os.path.join(folder, "server.log"), "wb")
        self.child = subprocess.Popen([word.replace("ADDRESS", self.address) for word in command],
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                      cwd=folder)
        until = time.monotonic() + START_WITHIN_S
        while True:
            try:
                self.get(ready)
                return
            except OSError:
                if time.monotonic() > until or self.child.poll() is not None:
                    self.end()
                    raise harness.Skip(f"{command[0]} did not start") from None
                time.sleep(0.1)

    def get(self, path, body=None, **query):
        url = f"http://{self.address}{path}"
        if query:
            url += "?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(url, data=body, timeout=120) as answer:
            return answer.read()

    def end(self):
        self.child.terminate()
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()


def selector(number):
    return 'mem_usage_bytes{cg="c%d"}' % number


def check(name, values, expected):
    """What a server gave is what it got: else the comparison is of different things."""
    if [int(float(value)) for value in values] != list(expected):
        sys.exit(f"{name} gave {len(values)} samples, not the {len(expected)} that it got")


def prometheus(folder, gauges, start):
    text = os.path.join(folder, "in.om")
    with open(text, "w") as file:
        file.write("# TYPE mem_usage_bytes gauge\n# UNIT mem_usage_bytes bytes\n")
        for number, values in enumerate(gauges):
            name = selector(number)
            file.writelines(f"{name} {value} {start + tick}\n" for tick, value in enumerate(values))
        file.write("# EOF\n")
    data = os.path.join(folder, "data")
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", text, data],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.unlink(text)
    result = {"chunks": folder_bytes(data + "/*/chunks/*"), "all": folder_bytes(data + "/**")}
    with open(os.path.join(folder, "prometheus.yml"), "w") as file:
        file.write("global: {}\n")
    server = Server(folder, ["prometheus", "--config.file=prometheus.yml", "--log.level=error",
                             "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y",
                             "--web.listen-address=ADDRESS"], "/-/ready")
    try:
        last, samples = len(gauges) - 1, len(gauges[0])
        end = start + samples - 1
        result["raw"], answer = timed(lambda: server.get(
            "/api/v1/query", query=f"{selector(last)}[{samples}s]", time=end))
        got = json.loads(answer)["data"]["result"][0]["values"]
        check("prometheus", [value for _, value in got], gauges[last])
        result["steps"] = timed(lambda: server.get(
            "/api/v1/query_range", query=f"max_over_time({selector(last)}[{STEP_S}s])",
            start=start + STEP_S, end=end, step=STEP_S))[0]
    finally:
        server.end()
    return result


def victoria(folder, gauges, start):
    server = Server(folder, ["victoria-metrics", "-storageDataPath=data", "-retentionPeriod=100y",
                             "-httpListenAddr=ADDRESS", "-loggerLevel=ERROR",
                             "-memory.allowedBytes=100MB"], "/health")
    try:
        for number, values in enumerate(gauges):
            labels = {"__name__": "mem_usage_bytes", "cg": f"c{number}"}
            times = [(start + tick) * 1000 for tick in range(len(values))]
            server.get("/api/v1/import", json.dumps(
                {"metric": labels, "values": list(values), "timestamps": times}).encode())
        server.get("/internal/force_flush")
        server.get("/internal/force_merge")
        settled = settle(lambda: folder_bytes(folder + "/data/data/**"))
        result = {"chunks": settled, "all": folder_bytes(folder + "/data/**")}
        last, samples = len(gauges) - 1, len(gauges[0])
        end = start + samples - 1
        result["raw"], answer = timed(lambda: server.get(
            "/api/v1/export", **{"match[]": selector(last), "start": start, "end": end}))
        check("victoria-metrics", [value for line in answer.splitlines()
                                   for value in json.loads(line)["values"]], gauges[last])
        # nocache: else the second answer is the first one, kept
        result["steps"] = timed(lambda: server.get(
            "/api/v1/query_range", query=f"max_over_time({selector(last)}[{STEP_S}s])",
            start=start + STEP_S, end=end, step=STEP_S, nocache=1))[0]
    finally:
        server.end()
    return result


def settle(measure):
    """Merges run in the background: the size when it has stayed the same for a second."""
    seen, since = measure(), time.monotonic()
    until = since + 30
    while time.monotonic() - since < 1 and time.monotonic() < until:
        time.sleep(0.1)
        now = measure()
        if now != seen:
            seen, since = now, time.monotonic()
    return seen


def storebench(options, mode, folder, gauges, metrics, start):
    program = os.path.join(options.tools, "storebench")
    if not os.access(program, os.X_OK):
        raise harness.Skip(f"{program} is not built")
    data = os.path.join(folder, "columns")
    if not os.path.exists(data):
        with open(data, "wb") as file:
            for values in gauges:
                values.tofile(file)
    database = os.path.join(folder, f"db-{metrics}")
    os.makedirs(database, exist_ok=True)
    ran = subprocess.run([program, mode, data, str(len(gauges)), str(len(gauges[0])), str(metrics),
                          str(start), database], check=True, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, text=True)
    return {name: float(value) for name, value in map(str.split, ran.stdout.splitlines())}


def table_bytes(database, tables):
    """What these tables and their indexes take in the file."""
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        marks = ",".join("?" * len(tables))
        return db.execute("select sum(pgsize) from dbstat where name in (select name from "
                          f"sqlite_schema where tbl_name in ({marks}))", tables).fetchone()[0]
    finally:
        db.close()


def ours(options, folder, gauges, metrics, start):
    got = storebench(options, "store", folder, gauges, metrics, start)
    database = os.path.join(folder, f"db-{metrics}")
    file = os.path.join(database, "plimsoll.db")
    return {"chunks": table_bytes(file, ("raw",)), "all": folder_bytes(database + "/*"),
            "raw": (got["read_first_ms"], got["read_least_ms"], got["read_ms"]),
            "steps": (got["steps_first_ms"], got["steps_least_ms"], got["steps_ms"])}


def show(name, result, samples, base):
    """`base` is our own result, or None for it."""
    part = result["chunks"] / samples
    ratio = f"{part / (base['chunks'] / samples):.2f}" if base else ""
    columns = [f"{part:>8.3f} {result['all'] / samples:>8.3f} {ratio:>6}"]
    for read in ("raw", "steps"):
        if read in result:
            first, least, often = result[read]
            ratio = f"{least / base[read][1]:.1f}" if base and read in base else ""
            columns.append(f"{first:>7.2f} {often:>7.2f} {least:>7.2f} {ratio:>6}")
    print(f"{name:<30} {'  '.join(columns)}", flush=True)


def chunk_row(options, folder, gauges, metrics, start):
    """The codec alone, in memory; nothing around it."""
    got = storebench(options, "chunks", folder, gauges, metrics, start)
    bytes_ = int(got["chunk_bytes"])
    print(f"{'  chunks in memory':<30} {bytes_ / len(gauges) / len(gauges[0]):>8.3f} {'':>8} {'':>6}"
          f"  {'':>7} {got['read_ms']:>7.2f} {got['read_least_ms']:>7.2f}"
          f"         encoded in {got['encode_ns']:.0f} ns a sample")


def compare(options, folder, series, samples, metrics):
    gauges = [gauge(number, samples) for number in range(series)]
    start = int(time.time()) // 3600 * 3600 - 86400 - 7200
    total = series * samples
    print(f"store: {series} series of {samples} samples; least for a coder without memory "
          f"{entropy(gauges):.3f} B a sample")
    print("  data: what the samples take in files; all: with logs and indexes, ours with half an "
          "hour of log and free pages, which do not grow with the days\n"
          f"  reads of {samples} samples of one series, and of its {samples // STEP_S} minutes, in "
          "ms: the first, the median and the least; ratios are of the least")
    print(f"{'':<30} {'data B':>8} {'all B':>8} {'ratio':>6}  {'raw 1st':>7} {'median':>7} "
          f"{'least':>7} {'ratio':>6}  {'min 1st':>7} {'median':>7} {'least':>7} {'ratio':>6}")
    base = ours(options, folder, gauges, metrics, start)
    show(f"plimsoll, {metrics} metrics a target", base, total, None)
    chunk_row(options, folder, gauges, metrics, start)
    show("plimsoll, 1 metric a target", ours(options, folder, gauges, 1, start), total, base)
    for name, program, function in (("prometheus", "promtool", prometheus),
                                    ("victoria-metrics", "victoria-metrics", victoria)):
        if not shutil.which(name) or not shutil.which(program):
            print(f"{name:<30} not measured: it is not installed")
            continue
        inside = os.path.join(folder, name)
        os.makedirs(inside)
        try:
            show(name, function(inside, gauges, start), total, base)
        except (harness.Skip, subprocess.CalledProcessError, urllib.error.URLError) as reason:
            print(f"{name:<30} not measured: {reason}")


def store(options):
    for series, samples, metrics in SETS:
        with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder:
            try:
                compare(options, folder, series, samples, metrics)
            except subprocess.CalledProcessError as failed:
                raise harness.Skip(str(failed)) from None
