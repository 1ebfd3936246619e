"""Each static check passes a good tree and fails when one thing is broken in it."""
import re
import contextlib
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from harness import check, equal, main, test  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD = """#include "kern/a.h"

int a_sum(const int *value, int n) {
    int sum = 0;

    for (int i = 0; i < n; i++)
        sum += value[i];
    return sum;
}
"""
HEADER = "#pragma once\n\nint a_sum(const int *value, int n);\n"


@contextlib.contextmanager
def tree(text=GOOD):
    """A small source tree whose src/kern/a.c is text."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "src/kern").mkdir(parents=True)
        (folder / "src/kern/a.c").write_text(text)
        (folder / "src/kern/a.h").write_text(HEADER)
        for name in (".clang-format", ".clang-tidy"):
            shutil.copy(ROOT / name, folder)
        (folder / "build").mkdir()
        (folder / "build/compile_commands.json").write_text(json.dumps([{
            "directory": str(folder / "build"), "file": "../src/kern/a.c",
            "command": "cc -I../src -std=gnu17 -O2 -c ../src/kern/a.c"}]))
        yield folder


def run_tool(folder, *words):
    done = subprocess.run([ROOT / "tools" / words[0], *words[1:]], cwd=folder, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def passes_and_fails(words, bad, says):
    with tree() as folder:
        status, text = run_tool(folder, *words)
        equal(status, 0, f"status on the good tree ({text})")
    with tree(bad) as folder:
        status, text = run_tool(folder, *words)
        check(status != 0, f"the broken tree passed: {text}")
        check(says in text, f"does not say {says!r}: {text}")


@test("check_layers: an arrow upwards")
def layers():
    passes_and_fails(["check_layers"], '#include "sampler/sampler.h"\n' + GOOD,
                     "kern may not use sampler")


@test("check_layers: an include beside the table")
def layers_without_folder():
    passes_and_fails(["check_layers"], '#include "a.h"\n' + GOOD, "folder/file.h")


@test("check_layers: its table is the one the libraries are linked by")
def layers_agree():
    source = (ROOT / "tools/check_layers").read_text()
    table = source[source.index("ALLOWED = {"):source.index("}") + 1]
    scope = {}
    exec(table, scope)
    linked = {}
    rows = re.findall(r"^ +\['(\w+)', \[([^]]*)\]", (ROOT / "src/meson.build").read_text(), re.M)
    for name, uses in rows:
        linked[name] = " ".join(re.findall(r"\w+", uses))
    equal(linked, scope["ALLOWED"], "src/meson.build")


@test("check_format: a line not as clang-format writes it")
def formatted():
    passes_and_fails(["check_format"], GOOD.replace("    int sum", "  int sum"), "clang-formatted")


@test("check_format --fix mends it")
def formatted_again():
    with tree(GOOD.replace("    int sum", "  int sum")) as folder:
        equal(run_tool(folder, "check_format", "--fix")[0], 0, "status of --fix")
        equal((folder / "src/kern/a.c").read_text(), GOOD, "the file")


@test("check_sizes: a function without its reason, too long, too complex")
def sizes():
    long = GOOD.replace("    return", "    sum++;\n" * 115 + "    return")
    passes_and_fails(["check_sizes", "src"], long, "needs a reason")
    with tree(long) as folder:
        (folder / "tools").mkdir()
        (folder / "tools/size_reasons.txt").write_text("src/kern/a.c a_sum: one table\n")
        equal(run_tool(folder, "check_sizes", "src")[0], 0, "status with a reason")
    passes_and_fails(["check_sizes", "src"],
                     GOOD.replace("    return", "    sum++;\n" * 250 + "    return"), "too large")
    passes_and_fails(["check_sizes", "src"],
                     GOOD.replace("    return", "    if (n)\n        sum++;\n" * 51 + "    return"),
                     "too large")


@test("check_text: a path of one machine, a trailing blank, a merge mark, no last newline")
def text():
    home = "/".join(("", "home", "me", "x"))
    for bad, says in ((f"/* {home} */\n", "path of one machine"), ("int a; \n", "trailing blank"),
                      ("<" * 7 + " HEAD\n", "merge conflict"), ("int a;", "no newline")):
        with tree(bad) as folder:
            subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
            subprocess.run(["git", "add", "src"], cwd=folder, check=True)
            status, said = run_tool(folder, "check_text")
            check(status == 1 and says in said, f"{says}: status {status}, {said}")
            (folder / "src/kern/a.c").write_text(GOOD)
            status, said = run_tool(folder, "check_text")
            equal((status, said), (0, ""), "the good tree")


@test("check_deep tidy: a semicolon that makes a loop do nothing")
def tidy():
    passes_and_fails(["check_deep", "tidy", "build"],
                     GOOD.replace("i++)\n        sum", "i++);\n        sum").replace("int i = 0;", "i = 0;")
                         .replace("sum = 0;", "sum = 0, i;"),
                     "bugprone-suspicious-semicolon")


@test("check_deep cppcheck: a read past an array")
def cppcheck():
    passes_and_fails(["check_deep", "cppcheck", "build"],
                     GOOD.replace("return sum", "int few[2] = {0};\n    return few[2] + sum"),
                     "arrayIndexOutOfBounds")


@test("check_deep analyzer: freed twice")
def analyzer():
    bad = "#include <stdlib.h>\n" + GOOD.replace(
        "return sum", "char *p = malloc(9);\n    if (sum > 3)\n        free(p);\n    free(p);\n"
        "    return sum")
    passes_and_fails(["check_deep", "analyzer", "build"], bad, "analyzer-double-free")


@test("check_deep: what was clean is looked at again when a header changes")
def looked_at_again():
    with tree() as folder:
        equal(run_tool(folder, "check_deep", "analyzer", "build")[0], 0, "first")
        (folder / "src/kern/a.h").write_text("#error changed\n")
        check(run_tool(folder, "check_deep", "analyzer", "build")[0] != 0, "the change is not seen")



@contextlib.contextmanager
def page(**files):
    """Made pages of small files, and FILES instead of them."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in ("index.html", "app.js", "app.css", "icon.svg", "gctrace.html", "gctrace.js",
                     "gctrace.css"):
            (folder / name).write_bytes(files.get(name.replace(".", "_"), b"small\n"))
        yield folder


@test("check_page passes a small page and says what it weighs")
def page_small():
    with page() as folder:
        status, text = run_tool(folder, "check_page", str(folder))
    equal(status, 0, text)
    check(re.search(r"page: 0\.\d kB of 150 kB gzipped \(index\.html", text), text)


@test("check_page fails a page that is too large, and one that lacks a file")
def page_large():
    with page(app_js=random.Random(5).randbytes(150_001)) as folder:
        status, text = run_tool(folder, "check_page", str(folder))
        check(status != 0 and "bytes too large" in text, text)
        (folder / "app.js").unlink()
        status, text = run_tool(folder, "check_page", str(folder))
        check(status != 0 and "tools/page build" in text, text)


@test("check_page fails a page that loads from another host")
def page_foreign():
    for name, body in (("index_html", b'<script src="https://example.org/a.js"></script>'),
                       ("app_css", b"a { background: url(//example.org/x.png) }")):
        with page(**{name: body}) as folder:
            status, text = run_tool(folder, "check_page", str(folder))
            check(status != 0 and "another host" in text, text)

main(needs_programs=False)
