#!/usr/bin/python3
"""Remote write: what a receiver of our own is sent, and what Prometheus and VictoriaMetrics have
after they were away and after the writer was killed.

PLIMSOLL_TEST_AWAY=300 keeps the stores away for five minutes; by default it is thirty seconds.
"""
import base64
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

import harness
from agents import Agent
from harness import MIB, PATIENCE, Skip, check, equal, needs_cgroups, note, test

AWAY = int(os.environ.get("PLIMSOLL_TEST_AWAY", "30"))
STALE = 0x7ff0000000000002


def until(claim, what, seconds=20):
    end = time.monotonic() + seconds * PATIENCE
    while True:
        result = claim()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


# --- the format, read by hand ----------------------------------------------------------------

def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def unsnap(data):
    """Snappy's block format."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = (tag >> 2) + 1
            if length > 60:
                extra = length - 60
                length = int.from_bytes(data[at:at + extra], "little") + 1
                at += extra
            out += data[at:at + length]
            at += length
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little")
            at += width
        check(0 < offset <= len(out), "a copy from before the beginning")
        piece = bytes(out[-offset:][:length])
        while len(piece) < length:  # a copy may reach into what it makes
            piece += piece[:length - len(piece)]
        out += piece
    equal(len(out), size, "the size that snappy tells")
    return bytes(out)


def fields(data):
    """(number, value) of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = data[at:at + 8], at + 8
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise AssertionError(f"wire type {key & 7}")
        yield key >> 3, value


def unpack(plain, word=b""):
    """[(labels in their order, [(ms, value or None for stale)])] of a WriteRequest: of the series
    that hold the word."""
    found = []
    for number, series in fields(plain):
        equal(number, 1, "field of a WriteRequest")
        if word not in series:
            continue
        labels, samples = [], []
        for kind, value in fields(series):
            if kind == 1:
                pair = dict(fields(value))
                labels.append((pair[1].decode(), pair[2].decode()))
            else:
                sample = dict(fields(value))
                bits = sample.get(1, bytes(8))
                number = struct.unpack("<d", bits)[0]
                stale = struct.unpack("<Q", bits)[0] == STALE
                samples.append((sample.get(2, 0), None if stale else number))
        found.append((labels, samples))
    return found


# --- a receiver of our own -------------------------------------------------------------------

class Request:
    def __init__(self, path, headers, body, status):
        self.path, self.headers, self.status = path, headers, status
        self.body, self._plain = body, None

    def series(self, word=b""):
        if self._plain is None:
            self._plain = unsnap(self.body)
        return unpack(self._plain, word)


class Receiver:
    """Keeps what it was sent; answers what `answer(self)` says: (status, headers). Reading it is
    left for later: the machine may have more groups than Python can read of in a second."""

    def __init__(self, answer=None, tls=None):
        self.answer = answer or (lambda receiver: (204, {}))
        self.requests = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = receiver.answer(receiver)
                receiver.requests.append(Request(self.path, self.headers, body, status))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = (f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_address[1]}"
                    "/api/v1/write")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def samples(self, name, cgroup):
        """The samples of one series that were answered with success, in the order they came."""
        wanted, found = {("__name__", name), ("id", cgroup)}, {}
        for request in list(self.requests):
            if request.status < 300:
                for labels, samples in request.series(name.encode()):
                    if wanted <= set(labels):
                        found.setdefault(tuple(labels), []).extend(samples)
        check(len(found) <= 1, f"{name} of {cgroup} has {len(found)} series")
        return found.popitem()[1] if found else []

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def raw(agent, target, metric, from_ms, to_ms):
    answer = agent.json(f"/api/v1/series?target={urllib.parse.quote(target)}&metric={metric}"
                        f"&from={from_ms}&to={to_ms}")
    return [(at, value) for at, value, *_ in answer["points"]]


def same_as_agent(agent, target, cgroup, metric, samples):
    """Each sample is what the agent has at that time: its last one at or before it."""
    points = raw(agent, target, metric, samples[0][0] - 15000, samples[-1][0])
    check(len(points) > 1, f"the agent has no history of {target}")
    for at, value in samples:
        known = [v for t, v in points if t <= at]
        check(known, f"{metric} of {cgroup}: a sample at {at}, before all that the agent has")
        equal(value, known[-1], f"{metric} of {cgroup} at {at}")


def each_step(samples, interval_ms, what):
    """The times are all multiples from the first to the last, each once."""
    times = [at for at, _ in samples]
    check(times, f"{what}: no samples")
    equal(times, list(range(times[0] - times[0] % interval_ms, times[-1] + 1, interval_ms)), what)


