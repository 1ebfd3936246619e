"""The page's files are built in as they are: the same files give the same bytes, whoever builds."""
import gzip
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from harness import check, equal, main, test  # noqa: E402

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/embed_page"
ROW = re.compile(r'\{"([^"]+)", "([^"]+)", "W/\\"([0-9a-f]+)\\"", (file\d+), sizeof\(\4\), (\d+)\}')


def embedded(files, seconds=0):
    """The text, and {path: (type, tag, content)} of a folder with these files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = pathlib.Path(folder, name)
            path.write_bytes(content)
            os.utime(path, (seconds, seconds))
        out = pathlib.Path(folder, "out.c")
        subprocess.run([TOOL, out, folder], check=True, stderr=subprocess.PIPE)
        text = out.read_text()
    found = {}
    for path, kind, tag, array, size in ROW.findall(text):
        digits = re.search(array + r"\[\] = \{([^}]*)\}", text).group(1)
        content = gzip.decompress(bytes(int(digit) for digit in digits.split(",") if digit.strip()))
        equal(len(content), int(size), f"size of {path}")
        found[path] = (kind, tag, content)
    return text, found


PAGE = {"index.html": b"<!doctype html>", "app.js": os.urandom(100000), "app.css": b"",
        "icon.svg": b"<svg/>", "app.js.map": b"nobody's", "secret": b"nobody's"}


@test("each file is there with its type and a tag of its content, and nothing else")
def _():
    text, found = embedded(PAGE)
    equal({path: kind.split(";")[0] for path, (kind, _, _) in found.items()},
          {"/": "text/html", "/app.js": "text/javascript", "/app.css": "text/css",
           "/icon.svg": "image/svg+xml"}, "paths and types")
    for path, name in (("/", "index.html"), ("/app.js", "app.js"), ("/app.css", "app.css")):
        equal(found[path][2], PAGE[name], path)
        equal(found[path][1], hashlib.sha256(PAGE[name]).hexdigest()[:24], f"tag of {path}")
    equal(len(re.findall(r"assets_n = (\d+)", text)), 1, "their number")


@test("the same files give the same bytes at another time and place")
def _():
    equal(embedded(PAGE, 1000)[0], embedded(PAGE, 1900000000)[0], "what is written")


@test("without a page there is one that says what to do")
def _():
    for files in ({}, {"app.js": b"left over"}):
        _, found = embedded(files)
        equal(list(found), ["/"], "paths")
        check(b"npm run build" in found["/"][2] and b"/api" in found["/"][2], found["/"][2])


main(needs_programs=False)
