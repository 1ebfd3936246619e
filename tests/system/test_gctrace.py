"""`plimsoll gctrace`: the collector's lines are taken out of a program's stderr, and nothing else is
touched. What it says is compared with the lines as the program itself writes them."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
import urllib.error
import urllib.request

from harness import (PATIENCE, SMALL, Skip, check, equal, main, near, note, scratch_dir, test,
                     wait_for)
import harness

_kept = []


def folder():
    """For files of megabytes; taken away at the end."""
    _kept.append(tempfile.TemporaryDirectory(prefix="plimsoll-gctrace-", dir=scratch_dir()))
    return _kept[-1].name


GC = ("gc {n} @{n}.026s 2%: 0.018+1.9+0.003 ms clock, 0.036+0.59/0.12/0.22+0.006 ms cpu, "
      "4->4->{n} MB, 5 MB goal, 0 MB stacks, 0 MB globals, 2 P")
LINES = 100_000 if SMALL else 1_000_000


def gc(n, forced=False):
    return (GC.format(n=n) + (" (forced)" if forced else "")).encode()


def needs_inspect():
    beside = os.path.join(os.path.dirname(harness.options.binary), "plimsoll-inspect")
    if not os.access(beside, os.X_OK):
        raise Skip("this build has no plimsoll-inspect")


def godemo():
    path = os.path.join(harness.options.loads, "godemo")
    if not os.access(path, os.X_OK):
        raise Skip("no Go program was built: there is no Go compiler")
    return path


def argv(*words):
    return [harness.options.binary, "gctrace", *words]


def run(*words, code=0, **more):
    """Both outputs as bytes."""
    done = subprocess.run(argv(*words), capture_output=True, timeout=60 * PATIENCE, **more)
    equal(done.returncode, code, f"exit code of {words} ({done.stderr[-300:]!r})")
    return done.stdout, done.stderr


def of_sh(script, *words, code=0, **more):
    return run(*words, "--", "sh", "-c", script, code=code, **more)


def objects(out):
    return [json.loads(line) for line in out.splitlines()]


def own(err):
    """What the program wrote to stderr: all before our summary."""
    text, mark, _ = err.rpartition(b"gctrace: ")
    check(mark, f"no summary in {err[-300:]!r}")
    return text


# --- what a real Go program says -----------------------------------------------------------------

@test("a Go program's own lines, and each collection as Go writes it", [needs_inspect])
def _():
    words = [godemo(), "-step", "5", "-seconds", "1", "saw", "40"]
    out, err = run("--keep", "--json", "--", *words)
    found = objects(out)
    lines = [line for line in err.decode().splitlines() if re.match(r"gc \d+ @", line)]
    summary = found.pop()["summary"]
    equal((len(found), summary["collections"]), (len(lines), len(lines)), "collections")
    check(len(lines) >= 4, f"{len(lines)} collections: no proof")
    for line, one in zip(lines, found):
        wanted = re.match(r"gc (\d+) @[\d.]+s (\d+)%: ([\d.]+)\+([\d.]+)\+([\d.]+) ms clock, .* ms cpu, "
                          r"(\d+)->(\d+)->(\d+) MB, (\d+) MB goal, .* (\d+) P( \(forced\))?$", line)
        check(wanted, f"another format: {line}")
        number, share, first, mark, last, start, end, live, goal, procs, forced = wanted.groups()
        equal([one[key] for key in ("gc", "gc_cpu_pct", "procs", "forced")],
              [int(number), int(share), int(procs), bool(forced)], line)
        equal([one[key] >> 20 for key in ("heap_start", "heap_end", "live", "goal")],
              [int(x) for x in (start, end, live, goal)], line)
        near(one["pause_ns"], (float(first) + float(last)) * 1e6, 1, line)
        near(one["clock_ns"], (float(first) + float(mark) + float(last)) * 1e6, 2, line)
    pauses = sorted(one["pause_ns"] for one in found)
    equal(summary["pause_max_ns"], pauses[-1], "the longest pause")
    near(summary["pause_p50_ns"], pauses[(len(pauses) + 1) // 2 - 1], pauses[-1] // 100, "p50")
    equal(summary["pause_total_ns"], sum(pauses), "all pauses")
    equal(summary["heap_max"], max(max(o["heap_start"], o["heap_end"]) for o in found), "heap_max")
    check(b"heap inuse=" in err, "the program's own last line")


@test("a collection that the program forces is counted as one", [needs_inspect])
def _():
    out, err = of_sh(f"echo '{gc(1).decode()}' >&2; echo '{gc(2, True).decode()}' >&2; "
                     "echo 'GC forced' >&2; " f"echo '{gc(3).decode()}' >&2", "--json")
    summary = objects(out)[-1]["summary"]
    equal([summary[k] for k in ("collections", "forced", "periodic", "live_trend")],
          [3, 1, 1, "unknown"], "summary")
    equal(err, b"", "nothing of the program's")


@test("as a filter it reads a recording, with the recording's own times", [needs_inspect])
def _():
    text = b"".join(gc(n) + b"\n" for n in range(1, 100))
    out, _ = run("--json", "-", input=text)
    found = objects(out)
    equal([one["at_ms"] for one in found[:-1]], [n * 1000 + 26 for n in range(1, 100)], "times")
    summary = found[-1]["summary"]
    equal(summary["live_trend"], "growing", "one MiB more each second")
    near(summary["live_bytes_per_h"], 3600 << 20, 36 << 20, "slope")
    out, err = run("-", input=b"hello\n" + text + b"end")
    equal(out, b"hello\nend", "a filter's text goes on")
    check(b"growing, +3.5" in err, err)


@test("programs at once are told apart, also when their lines come through one pipe", [needs_inspect])
def _():
    line = GC.replace("@{n}.026s", "@{t}s")
    text = b""
    for n in range(1, 31):
        for program in (0, 1):
            text += line.format(n=n, t=f"{n * 0.065 + program * 0.007:.3f}").encode() + b"\n"
    summary = objects(run("--json", "-", input=text)[0])[-1]["summary"]
    equal([summary[k] for k in ("collections", "programs", "live_trend", "gc_cpu_pct")],
          [60, 2, "unknown", None], "summary")
    equal(summary["duration_ms"], 29 * 65 + 7, "duration")
    _, err = run("-", input=text)
    check(b"60 collections in 1.89s, of 2 programs\n" in err, err)


@test("lines behind a log's prefix count and go on, quotes and all else are the program's, "
      "a terminal's line ends are read", [needs_inspect])
def _():
    text = (b"web-1  | " + gc(1) + b"\nweb-1  | hello\nlog: the last was: " + gc(9) + b"\nnext\n" +
            gc(2) + b"\r\nmore\r\n")
    out, err = run("-", input=text)
    equal(out, text.replace(gc(2) + b"\r\n", b""), "what went on")
    check(b"gctrace: 2 collections in 1.00s\n" in err, err)


@test("what cannot be written is told, and the exit code says so", [needs_inspect])
def _():
    for words, code in (((), 1), (("-c", "exit 3"), 3)):
        script = words or ("-c", f"echo '{gc(1).decode()}' >&2")
        with open("/dev/full", "wb") as full:
            done = subprocess.run(argv("--json", "--", "sh", *script), stdout=full,
                                  stderr=subprocess.PIPE, timeout=20 * PATIENCE)
        equal(done.returncode, code, "exit code")
        check(b"could not be written" in done.stderr, done.stderr)


# --- the program's own bytes ---------------------------------------------------------------------

@test("lines, parts of lines, control bytes, NUL and a line of 10 MB go through byte for byte",
      [needs_inspect])
def _():
    pieces = [b"plain\n", b"\x1b[31mred\x1b[0m \x1b]0;title\x07\n", b"\0\0nul\0\n", b"\xff\xfe\n",
              b"gc 12 foo\n", b"gcc: error\n", b"gc 7 @", b"\n", b"progress 10%\r", b"\n\n",
              b"x" * (10 << 20) + b"\n", b"gc 1 @" * 3000 + b"\n", b"scvg: what\n", b"last, no newline"]
    wanted = b"".join(pieces)
    data = b"".join(piece + (gc(i + 1) + b"\n" if piece.endswith((b"\n", b"\r")) else b"")
                    for i, piece in enumerate(pieces))
    with open(os.path.join(folder(), "mixed"), "wb") as file:
        file.write(data)
    _, err = run("--", "sh", "-c", f"cat {file.name} >&2")
    equal(len(own(err)), len(wanted), "bytes")
    check(own(err) == wanted, "the bytes differ")
    collections = sum(piece.endswith((b"\n", b"\r")) for piece in pieces)
    check(f"gctrace: {collections} collections".encode() in err, err[-600:])
    out, _ = run("-", input=data)
    check(out == wanted, "as a filter the bytes differ")


@test("of a million mixed lines none is lost, none comes out of order", [needs_inspect])
def _():
    name = os.path.join(folder(), "million")
    with open(name, "wb") as file:
        for i in range(0, LINES, 10):
            file.write(b"".join(b"line %d of the program's\n" % n for n in range(i, i + 9)))
            file.write(gc(i // 10 + 1) + b"\n")
    begun = time.monotonic()
    with open(name + ".err", "wb") as err:
        done = subprocess.run(argv("--", "sh", "-c", f"cat {name} >&2"), stderr=err,
                              timeout=120 * PATIENCE)
    equal(done.returncode, 0, "exit code")
    note(f"{LINES} lines in {time.monotonic() - begun:.2f} s")
    with open(name + ".err", "rb") as file:
        text = own(file.read())
    wanted = b"".join(b"line %d of the program's\n" % n for n in range(LINES) if n % 10 < 9)
    check(text == wanted, f"{len(text)} bytes, not {len(wanted)}, or in another order")
    with open(name + ".err", "rb") as file:
        check(f"gctrace: {LINES // 10} collections".encode() in file.read(), "collections")


@test("a line that comes into the middle of the collector's leaves both whole", [needs_inspect])
def _():
    line = gc(5)
    ends = (b"@", b"s ", b"%: ", b"+", b"/", b" ms clock, ", b"->", b" MB, ", b" goal, ")
    for at in [line.index(end) + len(end) for end in ends]:  # the runtime's pieces end so
        data = line[:at] + b"[a log line]\n" + line[at:] + b"\nafter\n"
        out, _ = run("-", input=data)
        equal(out, b"[a log line]\nafter\n", f"cut at {at}")


# As Go's runtime writes: each number and each word between them by itself.
PIECES = r"""
import os, re, sys, threading
line = sys.argv[1]
def lines():
    for i in range(4000):
        os.write(2, b"2026/11/21 12:00:00 line %d\n" % i)