def status(agent):
    try:
        with open(agent.state + "/remote/status.json") as file:
            return json.load(file)["remotes"]
    except (OSError, ValueError):
        return []


@test("a remote is sent all that is known, at even times, in the protocol's form",
      needs=[needs_cgroups])
def form():
    receiver = Receiver()
    group = harness.group(limit=50 * MIB)
    harness.Load("anon", 5, groups=[group])
    with tempfile.NamedTemporaryFile("w", suffix=".token") as token:
        token.write("s3cret-of-the-test\n")
        token.flush()
        config = (f"targets: all\nremote_write:\n  - url: {receiver.url}\n    interval: 1s\n"
                  f"    token_file: {token.name}\n    labels: {{Zone: b, rack: '7'}}\n")
        with Agent(config) as agent:
            agent.target(group.path)
            until(lambda: len(receiver.samples("plimsoll_memory_usage_bytes", group.path)) >= 6,
                  "six samples of a group")
            row = agent.target(group.path)
            for request in receiver.requests[:12]:
                headers, series = request.headers, request.series()
                equal(request.path, "/api/v1/write", "path")
                equal(headers["Content-Type"], "application/x-protobuf", "Content-Type")
                equal(headers["Content-Encoding"], "snappy", "Content-Encoding")
                equal(headers["X-Prometheus-Remote-Write-Version"], "0.1.0", "version")
                equal(headers["Authorization"], "Bearer s3cret-of-the-test", "Authorization")
                check(headers["User-Agent"].startswith("plimsoll/"), headers["User-Agent"])
                check(0 < len(series) <= 5000, f"{len(series)} series in a request")
                for labels, samples in series:
                    equal(labels, sorted(labels), "labels in their order")
                    check(len(samples) == 1 and samples[0][0] % 1000 == 0, str(samples))
                    equal(dict(labels)["Zone"], "b", "an external label")
                    equal(dict(labels)["instance"], socket.gethostname(), "instance")
            for name in ("plimsoll_memory_usage_bytes", "plimsoll_memory_anon_bytes",
                         "plimsoll_memory_limit_bytes"):
                each_step(receiver.samples(name, group.path), 1000, name)
            equal(receiver.samples("plimsoll_memory_own_limit_bytes", group.path)[-1][1],
                  float(row["own_limit"]), "the group's limit")
            check(receiver.samples("plimsoll_memory_usage_bytes", "/"), "the machine itself")
            same_as_agent(agent, "host", "/", "usage",
                          receiver.samples("plimsoll_memory_usage_bytes", "/"))
            same_as_agent(agent, group.path, group.path, "anon",
                          receiver.samples("plimsoll_memory_anon_bytes", group.path))
            # a group that goes ends its series
            harness._end_loads()
            group.remove()
            ended = until(lambda: [s for s in receiver.samples("plimsoll_memory_usage_bytes", group.path) if s[1] is None], "a stale marker")
            time.sleep(2.5)
            samples = receiver.samples("plimsoll_memory_usage_bytes", group.path)
            equal(samples[-1], ended[0], "the last sample")
            each_step(samples, 1000, "a series to its end")
            check("s3cret" not in agent.said(), "the token is in the log")
    receiver.close()


@test("what a remote refuses is dropped, what it cannot take now is sent later, and none waits for "
      "another", needs=[needs_cgroups])
