"""`plimsoll heap`: what it shows is what other tools show, files are whole or not there, and what
lies, is hostile or enormous is refused or made visible."""
import contextlib
import gzip
import json
import os
import re
import resource
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import harness
from harness import (MIB, PATIENCE, Skip, check, equal, main, near, no_control_bytes, plimsoll,
                     test)
from runtimes import program

SOURCES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIXTURES = os.path.join(SOURCES, "fixtures", "profile")


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="plimsoll-heap-") as path:
        yield path


@contextlib.contextmanager
def running(*args):
    """A program that says a line when it is ready, and answers lines."""
    try:
        process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError as error:
        raise Skip(f"no {args[0]} here") from error
    try:
        line_of(process)
        yield process
    finally:
        process.kill()
        process.wait()


def line_of(process):
    check(select.select([process.stdout], [], [], 20 * PATIENCE)[0], f"{process.args} is silent")
    return process.stdout.readline()


def ask(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return line_of(process)


def go_with_pprof():
    return running(program("goheap-pprof"), "-keep", "6", "-garbage", "20")


def python_heap():
    return running("/usr/bin/python3", os.path.join(SOURCES, "loads", "rt", "heap.py"))


def needs_fixtures():
    if not os.path.isdir(FIXTURES):
        raise Skip("no fixtures here")


def needs_sources():
    if not os.path.exists(os.path.join(SOURCES, "loads", "rt", "heap.py")):
        raise Skip("no sources of loads here")


def needs_go():
    if not shutil.which("go"):
        raise Skip("no go")


def heap(*args, **how):
    found = plimsoll("heap", "--json", *args, **how).objects
    equal(len(found), 1, "documents")
    return found[0]


def pprof_top(*args):
    """{function: (flat, cum)} as `go tool pprof -top` says it."""
    done = subprocess.run(["go", "tool", "pprof", "-top", "-nodefraction=0", "-unit=B", *args],
                          capture_output=True, text=True, timeout=60 * PATIENCE,
                          env={**os.environ, "PPROF_TMPDIR": tempfile.gettempdir()})
    equal(done.returncode, 0, f"go tool pprof: {done.stderr}")
    rows = re.findall(r"^\s*(-?\d+)B?\s+\S+\s+\S+\s+(-?\d+)B?\s+\S+\s+(.*?)(?: \(inline\))?$",
                      done.stdout, re.M)
    check(rows, f"go tool pprof says nothing: {done.stdout}")
    return {name: (int(flat), int(cum)) for flat, cum, name in rows}


def top_of(profile, key="top"):
    return {row["function"]: (row["flat"], row["cum"]) for row in profile[key]}


# --- a process -------------------------------------------------------------------------------

@test("a Go program's profile is that of go tool pprof, in what is shown and in what is saved",
      [needs_go])
def _():
    with go_with_pprof() as go, folder() as place:
        out = f"{place}/heap.pb.gz"
        shown = heap("--out", out, go.pid)
        equal(top_of(shown["profile"]), pprof_top("-sample_index=inuse_space", out), "in use")
        equal(top_of(shown["profile"], "top_alloc"), pprof_top("-sample_index=alloc_space", out),
              "allocated")
        count = json.loads(ask(go, "stats"))
        check(shown["runtime"].startswith("go 1."), shown["runtime"])
        near(sum(group["count"] for group in shown["goroutines"]),
             shown["figures"]["goroutines"], 3, "goroutines")
        check(shown["rss"] > 6 * MIB, f"rss {shown['rss']}, {count}")
        equal(heap(out)["profile"], shown["profile"], "the file and the process")


@test("--diff shows what grew in between, and its file is a growth for go tool pprof", [needs_go])
def _():
    with go_with_pprof() as go, folder() as place:
        out, page = f"{place}/growth.pb.gz", f"{place}/growth.html"
        stream = harness.Stream("heap", "--json", "--diff", "2", "--out", out, "--flame", page,
                                go.pid)
        time.sleep(1)
        ask(go, "make 40")
        stream.read_for(30 * PATIENCE, lambda raw: raw.endswith(b"\n"))
        found = stream.objects()[0]
        # Go's profile is that of the collection before the last: not all of it is there yet.
        growth = found["profile"]["top_alloc"][0]
        check(growth["function"] == "main.garbage" and growth["flat"] > MIB, f"{growth}")
        check(found["diff_ms"] >= 2000, f"{found['diff_ms']}")
        check(found["figures"]["allocated"]["growth"] > 20 * MIB, f"{found['figures']}")
        equal(top_of(found["profile"]), pprof_top("-sample_index=inuse_space", out), "growth")
        with open(page, encoding="utf-8") as file:
            check('"diff":true' in file.read(), "the page is none of a growth")


@test("types are saved, and two such files are compared", [needs_sources])
def _():
    with python_heap() as python, folder() as place:
        one, two = f"{place}/1.pb.gz", f"{place}/2.pb.gz"
        before = heap("--out", one, python.pid)
        ask(python, "disable")
        ask(python, "garbage")
        after = heap("--out", two, python.pid)
        counts = [{row["name"]: row["count"] for row in look["types"]} for look in (before, after)]
        found = heap(one, two)
        for row in found["types"]:
            equal((row["count_before"], row["count"]),
                  tuple(look.get(row["name"], 0) for look in counts), row["name"])
            equal(row["count_growth"], row["count"] - row["count_before"], row["name"])
        check(found["types"][0]["count_growth"] >= 50000, f"{found['types'][0]}")
        grown = plimsoll("heap", "--top", "1", one, two).out
        check(re.search(r"^ *[-+].* \+[5-9]\d{4}", grown, re.M), grown)


@test("sort and top order and bound the types", [needs_sources])
def _():
    with python_heap() as python:
        for key in ("bytes", "count", "name"):
            found = heap("--sort", key, "--top", "7", python.pid)["types"]
            equal(len(found), 7, "rows")
            values = [row[key] or 0 for row in found]
            equal(values, sorted(values, reverse=key != "name"), f"order by {key}")


# --- files -----------------------------------------------------------------------------------

@test("two files of Go are compared as go tool pprof -diff_base does", [needs_fixtures, needs_go])
def _():
    files = [f"{FIXTURES}/go-heap.pb.gz", f"{FIXTURES}/go-heap-grown.pb.gz"]
    equal(top_of(heap(*files)["profile"]),
          pprof_top("-sample_index=inuse_space", "-diff_base", *files), "growth")
    with folder() as place:
        plimsoll("heap", "--out", f"{place}/diff.pb.gz", *files)
        equal(pprof_top("-sample_index=inuse_space", f"{place}/diff.pb.gz"),
              pprof_top("-sample_index=inuse_space", "-diff_base", *files), "the saved growth")


@test("goroutines as text and a profile of V8 are files too", [needs_fixtures])
def _():
    found = heap(f"{FIXTURES}/go-goroutines.txt")
    equal(sum(group["count"] for group in found["goroutines"]), 54, "goroutines")
    found = heap(f"{FIXTURES}/node.heapprofile")
    check(found["profile"]["top"][0]["flat"] > 10 * MIB, f"{found['profile']['top'][0]}")
    plain = plimsoll("heap", "--plain", f"{FIXTURES}/node.heapprofile").out
    check(plain.startswith("inuse_space\t"), plain[:100])


@test("a file is replaced as a whole, links are followed, and what failed changed nothing",
      [needs_fixtures])
def _():
    good = f"{FIXTURES}/go-heap.pb.gz"
    with folder() as place:
        out, link = f"{place}/out.pb.gz", f"{place}/link"
        with open(out, "wb") as file:
            file.write(b"old")
        os.chmod(out, 0o640)
        os.symlink("out.pb.gz", link)
        for bad in (("--out", link, "999999999"), ("--out", link, "/etc/passwd")):
            check(plimsoll("heap", *bad, code=1).err, "no reason")
        with open(out, "rb") as file:
            equal(file.read(), b"old", "a file that was not to be written")
        plimsoll("heap", "--out", link, good)
        check(os.path.islink(link), "the link is gone")
        equal(stat.S_IMODE(os.stat(out).st_mode), 0o640, "mode")
        equal(heap(out)["profile"], heap(good)["profile"], "what was written")
        for path in (f"{place}/none/x", place):
            check(path in plimsoll("heap", "--out", path, good, code=1).err, "no reason")
        to_pipe = plimsoll("heap", "--out", "/dev/stdout", "--json", good).raw
        equal(to_pipe[:2], b"\x1f\x8b", "what was written into a pipe")
        equal(sorted(os.listdir(place)), ["link", "out.pb.gz"], "files left behind")


# --- the hostile and the enormous ------------------------------------------------------------

def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def profile(names, value=lambda i: 1000):
    """profile.proto of one-frame stacks, one of each name."""
    out = [field(1, b"\x08\x01\x10\x02"), field(6, b""), field(6, b"inuse_space"),
           field(6, b"bytes")]
    for i, name in enumerate(names, 1):
        out += [field(6, name), field(5, b"\x08" + varint(i) + b"\x10" + varint(i + 2)),
                field(4, b"\x08" + varint(i) + field(4, b"\x08" + varint(i))),
                field(2, field(1, varint(i)) + field(2, varint(value(i) % (1 << 64))))]
    return b"".join(out)


ODD = [b"\x1b[2J\x1b]0;owned\x07", b"</script><script>alert(1)</script>", b"a\nb\tc\rd",
       b'"quoted\\"', "\u202egnp.exe".encode(), b"\xff\xfe broken \xc0\xaf", b"nul\0inside",
       b"<img src=x onerror=alert(1)>", b"", b"x" * 4000]


@test("hostile names are visible, JSON is valid and no tag gets into the page")
def _():
    with folder() as place:
        path, page = f"{place}/odd.pb", f"{place}/odd.html"
        with open(path, "wb") as file:
            file.write(profile(ODD))
        text = plimsoll("heap", "--top", "all", "--flame", page, path).raw
        no_control_bytes(text, "names")
        found = heap(path)["profile"]["top"]
        equal(len(found), len(ODD), "functions")
        check(any(row["function"] == "</script><script>alert(1)</script>" for row in found),
              "a name was changed in JSON")
        with open(page, encoding="utf-8") as file:
            html = file.read()
        equal(len(re.findall(r"<\s*script", html, re.I)), 2, "script tags")
        equal(html.count("</script>"), 2, "their ends")
        check("<img" not in html, "a tag of a name")
        check(not re.search(r"(src|href)\s*=\s*\"(?!data:)", html), "something is fetched")
        data = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
        equal(len(data["top"]), len(ODD), "functions on the page")


@test("values at the ends of their range are no crash and no nonsense")
def _():
    values = [(1 << 63) - 1, -(1 << 63), (1 << 63) - 1, -5, 0]
    with folder() as place:
        one, two = f"{place}/1.pb", f"{place}/2.pb"
        for path, of in ((one, values), (two, values[::-1])):
            with open(path, "wb") as file:
                file.write(profile([b"f%d" % i for i in range(5)], lambda i: of[i - 1]))
        top = top_of(heap(one)["profile"])
        equal(top["f0"][0], (1 << 63) - 1, "the largest")
        equal(top["f1"][0], 1 - (1 << 63), "the least that has an opposite")
        plimsoll("heap", "--flame", f"{place}/x.html", "--out", f"{place}/x.pb.gz", one, two)
        plimsoll("heap", f"{place}/x.pb.gz")


def bombs():
    zeros = gzip.compress(bytes(96 * MIB), 6)
    yield "zeros", zeros
    yield "members", zeros[:-8] + gzip.compress(b"") * 1000
    yield "empty samples", profile([]) + b"\x12\x00" * (8 * MIB)
    yield "empty texts", profile([]) + b"\x32\x00" * (8 * MIB)
    yield "packed", profile([]) + field(2, field(1, b"\x01" * (40 * MIB)))
    yield "names", gzip.compress(profile(b"%d" % i + b"x" * 500 for i in range(120000)), 1)
    yield "deep json", b'{"head":' + b'{"children":[' * MIB
    yield "wide json", b'{"head":[' + b"0," * (7 * MIB) + b"0]}"
    yield "nothing", b""


@test("bombs are refused with a reason, soon and in bounded memory, or shown")
def _():
    with folder() as place:
        path = f"{place}/bomb"
        for name, data in bombs():
            with open(path, "wb") as file:
                file.write(data)
            said = plimsoll("heap", "--flame", f"{place}/x.html", path, code=None, timeout=60)
            check(said.code in (0, 1), f"{name}: {said.code} {said.err}")
            equal(said.code == 1, bool(said.err), f"{name}: a reason")
            check("broke down" not in said.err, f"{name}: {said.err}")
            harness.note(f"{name}: {said.err.strip() or 'shown'}")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        check(peak < 512 * 1024, f"{peak >> 10} MiB of memory")


@test("what cannot be asked is told, with the code that says failed or usage")
def _():
    for args, code in ((("999999999",), 1), (("2147483648",), 2), (("0",), 2), ((), 2),
                       (("1", "2"), 2), (("a", "b", "c"), 2), (("/dev/zero",), 1), (("/",), 1),
                       (("--diff", "1", "file"), 2), (("--sort", "age", "1"), 2),
                       (("--port", "0", "1"), 2), (("--out", "x", "--flame", "x", "1"), 2)):
        check(plimsoll("heap", *args, code=code).err.startswith("plimsoll: "), f"{args}")
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    sleeper.kill()  # a zombie
    time.sleep(0.1)
    check(str(sleeper.pid) in plimsoll("heap", sleeper.pid, code=1).err, "a zombie")
    sleeper.wait()


if __name__ == "__main__":
    main(at_once=4)
