"""tools/page: the page is made when its sources are newer, by npm only when that is needed."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from harness import check, equal, main, test  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ("index.html", "app.js", "app.css", "icon.svg", "gctrace.html", "gctrace.js", "gctrace.css")
SYSTEM = ("sh", "find", "touch", "dirname")

# Stand-ins: npm writes what it was asked, and does what its last word says.
NODE = """case "$2" in
    process*) echo 18 ;;
    *) echo tester ;;
esac"""
NPM = f"""NAMES="{' '.join(FILES)}"
""" + """echo "$*" >>"$BOX/calls"
case "$*" in
    *" ci "*)
        [ ! -e "$BOX/npm-fails" ] || exit 1
        mkdir -p web/node_modules/esbuild
        case "$*" in *omit=dev*) ;; *) mkdir -p web/node_modules/tester ;; esac
        echo '{}' >web/node_modules/.package-lock.json ;;
    *)
        [ ! -e "$BOX/build-fails" ] || exit 1
        mkdir -p web/dist
        for name in $NAMES; do echo new >web/dist/$name; done ;;
esac"""
DEPS = """echo "deps $*" >>"$BOX/calls"
exit 1"""


class Tree:
    """A checkout with nothing but the page in it."""

    def __init__(self, folder):
        self.box = pathlib.Path(folder)
        self.web = self.box / "web"
        self.bin = self.box / "bin"
        for made in (self.web / "src", self.bin, self.box / "tools"):
            made.mkdir(parents=True)
        shutil.copy(ROOT / "tools/page", self.box / "tools/page")
        for name in ("src/main.tsx", "build.mjs", "package.json", "package-lock.json"):
            (self.web / name).write_text("{}\n")
        for name, body in (("node", NODE), ("npm", NPM)):
            self.program(self.bin / name, body)
        self.program(self.box / "tools/deps", DEPS)
        for name in (*SYSTEM, "mkdir"):
            os.symlink(shutil.which(name), self.bin / name)
        self.age(self.web, 1000)

    @staticmethod
    def program(path, body):
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    @staticmethod
    def age(top, seconds):
        """All of it was last written so long ago."""
        for path in (top, *top.rglob("*")):
            moment = path.stat().st_mtime - seconds
            os.utime(path, (moment, moment))

    def page(self, mode="build"):
        """(exit status, stderr, what npm and tools/deps were asked)."""
        calls = self.box / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run([self.box / "tools/page", mode], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={"PATH": str(self.bin), "BOX": str(self.box)})
        equal(done.stdout, "", "stdout")
        asked = calls.read_text().splitlines() if calls.exists() else []
        return done.returncode, done.stderr, asked

    def made(self):
        equal(self.page()[0], 0, "the first run")
        return self


def tree(function):
    def run():
        with tempfile.TemporaryDirectory() as folder:
            function(Tree(folder))
    return run


@test("a fresh checkout: npm ci without what only tests need, then the page")
@tree
def fresh(box):
    status, text, asked = box.page()
    equal(status, 0, text)
    check(" ci --omit=dev " in asked[0] and "build" in asked[1], asked)
    for name in FILES:
        check((box.web / "dist" / name).exists(), name)


@test("nothing to do: silent, and npm is not asked")
@tree
def nothing(box):
    equal(box.made().page(), (0, "", []), "the second run")
    for name in ("node", "npm"):
        (box.bin / name).unlink()
    equal(box.page(), (0, "", []), "without node")


@test("a source that is newer, or is gone, makes the page again without npm ci")
@tree
def newer(box):
    box.made()
    Tree.age(box.web, 10)
    other = box.web / "src" / "other.ts"
    other.write_text("")
    status, _, asked = box.page()
    equal((status, [("ci" in line, "build" in line) for line in asked]), (0, [(False, True)]), "new")
    Tree.age(box.web, 10)
    other.unlink()
    equal(len(box.page()[2]), 1, "calls once a file is gone")


@test("a lock that is newer is installed again")
@tree
def lock(box):
    box.made()
    Tree.age(box.web, 10)
    (box.web / "package-lock.json").write_text("{ }\n")
    check(" ci " in box.page()[2][0], "no npm ci")


@test("the tests' packages are installed when they are asked for, and stay")
@tree
def for_tests(box):
    box.made()
    asked = box.page("test")[2]
    equal((len(asked), "omit" in asked[0]), (1, False), asked)
    equal(box.page("test")[2], [], "asked again")
    equal(box.page()[2], [], "an ordinary build after that")


@test("without the registry, a page that is there is taken, and it is told")
@tree
def offline(box):
    box.made()
    (box.box / "npm-fails").touch()
    (box.web / "package-lock.json").write_text("{ }\n")
    status, text, _ = box.page()
    equal(status, 0, text)
    check("older than its sources" in text, text)
    equal(box.page("test")[0], 1, "tests of an old page")


@test("without the registry and without a page, the next step is named")
@tree
def no_page(box):
    (box.box / "npm-fails").touch()
    status, text, _ = box.page()
    equal(status, 1, "status")
    check("npm ping" in text and "PAGE=no" in text, text)


@test("a build that fails is a failure, not half a page")
@tree
def broken(box):
    (box.box / "build-fails").touch()
    status, text, _ = box.page()
    equal((status, "build failed" in text), (1, True), text)


@test("without node or npm, Debian's packages are asked for")
@tree
def no_node(box):
    (box.bin / "npm").unlink()
    status, text, asked = box.page()
    equal((status, asked), (1, ["deps page"]), text)


main(needs_programs=False)