def answers():
    def moody(receiver):
        n = len(receiver.requests)
        return (503, {"Retry-After": "1"}) if n < 3 else (400, {}) if n in (5, 6) else (200, {})

    good, away, odd = Receiver(), Receiver(lambda receiver: (500, {})), Receiver(moody)
    with tempfile.NamedTemporaryFile("w") as password:
        password.write("pass:word\n")
        password.flush()
        config = (f"targets: services\nremote_write:\n  - {{url: '{away.url}', interval: 1s}}\n"
                  f"  - {{url: '{good.url}', interval: 1s, username: me, "
                  f"password_file: {password.name}}}\n"
                  f"  - {{url: '{odd.url}', interval: 1s}}\n")
        with Agent(config) as agent:
            until(lambda: len(odd.requests) >= 12 and len(good.requests) >= 8, "requests")
            usage = "plimsoll_memory_usage_bytes"
            each_step(good.samples(usage, "/"), 1000, "the good one")
            equal(good.requests[0].headers["Authorization"],
                  "Basic " + base64.b64encode(b"me:pass:word").decode(), "Authorization")
            # the same request again until it is taken; those that were refused never again
            first = [request.body for request in odd.requests[:4]]
            check(all(body == first[0] for body in first), "another request after a 503")
            refused = {request.series()[0][1][0][0] for request in odd.requests[5:7]}
            times = [at for at, _ in odd.samples(usage, "/")]
            equal(len(refused), 2, "times that were refused")
            check(not refused & set(times), "what was refused was sent again")
            equal(sorted(refused | set(times)), list(range(times[0], times[-1] + 1, 1000)),
                  "times that were taken or refused")
            check(len(away.requests) <= 8, f"{len(away.requests)} attempts without a pause")
            check(all(r.body == away.requests[0].body for r in away.requests), "order is not kept")

            def told():
                found = status(agent)
                return (len(found) == 3 and found[0]["away"] and found[0]["failures_total"] > 0 and
                        not found[1]["away"] and found[2]["dropped_requests_total"] == 2 and found)
            note(until(told, "the status file", 10)[2])
            check("HTTP 500" in agent.said(), "a remote that fails is not told")
    for receiver in (good, away, odd):
        receiver.close()


def certificate(folder, name, address):
    """A key and a certificate for the address that signs itself: (both in a file, certificate)."""
    key, cert, both = (f"{folder}/{name}.{kind}" for kind in ("key", "crt", "pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", key, "-out", cert,
                    "-subj", "/CN=plimsoll test", "-addext", f"subjectAltName=IP:{address}"],
                   check=True, capture_output=True)
    with open(both, "w") as out:
        out.write(harness.read(key) + harness.read(cert))
    return both, cert


@test("over TLS nothing is sent to who has no good certificate", needs=[needs_cgroups])
def tls():
    if not shutil.which("openssl"):
        raise Skip("needs openssl to make certificates")
    folder = tempfile.mkdtemp(prefix="plimsoll-tls-test-")
    try:
        good_pem, good_ca = certificate(folder, "good", "127.0.0.1")
        other_pem, other_ca = certificate(folder, "other", "127.0.0.2")
        good, unknown, other = Receiver(tls=good_pem), Receiver(tls=good_pem), Receiver(tls=other_pem)
        config = (f"targets: services\nremote_write:\n"
                  f"  - {{url: '{good.url}', interval: 1s, ca_file: {good_ca}}}\n"
                  f"  - {{url: '{unknown.url}', interval: 1s}}\n"  # the system does not know it
                  f"  - {{url: '{other.url}', interval: 1s, ca_file: {other_ca}}}\n")  # other name
        with Agent(config) as agent:
            until(lambda: len(good.requests) >= 3, "requests over TLS")
            each_step(good.samples("plimsoll_memory_usage_bytes", "/"), 1000, "over TLS")

            def failed():
                found = status(agent)
                return len(found) == 3 and all(f["failures_total"] > 1 for f in found[1:]) and found
            for one in until(failed, "failures")[1:]:
                check("SSL" in one["error"] or "certificate" in one["error"], one["error"])
            equal((len(unknown.requests), len(other.requests)), (0, 0), "requests to the others")
        for receiver in (good, unknown, other):
            receiver.close()
    finally:
        shutil.rmtree(folder)


