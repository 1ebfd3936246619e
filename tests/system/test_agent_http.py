#!/usr/bin/python3
"""The agent's HTTP against those who mean no good: foreign pages, crowds that say nothing, broken
requests, containers with hostile names; and the page, and the event stream."""
import gzip
import hashlib
import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import time

import harness
from agents import Agent
from harness import MIB, PATIENCE, SMALL, check, equal, group, main, needs_cgroups, note, test
from oddnames import NAMES, box_of

PAGES = ("/", "/healthz", "/metrics", "/metrics/cadvisor", "/api/v1/targets",
         "/api/v1/series?target=host&metric=used", "/api/v1/processes?target=host",
         "/api/v1/incidents", "/api/v1/events", "/api/v1/sparks", "/api/v1/about", "/api",
         "/api/v1/stream", "/api/v1/query?query=plimsoll_memory_used_bytes",
         "/api/v1/labels", "/api/v1/label/name/values", "/internal/log", "/no/such/page")
TOKEN = "correct-horse-battery-staple"


def port_of(agent):
    found = re.search(r"listening on https?://.*:(\d+)/", agent.said())
    check(found, f"no port is told: {agent.said()}")
    return int(found.group(1))


def connected(port, timeout=10):
    return socket.create_connection(("127.0.0.1", port), timeout * PATIENCE)


def until_end(sock):
    """All that comes until the other side ends; b"" where it is cut off."""
    parts = []
    try:
        while True:
            part = sock.recv(65536)
            if not part:
                break
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def raw(port, request, timeout=10):
    with connected(port, timeout) as sock:
        try:
            sock.sendall(request)
        except ConnectionError:
            pass
        return until_end(sock)


def status(answer):
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return int(found.group(1)) if found else 0


def ask(port, path, *headers, host=None, method="GET"):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}",
             "Connection: close", *headers]
    return raw(port, ("\r\n".join(lines) + "\r\n\r\n").encode())


def head_of(port, path, host, origin):
    """The status alone, so that a stream need not end."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    if origin is not None:
        lines.append(f"Origin: {origin}")
    with connected(port) as sock:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        got = b""
        while b"\r\n\r\n" not in got:
            part = sock.recv(4096)
            if not part:
                break
            got += part
        return status(got), got.split(b"\r\n\r\n")[0].decode("latin-1")


def ticks(agent):
    """Rounds over all targets since the collector's start, by the page that Prometheus reads."""
    return agent.metrics().get("plimsoll_self_ticks_total", [({}, 0)])[0][1]


# --- who may ask ------------------------------------------------------------------------------------

@test("no page of somewhere else gets an answer: hosts and origins by every route")
def matrix():
    with Agent("hosts: [mon.example]\n", listen="127.0.0.1:0") as agent:
        port = port_of(agent)
        hosts = {f"127.0.0.1:{port}": True, "127.0.0.1": True, f"localhost:{port}": True,
                 "mon.example": True, "evil.example": False, f"evil.example:{port}": False,
                 "127.0.0.1.evil.example": False, "127.0.0.2": False, f"0.0.0.0:{port}": False,
                 "localhost.evil.example": False, f"[::1]:{port}": False, "127.0.0.1:1": False}
        asked = 0
        for host, ours in hosts.items():
            origins = {None: True, f"http://{host}": True, f"https://{host}": True,
                       "http://evil.example": False, "null": False, "http://127.0.0.1:1": False}
            for origin, own in origins.items():
                if origin == f"http://{host}" and not ours:
                    own = False
                for path in PAGES:
                    got, head = head_of(port, path, host, origin)
                    asked += 1
                    where = f"{path} for Host {host} and Origin {origin}"
                    if not ours:
                        equal(got, 421, where)
                    elif not own and not (host == "127.0.0.1:1" and origin == "http://127.0.0.1:1"):
                        equal(got, 403, where)
                    else:
                        check(got in (200, 404, 503), f"{where}: {got}")
                    check("access-control" not in head.lower(), f"{where}: {head}")
                    for wanted in ("Content-Security-Policy: default-src 'self'",
                                   "X-Content-Type-Options: nosniff", "X-Frame-Options: DENY"):
                        check(wanted in head, f"{where}: no {wanted} in {head}")
        note(f"{asked} requests")
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = ask(port, "/api/v1/targets", method=method)
            equal(status(answer), 405, method)
            check(b"\r\nAllow: GET, HEAD\r\n" in answer, f"{method}: {answer!r}")
        equal(status(ask(port, "/healthz", "Sec-Fetch-Site: cross-site")), 403, "Sec-Fetch-Site")


