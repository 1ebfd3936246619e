"""tools/demo: what `make demo` promises a newcomer, and that nothing of it stays."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import harness
from harness import PATIENCE, check, equal, main, near, note, test
from runs import needs_runs, nothing_left, place

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = (os.path.join(HERE, "..", "..", "tools", "demo"), os.path.join(HERE, "demo-script"))
SCRIPT = next((path for path in SCRIPTS if os.path.exists(path)), SCRIPTS[0])
NAMES = ("demo-steady", "demo-saw", "demo-climber", "demo-cache")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Demo:
    """One that runs, with its own folder for whatever it writes."""

    def __init__(self, port=None):
        self.box = place("demo")
        self.port = port or free_port()
        self.folder = tempfile.mkdtemp(prefix="plimsoll-demo-test-", dir=harness.scratch_dir())
        os.chmod(self.folder, 0o755)
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, "--binary", harness.options.binary, "--loads",
             harness.options.loads, "--listen", f"127.0.0.1:{self.port}", "--step", "500",
             "--cgroup-parent", self.box.path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": self.folder})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=60 * PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def rows(self):
        """The loads' rows by name; empty until the agent answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/api/v1/targets")
            targets = json.loads(connection.getresponse().read())["targets"]
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            connection.close()
        return {row["name"].removesuffix(f"-{self.port}"): row for row in targets
                if row["name"] in [self.name(name) for name in NAMES]}

    def name(self, name):
        """As the demo calls it at a port that is not the usual one."""
        return f"{name}-{self.port}"

    def wait(self, claim, seconds, what):
        end = time.monotonic() + seconds * PATIENCE
        while True:
            rows = self.rows()
            if claim(rows):
                return rows
            check(self.process.poll() is None, f"it ended: {self.process.returncode}")
            seen = {name: (row["state"], row["used_pct"]) for name, row in rows.items()}
            check(time.monotonic() < end, f"not within {seconds} s: {what}; last {seen}")
            time.sleep(0.2)

    def wait_rows(self):
        return self.wait(lambda rows: len(rows) == len(NAMES), 20, "four rows")

    def finish(self):
        """(exit code, stdout, stderr); and nothing of it is left."""
        out, err = self.process.communicate(timeout=30 * PATIENCE)
        nothing_left(self.box, "the demo")
        equal(os.listdir(self.folder), [], "files that stayed")
        return self.process.returncode, out, err


def shows(rows, **words):
    return all(rows.get(name.replace("_", "-"), {}).get("state") == word
               for name, word in words.items())


@test("four loads show what their lines say, one is killed and comes back; Ctrl-C leaves nothing",
      [needs_runs])
def whole():
    start = time.monotonic()
    with Demo() as demo:
        demo.wait(lambda rows: shows(rows, demo_steady="steady", demo_saw="steady",
                                     demo_climber="growing", demo_cache="cache-bound"), 60,
                  "every load in the state that is promised")
        note(f"the four states after {time.monotonic() - start:.0f} s")
        demo.wait(lambda rows: shows(rows, demo_climber="high"), 60, "the climber is high")
        demo.wait(lambda rows: shows(rows, demo_climber="at-limit"), 60, "the climber is at-limit")
        demo.wait(lambda rows: rows["demo-climber"]["oom_kills_total"] >= 1, 60, "a kill")
        killed = time.monotonic()
        rows = demo.wait(lambda rows: 1 < rows["demo-climber"]["used_pct"] < 50 and
                         rows["demo-climber"]["restarts"] >= 1 and
                         shows(rows, demo_climber="oom-killed"), 60,
                         "it climbs again, its restart counts, and it is called oom-killed")
        near(rows["demo-climber"]["oom_killed_ms"], time.time() * 1000, 60_000, "when it was killed")
        note(f"killed after {killed - start:.0f} s, climbs again {time.monotonic() - killed:.0f} s later")
        demo.process.send_signal(signal.SIGINT)
        code, out, err = demo.finish()
        equal((code, err), (0, ""), "end")
        check(f"http://127.0.0.1:{demo.port}/" in out, out)
        for name in NAMES:
            check(demo.name(name) in out, f"{name} is not explained:\n{out}")


def children_of(pid):
    return [int(word) for word in harness.read(f"/proc/{pid}/task/{pid}/children").split()]


@test("one part that ends takes all others with it, and is named", [needs_runs])
def one_fails():
    with Demo() as demo:
        demo.wait_rows()
        (saw,) = [pid for pid in children_of(demo.process.pid)
                  if "demo-saw" in harness.read(f"/proc/{pid}/cmdline")]
        os.kill(saw, signal.SIGTERM)
        code, _, err = demo.finish()
        equal(code, 1, "exit code")
        check(demo.name("demo-saw") + " has ended" in err, err)


@test("a port in use: told, with the way to another", [needs_runs])
def port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with Demo(taken.getsockname()[1]) as demo:
            code, out, err = demo.finish()
    equal((code, out), (1, ""), "end")
    check("DEMO_PORT=" in err, err)
    check("Traceback" not in err, err)


@test("without root it says what to do", [needs_runs])
def no_root():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copy(SCRIPT, folder)
        done = subprocess.run(["/usr/bin/python3", os.path.join(folder, os.path.basename(SCRIPT))],
                              cwd="/", user=65534, group=65534, extra_groups=[],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
    equal(done.returncode, 1, "exit code")
    check("sudo make demo" in done.stderr, done.stderr)


if __name__ == "__main__":
    main()
