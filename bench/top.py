"""top: what `plimsoll top` costs while it shows many containers, from the kernel and from an agent.

The targets are sleepers, each in a cgroup of its own that is named like a container engine's, and the
screen is a terminal of 200 columns and 60 lines (tmux). CPU is that of the program alone; what the
agent costs is measured by the bench of that name.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import harness
from agent import Agent, Groups, Named, rss_kib
from measure import Farm, cpu_ns

COUNT = 200
SIZE = (200, 60)
SETTLE_S = 8  # sparklines have begun, and what is young is no longer read more often
START_S = 15


class Screen:
    """A program in a terminal of its own."""

    def __init__(self, command):
        self.folder = tempfile.mkdtemp(prefix="plimsoll-bench-")
        self.socket = os.path.join(self.folder, "tmux")
        environment = {key: value for key, value in os.environ.items()
                       if key not in ("TMUX", "NO_COLOR")}
        environment.update(LC_ALL="C.UTF-8", TERM="screen-256color")
        columns, lines = SIZE
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines),
                  "exec " + shlex.join(command), env=environment)
        self.pid = int(self.tmux("list-panes", "-F", "#{pane_pid}"))

    def tmux(self, *arguments, env=None):
        return subprocess.run(["tmux", "-S", self.socket, *arguments], env=env, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout

    def text(self):
        return self.tmux("capture-pane", "-p")

    def wait_for(self, what, is_there):
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            try:
                if is_there(self.text()):
                    return
            except subprocess.CalledProcessError:
                sys.exit("plimsoll top has ended")
            time.sleep(0.2)
        sys.exit(f"plimsoll top does not show {what}:\n{self.text()}")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def cost(self, seconds):
        """Hundredths of a core."""
        before, start = cpu_ns(self.pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_ns(self.pid) - before) / 1e7 / (time.monotonic() - start)

    def end(self):
        try:
            self.tmux("kill-server")
        except subprocess.CalledProcessError:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)


def rows(text):
    """How many it says there are: those of others on this machine are among them."""
    found = re.search(r"\b(\d+) containers\b", text)
    return int(found.group(1)) if found else 0


def measure(name, command, seconds):
    screen = Screen(command)
    try:
        screen.wait_for(f"{COUNT} rows", lambda text: rows(text) >= COUNT)
        time.sleep(SETTLE_S)
        overview = screen.cost(seconds)
        screen.keys("Enter")
        screen.wait_for("a container", lambda text: "PID " in text)
        time.sleep(2)
        one = screen.cost(seconds)
        print(f"{name:<8} {overview:>9.2f} {one:>10.2f} {rss_kib(screen.pid):>8}", flush=True)
    finally:
        screen.end()


def top(options):
    harness.needs_cgroups()
    if harness.machine.version != "v1":
        raise harness.Skip("groups of v2 cannot be renamed, so none is a container's")
    if not shutil.which("tmux"):
        raise harness.Skip("there is no tmux")
    seconds = 2 * options.seconds
    print(f"top: {COUNT} containers at 1 s on {SIZE[0]}x{SIZE[1]}, over {seconds:.0f} s each; "
          f"CPU (user + sys) in % of a core")
    print(f"{'from':<8} {'overview':>9} {'container':>10} {'RSS KiB':>8}")
    with Groups() as groups:
        base = os.path.join(groups.path, "docker")
        os.mkdir(base)
        with Farm(options.tools, COUNT, [base]), Named(groups, COUNT):
            measure("kernel", [options.binary, "top", "--no-agent"], seconds)
            with Agent(options.binary) as agent:
                socket = os.path.join(agent.folder, "agent.sock")
                measure("agent", [options.binary, "top", "--socket", socket], seconds)