# --- real stores -----------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Store:
    """A server on loopback with a data folder that outlives it."""

    def __init__(self):
        if not os.access(self.program, os.X_OK):
            raise Skip(f"no {self.program}")
        self.folder = tempfile.mkdtemp(prefix="plimsoll-store-test-", dir=harness.scratch_dir())
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api/v1/write"
        self.process = None

    def start(self):
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.folder)
        until(self.is_ready, f"{self.program} is ready", 60)
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60 * PATIENCE)
            self.process = None

    def delete(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30 * PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def is_ready(self):
        check(self.process.poll() is None, f"{self.program} ended: see {self.folder}/log")
        try:
            return self.get(self.ready_path)[0] == 200
        except OSError:
            return False


class Prometheus(Store):
    program, ready_path = "/usr/bin/prometheus", "/-/ready"

    def command(self):
        with open(self.folder + "/prometheus.yml", "w") as file:
            file.write("global: {}\n")
        return [self.program, f"--config.file={self.folder}/prometheus.yml",
                f"--storage.tsdb.path={self.folder}/data", "--web.enable-remote-write-receiver",
                f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]

    def samples(self, selector):
        """[(labels, [(ms, value)])] of all that is there."""
        query = urllib.parse.urlencode({"query": selector + "[30m]"})
        code, body = self.get("/api/v1/query?" + query)
        equal(code, 200, f"{body[:300]!r}")
        return [(one["metric"], [(round(at * 1000), float(value)) for at, value in one["values"]])
                for one in json.loads(body)["data"]["result"]]


class VictoriaMetrics(Store):
    program, ready_path = "/usr/bin/victoria-metrics", "/health"

    def command(self):
        return [self.program, f"-storageDataPath={self.folder}/data", "-retentionPeriod=1",
                f"-httpListenAddr=127.0.0.1:{self.port}", "-memory.allowedBytes=60MB",
                "-search.disableCache"]

    def samples(self, selector):
        self.get("/internal/force_flush")
        query = urllib.parse.urlencode({"match[]": selector})
        code, body = self.get("/api/v1/export?" + query)
        equal(code, 200, f"{body[:300]!r}")
        found = []
        for line in body.splitlines():
            one = json.loads(line)
            pairs = sorted(zip(one["timestamps"], one["values"]), key=lambda pair: pair[0])
            found.append((one["metric"], [(at, v) for at, v in pairs if v is not None]))
        return found


def only(found, what):
    equal(len(found), 1, f"series of {what}")
    return found[0][1]


def kill_writer(agent):
    """SIGKILL to plimsoll-remote; the agent starts it again."""
    pid = until(lambda: agent.children().get("remote"), "the remote writer runs")
    os.kill(pid, signal.SIGKILL)
    until(lambda: agent.children().get("remote", pid) != pid, "another remote writer")


def goes_away_and_comes_back(store_type):
    store = store_type()
    group = harness.group(limit=50 * MIB)
    harness.Load("anon", 5, groups=[group])
    config = f"targets: all\nremote_write: [{{url: '{store.url}', interval: 1s}}]\n"
    usage = "plimsoll_memory_usage_bytes"
    try:
        store.start()
        with Agent(config) as agent:
            agent.target(group.path)
            until(lambda: store.samples(usage + '{id="/"}'), "samples")
            time.sleep(3)
            kill_writer(agent)
            time.sleep(2)
            store.stop()
            time.sleep(AWAY / 3)
            kill_writer(agent)
            os.kill(agent.children()["front"], signal.SIGKILL)
            time.sleep(AWAY / 3)
            equal(agent.stop(), 0, "the agent's end")
            agent.start()
            time.sleep(AWAY / 3)
            back_ms = int(time.time() * 1000)
            store.start()
            # in the middle of what is sent later
            until(lambda: any(s["samples_total"] > 0 for s in status(agent)) or
                  only(store.samples(usage + '{id="/"}'), "/")[-1][0] > back_ms - AWAY * 1000,
                  "it is taken up again", 90)
            kill_writer(agent)
            until(lambda: only(store.samples(usage + '{id="/"}'), "/")[-1][0] > back_ms + 3000,
                  "all that waited is sent", 120 + 2 * AWAY)
            samples = only(store.samples(usage + '{id="/"}'), "the machine")
            check(samples[-1][0] - samples[0][0] >= AWAY * 1000, "no time away")
            twice = len(samples) - len(set(samples))
            if store_type is VictoriaMetrics:
                # keeps both when one request comes twice; at most the one of each kill
                note(f"{twice} samples came twice in three kills")
                check(twice <= 3, f"{twice} samples came twice")
                samples = sorted(set(samples))
            each_step(samples, 1000, "the machine")
            same_as_agent(agent, "host", "/", "usage", samples)
            for metric, name in (("anon", "plimsoll_memory_anon_bytes"), ("usage", usage)):
                samples = only(store.samples(f'{name}{{id="{group.path}"}}'), group.path)
                samples = sorted(set(samples))
                each_step(samples, 1000, name)
                same_as_agent(agent, group.path, group.path, metric, samples)
            found = status(agent)
            equal([s["dropped_samples_total"] for s in found], [0], "dropped samples")
            equal([s["gaps_total"] for s in found], [0], "gaps")
            check("dropped" not in agent.said() and "missing" not in agent.said(), agent.said())
    finally:
        store.delete()


@test("Prometheus has every sample once, with the agent's values, after it was away and the writer "
      "was killed", needs=[needs_cgroups])
def prometheus():
    goes_away_and_comes_back(Prometheus)


@test("VictoriaMetrics has every sample, with the agent's values, after it was away and the writer "
      "was killed", needs=[needs_cgroups])
def victoria_metrics():
    goes_away_and_comes_back(VictoriaMetrics)


if __name__ == "__main__":
    harness.main(at_once=3)  # they mostly wait
