"""tools/deps: apt is left alone when nothing is missing, and asked for exactly what is."""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from harness import check, equal, main, test  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
ABSENT = "plimsoll-no-such-package"


def run_deps(text, tags, uid=0, sudo=False, apt_status=0, dpkg=True):
    """(exit status, stderr, what apt-get was called with) over a list of packages with this text.

    apt-get, id and sudo are stand-ins; dpkg-query is the real one.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "deps.txt").write_text(text)
        programs = {
            "apt-get": f'echo "$*" >>{folder}/calls; exit {apt_status}',
            "id": f"echo {uid}",
        }
        if sudo:
            programs["sudo"] = f'echo sudo >>{folder}/calls; exec "$@"'
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        for name, body in programs.items():
            (bin_folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (bin_folder / name).chmod(0o755)
        for name in ("sh", "sed", "grep", "env", "dirname", *(["dpkg-query"] if dpkg else [])):
            os.symlink(f"/usr/bin/{name}", bin_folder / name)
        done = subprocess.run([ROOT / "tools/deps", *tags], stdin=subprocess.DEVNULL, text=True,
                              stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                              env={"PATH": str(bin_folder),
                                   "PLIMSOLL_DEPS": str(folder / "deps.txt")})
        calls = folder / "calls"
        equal(done.stdout, "", "stdout")
        return done.returncode, done.stderr, calls.read_text() if calls.exists() else ""


@test("nothing missing: silent, and apt is not called")
def nothing_missing():
    equal(run_deps("build: dpkg coreutils # base\nbuild: sed\n", ["build"], uid=1000),
          (0, "", ""), "result")


@test("only what is missing is installed, after one update")
def only_missing():
    status, text, calls = run_deps(f"build: dpkg {ABSENT}-a\ntest: sed {ABSENT}-b\n",
                                   ["build", "test"])
    equal(status, 0, "status")
    lines = calls.splitlines()
    equal(len(lines), 2, "calls of apt-get")
    check(lines[0].endswith(" update"), lines[0])
    check(lines[1].endswith(f"install --no-install-recommends {ABSENT}-a {ABSENT}-b"), lines[1])
    check(" -y " in lines[1], lines[1])


@test("a tag not asked for is not installed")
def other_tag():
    equal(run_deps(f"build: dpkg\ntest: {ABSENT}\n", ["build"]), (0, "", ""), "result")


@test("a user without root goes through sudo")
def with_sudo():
    status, _, calls = run_deps(f"build: {ABSENT}\n", ["build"], uid=1000, sudo=True)
    equal((status, calls.splitlines()[0::2]), (0, ["sudo", "sudo"]), "status and calls")


@test("neither root nor sudo: the command to give is named")
def no_way():
    status, text, calls = run_deps(f"build: {ABSENT}\n", ["build"], uid=1000)
    equal((status, calls), (1, ""), "status and calls")
    check(f"apt-get install --no-install-recommends {ABSENT}" in text, text)


@test("apt's failure is ours")
def apt_fails():
    status, _, _ = run_deps(f"build: {ABSENT}\n", ["build"], apt_status=100)
    check(status != 0, "status 0")


@test("a tag that the list does not have is an error")
def unknown_tag():
    equal(run_deps("build: dpkg\n", ["biuld"])[0], 2, "status")


@test("not a Debian system: told, and left to the user")
def not_debian():
    status, text, calls = run_deps("build: dpkg sed\n", ["build"], dpkg=False)
    equal((status, calls), (0, ""), "status and calls")
    check("dpkg sed" in text, text)


main(needs_programs=False)