def collections():
    for n in range(1, 201):
        for piece in re.findall(r"[0-9.]+|[^0-9.]+", line.replace("#", str(n))) + ["\n"]:
            os.write(2, piece.encode())
threads = [threading.Thread(target=lines), threading.Thread(target=collections)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@test("of lines between the pieces that Go writes, and of those pieces, none is lost",
      [needs_inspect])
def _():
    out, err = run("--json", "--", "/usr/bin/python3", "-c", PIECES, GC.format(n="#"))
    wanted = b"".join(b"2026/11/21 12:00:00 line %d\n" % i for i in range(4000))
    check(err == wanted, f"{len(err)} bytes, not {len(wanted)}, or others")
    *found, last = objects(out)
    equal([one["gc"] for one in found], list(range(1, 201)), "collections")
    note(f"{last['summary']['mended']} of 200 had lines between their pieces")
    check(last["summary"]["mended"] > 0, "none of them was interrupted: no proof")


@test("a question without newline is seen before it is answered", [needs_inspect])
def _():
    child = subprocess.Popen(argv("--", "sh", "-c", "printf 'your name, g' >&2; read x; echo $x >&2"),
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    fcntl.fcntl(child.stderr, fcntl.F_SETFL, os.O_NONBLOCK)
    seen = b""

    def asked():
        nonlocal seen
        seen += child.stderr.read() or b""
        return seen == b"your name, g"
    wait_for(asked, 10, "the question")
    os.set_blocking(child.stderr.fileno(), True)
    _, err = child.communicate(b"me\n", timeout=20 * PATIENCE)
    check(err.startswith(b"me\n"), err)


@test("a reader who does not read stops the program, and none of it is lost", [needs_inspect])
def _():
    script = "i=0; while [ $i -lt 200 ]; do head -c 65536 /dev/zero >&2; i=$((i+1)); echo $i; done"
    child = subprocess.Popen(argv("--", "sh", "-c", script), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(child.stdout))
    reader.start()
    seen = [0]

    def stands():
        time.sleep(0.3)
        seen.append(len(lines))
        return seen[-1] and seen[-1] == seen[-2]
    wait_for(stands, 30, "the program to stand still")
    stopped = seen[-1]
    check(stopped < 150, f"{stopped} of 200 blocks written, and nobody reads")
    err = child.stderr.read()
    reader.join()
    equal(child.wait(), 0, "exit code")
    equal(len(own(err)), 200 * 65536, "bytes")


# --- a program started by us ---------------------------------------------------------------------

@test("stdin, stdout and the exit code are the program's own", [needs_inspect])
def _():
    out, err = of_sh("cat; echo err >&2; exit 7", code=7, input=b"\0in")
    equal((out, own(err)), (b"\0in", b"err\n"), "outputs")
    out, err = of_sh("echo out; echo err >&2; exit 9", "--json", code=9)
    equal(err, b"out\nerr\n", "with --json both are on stderr")
    equal(list(objects(out)[0]), ["summary"], "and stdout is JSON")
    equal(objects(out)[0]["summary"]["collections"], 0, "collections")
    run("--", "/nowhere/at/all", code=127)
    run("--", "/etc/passwd", code=126)
    run(code=2)
    run("--sparks", "--", "true", code=2)


@test("signals reach the program, and its death is told as a shell tells it", [needs_inspect])
def _():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT):
        script = f"trap 'echo got; exit 5' {number.value}; echo ready; while :; do sleep 0.05; done"
        child = subprocess.Popen(argv("--", "sh", "-c", script), stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        equal(child.stdout.readline(), b"ready\n", "first line")
        child.send_signal(number)
        equal((child.stdout.read(), child.wait()), (b"got\n", 5), number.name)
    of_sh("kill -KILL $$", code=137)
    of_sh("kill -SEGV $$", code=139)


@test("GODEBUG keeps what it had, and gctrace is added", [needs_inspect])
def _():
    env = dict(os.environ, GODEBUG="madvdontneed=1")
    out, _ = of_sh('echo "$GODEBUG"', env=env)
    equal(out, b"madvdontneed=1,gctrace=1,scavtrace=1\n", "GODEBUG")
    env.pop("GODEBUG")
    out, _ = of_sh('echo "$GODEBUG"', env=env)
    equal(out, b"gctrace=1,scavtrace=1\n", "GODEBUG")


@test("it ends with its program, also when another process keeps the pipe", [needs_inspect])
def _():
    begun = time.monotonic()
    of_sh("sleep 30 >/dev/null & echo started >&2", stdin=subprocess.DEVNULL)
    check(time.monotonic() - begun < 20, "it waited for the other process")


def on_terminal(place, *words):
    """Everything a terminal of 24 x 80 gets, and the exit code. It runs in the place,
    where a file `drawn` is made when the line has been drawn."""
    env = dict(os.environ, TERM="xterm", LANG="C.UTF-8")
    fd, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = subprocess.Popen(words, stdin=inner, stdout=inner, stderr=inner, env=env,
                             start_new_session=True, cwd=place)
    os.close(inner)
    seen = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        seen += piece
        if b"live " in seen:
            open(os.path.join(place, "drawn"), "wb").close()
    os.close(fd)
    return seen, child.wait()


@test("--spark draws below a region of its own, and gives the terminal back", [needs_inspect])
def _():
    script = (f"echo '{gc(1).decode()}' >&2; echo one; echo two >&2; i=0; "
              "while [ ! -e drawn ] && [ $i -lt 600 ]; do sleep 0.05; i=$((i+1)); done; "
              "printf 'three> ' >&2; exit 4")
    with tempfile.TemporaryDirectory(prefix="plimsoll-") as place:
        seen, code = on_terminal(place, *argv("--spark", "--", "sh", "-c", script))
    equal(code, 4, "exit code")
    check(b"\x1b[1;23r" in seen and b"\x1b[24;1H" in seen, f"no region: {seen!r}")
    check(b"live 1.00M" in seen and "\u2588".encode() in seen, f"no line: {seen!r}")
    check(seen.rindex(b"\x1b[r") > seen.rindex(b"\x1b[1;23r"), "the region is not given back")
    plain = re.sub(rb"\x1b7.*?\x1b8|\x1bD\x1b\[A", b"", seen).partition(b"gctrace: ")[0]
    equal(plain, b"one\r\ntwo\r\nthree> ", "the program's own")
    _, err = of_sh("echo x >&2", "--spark")
    equal(own(err), b"x\n", "without a terminal nothing is drawn")


# --- the page ------------------------------------------------------------------------------------

def ask(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as got:
            return got.status, got.headers, got.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def serving(*words):
    child = subprocess.Popen(argv(*words, "--", "sh", "-c", f"echo '{gc(1).decode()}' >&2; read x"),
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    line = child.stderr.readline().decode()
    found = re.search(r"http://\S+/", line)
    check(found, line)
    return child, found.group()


@test("nothing is listened on unless it is asked for, and then on the loopback", [needs_inspect])
def _():
    out, _ = of_sh("ls -l /proc/$PPID/fd; ss -tlnp 2>/dev/null | grep -c pid=$PPID, || true")
    check(b"socket:" not in out, out)
    run("--listen", "0.0.0.0:0", "--", "true", code=125)
    run("--listen", "127.0.0.1", "--", "true", code=2)


@test("the page's data is for our own page and for whoever asks us by our name", [needs_inspect])
def _():
    child, url = serving("--listen", "127.0.0.1:0")
    wait_for(lambda: json.loads(ask(url + "api/v1/gctrace")[2])["points"], 10, "the collection")
    status, headers, body = ask(url)
    equal(status, 200, "the page")
    check("default-src 'self'" in headers["Content-Security-Policy"], headers)
    equal(ask(url + "api/v1/gctrace", Host="evil.example")[0], 421, "another Host")
    equal(ask(url + "api/v1/gctrace", Origin="http://evil.example")[0], 403, "another origin")
    equal(ask(url + "api/v1/nothing")[0], 404, "no such page")
    child.communicate(b"\n", timeout=20)
    equal(child.returncode, 0, "exit code")


@test("a token is asked for where one is set", [needs_inspect])
def _():
    name = os.path.join(folder(), "token")
    with open(name, "w", encoding="ascii") as file:
        file.write("0123456789abcdef0123\n")
    child, url = serving("--listen", "127.0.0.1:0", "--token-file", name)
    equal(ask(url)[0], 200, "the page itself")
    equal(ask(url + "api/v1/gctrace")[0], 401, "without a token")
    equal(ask(url + "api/v1/gctrace", Authorization="Bearer nonsense")[0], 401, "a wrong one")
    equal(ask(url + "api/v1/gctrace", Authorization="Bearer 0123456789abcdef0123")[0], 200, "ours")
    child.communicate(b"\n", timeout=20)


if __name__ == "__main__":
    main(needs_programs=False, at_once=4)