@test("a token is asked for on TCP, and not by the socket of the file system")
def token():
    agent = Agent(listen="127.0.0.1:0")
    with open(agent.folder + "/token", "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(TOKEN + "\n")
    with open(agent.config, "a") as file:
        file.write("token_file: token\n")
    with agent:
        port = port_of(agent)
        for path in PAGES:
            page = path == "/"  # nothing in it is secret, and a browser must get it first
            equal(head_of(port, path, "localhost", None)[0], 200 if page else 401, path)
            equal(status(ask(port, path, f"Authorization: Bearer {TOKEN}x")), 200 if page else 401,
                  path)
        equal(head_of(port, "/", "evil.example", None)[0], 421, "the page under a foreign name")
        equal(status(ask(port, "/healthz", f"Authorization: Bearer {TOKEN}")), 200, "the token")
        equal(agent.get("/healthz").status, 200, "the unix socket")
        check(TOKEN not in agent.said(), "the token is in the log")


@test("the page comes compressed or not, and only when it is another")
def page():
    with Agent(listen="127.0.0.1:0") as agent:
        port = port_of(agent)
        for path in ("/", "/app.js", "/app.css", "/icon.svg"):
            head, plain = ask(port, path).split(b"\r\n\r\n", 1)
            if status(head) == 404 and path != "/":
                continue  # a build without the page
            equal(status(head), 200, path)
            tag = re.search(rb"\r\nETag: (\S+)", head).group(1).decode()
            check(b"\r\nCache-Control: no-cache\r\n" in head, f"{path}: {head}")
            check(b"Content-Encoding" not in head, f"{path}: {head}")
            if b"chunked" not in head:
                equal(int(re.search(rb"\r\nContent-Length: (\d+)", head).group(1)), len(plain), path)
            head, packed = ask(port, path, "Accept-Encoding: gzip, br").split(b"\r\n\r\n", 1)
            check(b"\r\nContent-Encoding: gzip\r\n" in head, f"{path}: {head}")
            unpacked = gzip.decompress(packed)
            whole = agent.get(path).body
            equal(unpacked, whole, f"{path} as it is")
            equal(hashlib.sha256(whole).hexdigest()[:24], tag.split('"')[1], f"the tag of {path}")
            for asked in (tag, f'"x", {tag}', tag[2:], "*"):
                got = ask(port, path, f"If-None-Match: {asked}")
                equal((status(got), got.split(b"\r\n\r\n", 1)[1]), (304, b""), f"{path}, {asked}")
            equal(status(ask(port, path, 'If-None-Match: "x"')), 200, f"another {path}")
            got = ask(port, path, method="HEAD")
            equal((status(got), got.split(b"\r\n\r\n", 1)[1]), (200, b""), f"HEAD {path}")
        page = agent.get("/").body
        check(page.lower().startswith(b"<!doctype html>"), page[:100])
        check(b"/api/v1/events" in ask(port, "/api"), "the list of addresses")


@test("another address than loopback needs a token, or there is no agent")
def address():
    agent = Agent(listen="0.0.0.0:0").start(wait=False)
    code = agent.process.wait(20 * PATIENCE)
    check(code != 0, "it runs without a token")
    check("token" in agent.said(), f"it does not tell why: {agent.said()}")
    agent.delete()
    agent = Agent(listen="0.0.0.0:0")
    with open(agent.folder + "/token", "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(TOKEN + "\n")
    with open(agent.config, "a") as file:
        file.write("token_file: token\n")
    with agent:
        port = port_of(agent)
        equal(status(ask(port, "/healthz")), 401, "without the token")
        equal(status(ask(port, "/healthz", f"Authorization: Bearer {TOKEN}")), 200, "with it")
        equal(status(ask(port, "/healthz", f"Authorization: Bearer {TOKEN}", host="evil.example")),
              421, "a name that points here")


def needs_openssl():
    return None if shutil.which("openssl") else "openssl is not installed"


@test("with a certificate TCP speaks TLS alone", needs=[needs_openssl])
def tls():
    agent = Agent(listen="127.0.0.1:0")
    cert, key = agent.folder + "/cert.pem", agent.folder + "/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    with open(agent.config, "a") as file:
        file.write("tls:\n  cert: cert.pem\n  key: key.pem\n")
    with agent:
        port = port_of(agent)
        context = ssl.create_default_context(cafile=cert)
        with context.wrap_socket(connected(port), server_hostname="localhost") as sock:
            sock.sendall(b"GET /api/v1/targets HTTP/1.1\r\nHost: localhost\r\n"
                         b"Connection: close\r\n\r\n")
            answer = until_end(sock)
        equal(status(answer), 200, "over TLS")
        check(b'"name":"host"' in answer, answer[:300])
        check(status(ask(port, "/healthz")) != 200, "plain HTTP is answered")
        equal(agent.get("/healthz").status, 200, "the unix socket")


# --- crowds and noise -------------------------------------------------------------------------------

@test("500 connections that say nothing keep nobody out, and sampling goes on")
def crowd():
    count = 100 if SMALL else 500
    with Agent("targets: all\n", listen="127.0.0.1:0") as agent:
        port = port_of(agent)
        harness.wait_for(lambda: ticks(agent) > 0, 30, "the collector's figures")
        before = ticks(agent)
        began, began_ms = time.monotonic(), int(time.time() * 1000)
        silent = []
        slowest = 0
        for i in range(count):
            sock = connected(port)
            silent.append(sock)
            try:
                sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: local" if i % 2 else b"G")
            except ConnectionError:
                pass
        asked = 0
        while time.monotonic() - began < 5 * PATIENCE:
            for sock in silent[:: 17]:
                try:
                    sock.sendall(b"x")
                except OSError:
                    pass
            start = time.monotonic()
            equal(agent.get("/healthz").status, 200, "the unix socket in a crowd")
            equal(status(ask(port, "/healthz")), 200, "TCP in a crowd")
            slowest = max(slowest, time.monotonic() - start)
            asked += 1
            time.sleep(0.1)
        seconds = time.monotonic() - began
        points = agent.json(f"/api/v1/series?target=host&metric=usage&from={began_ms}")["points"]
        gaps = [later[0] - point[0] for point, later in zip(points, points[1:])]
        note(f"{asked} questions, the slowest pair took {slowest * 1000:.0f} ms; {len(points)} samples "
             f"of the machine in {seconds:.1f} s, at most {max(gaps, default=0)} ms apart")
        check(len(points) >= seconds / 4, f"{len(points)} samples in {seconds} s")
        harness.wait_for(lambda: ticks(agent) >= before + seconds / 4, 30, "rounds go on")
        for sock in silent:
            sock.close()


def deaf(port, path, room=2048):
    """One that asks for a page and has little room for the answer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.settimeout(10 * PATIENCE)
    sock.connect(("127.0.0.1", port))
    try:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    except ConnectionError:
        pass
    return sock


def takes_a_byte(sock):
    """False: it was thrown out."""
    try:
        return len(sock.recv(1)) == 1
    except OSError:
        return False


@test("readers that read nothing, or a byte now and then, keep nobody out; who goes on reading stays",
      needs=[needs_cgroups])
def readers():
    outer = group("many", limit=None)
    count = 600 if SMALL else 1000  # a page of over 2.2 MB, the kernel takes as much unread
    for i in range(count):
        harness.Group(outer, f"g{i}")
    with Agent("targets: all\n", listen="127.0.0.1:0") as agent:
        port = port_of(agent)
        harness.wait_for(lambda: len(agent.targets()) > count, 10, "all groups")
        size = len(ask(port, "/metrics"))
        steady = connected(port)
        steady.sendall(f"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        got = steady.recv(4096)
        crowd_of = []
        for i in range(130):
            crowd_of.append(deaf(port, "/metrics"))
            check(takes_a_byte(crowd_of[-1]), f"reader {i} gets no answer")
        began = time.monotonic()
        asked, slowest = 0, 0
        steadies = 0
        while time.monotonic() - began < 6 * PATIENCE:
            start = time.monotonic()
            equal(status(ask(port, "/healthz")), 200, "/healthz beside readers that do not read")
            page = ask(port, "/metrics")
            equal(status(page), 200, "/metrics beside them")
            check(len(page) > size * 0.9, f"{len(page)} bytes of {size} came")
            slowest = max(slowest, time.monotonic() - start)
            asked += 1
            for i, sock in enumerate(crowd_of):
                if i % 2 and not takes_a_byte(sock) or i % 10 == 0:
                    sock.close()
                    crowd_of[i] = deaf(port, "/metrics")
            part = steady.recv(max(size // 40, 1000))
            got += part
            steadies += 1
        steady.settimeout(10 * PATIENCE)
        rest = until_end(steady)
        check(len(got) + len(rest) > size * 0.7, f"who read on got {len(got) + len(rest)} of {size}")
        check((got + rest).endswith(b"\n"), f"its end: {(got + rest)[-80:]!r}")
        note(f"{size} bytes; asked {asked} times beside {len(crowd_of)}, the slowest pair took "
             f"{slowest * 1000:.0f} ms; who read on did so in {steadies} steps")
        for sock in crowd_of:
            sock.close()
        steady.close()


@test("a head that does not come to its end is cut off, however often something of it comes")
def slow_head():
    with Agent(listen="127.0.0.1:0") as agent:
        sock = connected(port_of(agent), 60)
        began = time.monotonic()
        sock.sendall(b"GET / HTTP/1.1\r\nX: ")
        sock.settimeout(0.5)
        while time.monotonic() - began < 60 * PATIENCE:
            try:
                sock.sendall(b"x")
                if not sock.recv(100):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            raise AssertionError("it is still there after a minute")
        note(f"cut off after {time.monotonic() - began:.1f} s")


def malformed(dice):
    """Something like a request, with something wrong in it."""
    path = dice.choice(PAGES)
    request = bytearray(
        f"{dice.choice(['GET', 'HEAD', 'get', 'POST', 'X' * 300, ''])}"
        f"{dice.choice([' ', '  ', chr(9), ''])}{path}"
        f"{dice.choice([' HTTP/1.1', ' HTTP/1.0', ' HTTP/3.7', ' HTTP/', ''])}\r\n"
        f"{dice.choice(['Host: localhost', 'Host:', 'Host : localhost', 'Host: a' + chr(10) + ' b', ''])}"
        f"{dice.choice([chr(13) + chr(10), chr(10), chr(13)])}"
        f"{dice.choice(['', 'Content-Length: -5', 'Content-Length: 18446744073709551616', 'Transfer-Encoding: chunked', 'Transfer-Encoding: x', 'X: ' + 'y' * dice.randrange(20000)])}"
        f"\r\n\r\n".encode())
    for _ in range(dice.randrange(4)):
        request[dice.randrange(len(request))] = dice.randrange(256)
    if dice.random() < 0.2:
        del request[dice.randrange(len(request)):]
    return bytes(request)


@test("10,000 malformed requests, and it answers as before")
def noise():
    dice = random.Random(7)
    with Agent(listen="127.0.0.1:0") as agent:
        port = port_of(agent)
        front = agent.children()["front"]
        answers = {}
        for i in range(1000 if SMALL else 10000):
            with connected(port) as sock:
                try:
                    sock.sendall(malformed(dice))
                    sock.shutdown(socket.SHUT_WR)
                    if i % 50 == 0:
                        got = status(sock.recv(100))
                        answers[got] = answers.get(got, 0) + 1
                except OSError:
                    pass
        note(f"every fiftieth answer: {dict(sorted(answers.items()))}")
        equal(status(ask(port, "/healthz")), 200, "afterwards")
        equal(agent.children().get("front"), front, "the front's pid")
        check(500 not in answers, f"{answers}")


@test("the front's memory stays small whatever is asked", needs=[needs_cgroups])
def memory():
    outer = group("many", limit=None)
    boxes = [harness.Group(outer, f"g{i}") for i in range(50 if SMALL else 300)]
    with Agent("targets: all\n", listen="127.0.0.1:0") as agent:
        port = port_of(agent)
        agent.target(boxes[-1].path)
        for _ in range(3):
            for path in PAGES:
                if path != "/api/v1/stream":
                    ask(port, path, "Accept-Encoding: gzip")
                    ask(port, path)
        rss = re.search(r"VmHWM:\s*(\d+) kB",
                        harness.read(f"/proc/{agent.children()['front']}/status")).group(1)
        targets = len(agent.targets())
        note(f"{targets} targets: at most {int(rss) / 1024:.1f} MiB")
        check(int(rss) < 64 << 10, f"the front took {rss} kB")


# --- names ------------------------------------------------------------------------------------------

def events(sock, wanted, seconds=20):
    """[(id, event, data)] of a stream until `wanted` says of one that it is the last."""
    text, found = b"", []
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        part = sock.recv(65536)
        check(part, f"the stream ended: {text[-300:]!r}")
        text += part
        *whole, text = text.split(b"\n\n")
        for block in whole:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
            if "data" in fields:
                event = (fields.get("id"), fields.get("event"), json.loads(fields["data"]))
                found.append(event)
                if wanted(*event):
                    return found
    raise AssertionError(f"it did not come: {[(i, e) for i, e, _ in found]}")


class Stream:
    """HTTP/1.0, so that no chunks are between the lines."""

    def __init__(self, agent, last=None):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20 * PATIENCE)
        self.sock.connect(agent.socket)
        more = f"Last-Event-ID: {last}\r\n" if last else ""
        self.sock.sendall(f"GET /api/v1/stream HTTP/1.0\r\n{more}\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.sock.recv(1)
        check(b"text/event-stream" in head, head)

    def until(self, wanted):
        return events(self.sock, wanted)

    def close(self):
        self.sock.close()


@test("hostile names are escaped in JSON, in /metrics and in the stream", needs=[needs_cgroups])
def names():
    outer = group("http", limit=None)
    paths = set()
    for i, name in enumerate(NAMES):
        box = box_of(outer, name)
        box.limit((i + 10) * MIB)
        paths.add((i + 10) * MIB)
    with Agent("targets: all\n", listen="127.0.0.1:0") as agent:
        port = port_of(agent)
        harness.wait_for(lambda: sum(row["cgroup"].startswith(outer.path + "/")
                                     for row in agent.targets()) == len(NAMES), 10, "all groups")
        body = ask(port, "/api/v1/targets").split(b"\r\n\r\n", 1)[1]
        check(not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", body), "control bytes in JSON")
        rows = [row for row in agent.targets() if row["cgroup"].startswith(outer.path + "/")]
        equal({row["own_limit"] for row in rows}, paths, "limits of the groups in JSON")
        for page in ("/metrics", "/metrics/cadvisor"):
            text = agent.get(page).body
            check(not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", text), f"control bytes in {page}")
            text.decode("utf-8")
            said = subprocess.run(["promtool", "check", "metrics"], input=text,
                                  capture_output=True) if shutil.which("promtool") else None
            if said:
                errors = [line for line in (said.stdout + said.stderr).decode().splitlines()
                          if "container_memory_failcnt" not in line]
                equal(errors, [], f"promtool about {page}")
        limits = {value for labels, value in
                  agent.metrics()["plimsoll_memory_own_limit_bytes"]
                  if labels["id"].startswith(outer.path + "/")}
        equal(limits, paths, "limits of the groups in /metrics")
        stream = Stream(agent)
        event = stream.until(lambda i, e, d: e == "snapshot")[-1]
        equal({row["own_limit"] for row in event[2]["targets"]
               if row["cgroup"].startswith(outer.path + "/")}, paths, "limits in the stream")
        stream.close()
        for row in rows:
            if "\ufffd" in row["cgroup"]:
                continue
            found = agent.json("/api/v1/targets?target=" + quoted(row["cgroup"]))["targets"]
            equal([r["uid"] for r in found], [row["uid"]], f"asked for by {row['cgroup']!r}")


def quoted(text):
    return "".join(f"%{byte:02x}" for byte in text.encode())


# --- the stream -------------------------------------------------------------------------------------

def followed(rows, found):
    """Applies events to {uid: row}."""
    for _, kind, data in found:
        if kind == "snapshot":
            rows.clear()
        for row in data.get("targets", []):
            rows.setdefault(row["uid"], {}).update(row)
        for uid in data.get("gone", []):
            rows.pop(uid, None)


@test("a stream tells what /targets tells, tick by tick, and goes on after a break",
      needs=[needs_cgroups])
def resumed():
    with Agent("targets: all\n") as agent:
        rows = {}
        first, second = group("one"), group("two")
        load = harness.Load("anon", 20, groups=[first])
        stream = Stream(agent)
        found = stream.until(lambda i, e, d: e == "tick")
        followed(rows, found)
        equal(found[0][1], "snapshot", "the first event")
        last = [i for i, _, _ in found if i][-1]
        stream.close()
        # Meanwhile one goes, one comes, one changes.
        path = second.path
        second.remove()
        third = group("three", limit=77 * MIB)
        time.sleep(2.5 * PATIENCE)
        stream = Stream(agent, last)
        found = stream.until(lambda i, e, d: e in ("tick", "snapshot"))
        equal(found[-1][1], "tick", "the first event after the break")
        followed(rows, found)
        found = stream.until(lambda i, e, d: e == "tick")
        followed(rows, found)
        stream.close()
        paths = {row["cgroup"]: row for row in rows.values()}
        check(path not in paths, "what went during the break is still there")
        equal(paths[third.path]["own_limit"], 77 * MIB, "limit of what came during the break")
        live = {row["uid"]: row for row in agent.targets()}
        same = [uid for uid in rows if uid in live]
        check(len(same) >= len(rows) - 5, f"{len(same)} of {len(rows)} are in /targets")
        for uid in same:
            for key in ("cgroup", "own_limit", "limit", "kind", "name"):
                equal(rows[uid].get(key), live[uid][key], f"{key} of {live[uid]['cgroup']}")
        equal(paths[first.path]["limit"], 400 * MIB, "limit")
        load.end()
        stream = Stream(agent, "17")
        equal(stream.until(lambda i, e, d: True)[0][1], "snapshot", "after an ancient break")
        stream.close()


main()
