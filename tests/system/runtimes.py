"""Programs with a language runtime, for the tests that look into them."""
import os
import re
import select
import shutil
import subprocess
import time

import harness
from harness import Skip, read

RT = "rt"  # the folder of tests/loads that has them


def as_service():
    """What runs a command with the rights that the packaged unit leaves."""
    if shutil.which("setpriv") is None:
        raise Skip("needs setpriv")
    unit = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "../../packaging/plimsoll.service.in")
    if not os.path.exists(unit):
        raise Skip("the unit is not here")  # in the virtual machine
    rights = " ".join(re.findall(r"^CapabilityBoundingSet=(.*)$", read(unit), re.M)).split()
    harness.check(rights, f"{unit} names no rights")
    return ["setpriv", "--bounding-set",
            ",".join(["-all", *("+" + right[len("CAP_"):].lower() for right in rights)])]


class Program:
    """A program that stands still, with a pipe as its stdin; ended with the test."""

    def __init__(self, args, env=None, stdout=subprocess.DEVNULL):
        try:
            self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=stdout,
                                            stderr=subprocess.DEVNULL, env=env)
        except FileNotFoundError as error:
            raise Skip(f"no {args[0]} here") from error
        self.pid = self.process.pid
        harness._loads.append(self)

    def line(self):
        """The next one that it says, of those started with a pipe as stdout."""
        said = select.select([self.process.stdout], [], [], 30 * harness.PATIENCE)[0]
        harness.check(said, f"{self.process.args} says nothing")
        return self.process.stdout.readline()

    def ask(self, word):
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()
        return self.line()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        if self.process.stdout:
            self.process.stdout.close()


def program(name):
    path = os.path.join(harness.options.loads, RT, name)
    if not os.path.exists(path):
        raise Skip(f"no {name} was built")
    return path


def wait_for(pid, text, seconds=10):
    """Until the process maps a file of that name."""
    until = time.monotonic() + seconds * harness.PATIENCE
    while time.monotonic() < until:
        if text in read(f"/proc/{pid}/maps"):
            return
        time.sleep(0.05)
    raise AssertionError(f"{pid} never mapped {text}")


def fake_jdk(folder, release):
    """What looks like a JDK 8 there; its launcher."""
    server = os.path.join(folder, "jre", "lib", "amd64", "server")
    os.makedirs(server)
    os.makedirs(os.path.join(folder, "bin"))
    harness.copy_program(program("libfakelib.so"), os.path.join(server, "libjvm.so"))
    java = os.path.join(folder, "bin", "java")
    harness.copy_program(program("fakejava"), java)
    if release is not None:
        with open(os.path.join(folder, "release"), "w", encoding="ascii") as file:
            file.write(release)
    return java
