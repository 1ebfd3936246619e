#!/usr/bin/python3
"""What the browser's tests look at: a Docker engine, an agent, and control groups with odd names.

  scene.py --binary PATH [--loads DIR]

Driven by lines of JSON on its standard input, {"do": WORD, ...}; one line answers each, {"value": V}
or {"error": TEXT}. The first line it prints is {"url": ...}, or {"skip": REASON}. It ends, and takes
everything away, when its input ends. The words are the methods of Scene with `do_` before them.
"""
import argparse
import json
import os
import signal
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("system", "docker"):
    sys.path.insert(0, os.path.join(HERE, "..", folder))

import agents  # noqa: E402
import harness  # noqa: E402
import host  # noqa: E402
import oddnames  # noqa: E402
from engine import Engine  # noqa: E402

BACK_S = 600         # how long ago the recorded part of the scene was
RECORDED_S = 6
OURS = ("--label", "env=demo")  # the machine may have other containers
SHOP = ("--label", "com.docker.compose.project=shop", "--label", "tier=front")
# Markup, marks that turn text around, and length: as a label, and as folders.
HOSTILE_LABEL = "<script>document.title='run'</script>"
HOSTILE = (b"<script>document.title='run'<", b"<img src=x onerror=document.title='run'>",
           "bidi\u202egnp.exe\u2066".encode(), b"long-" + b"x" * 195)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def limits(mib):
    return ("-m", f"{mib}m", "--memory-swap", f"{mib}m")


class Scene:
    def __init__(self, loads):
        self.engine = Engine(files=[(os.path.join(loads, "demo"), "/bin/demo")])
        self.port = free_port()
        self.agent = agents.Agent("targets: all\n", listen=f"127.0.0.1:{self.port}")
        self.hostile = None
        self.shift = os.path.join(loads, "..", "browser", "clockshift.so")

    # --- what was ten minutes ago --------------------------------------------------------------

    def record_past(self):
        """The agent, with a clock that is behind, sees a container that stays and one that is
        killed; then it ends. What it wrote is what the real one finds."""
        host.need(self.shift)
        self.demo("web", *SHOP, *limits(64), words=("burst", "24"))
        env = {"LD_PRELOAD": self.shift, "PLIMSOLL_CLOCK_SHIFT_S": str(BACK_S)}
        os.environ.update(env)
        try:
            self.agent.start()
        finally:
            for name in env:
                del os.environ[name]
        begun = time.monotonic()
        self.agent.target("web")
        self.demo("import", *limits(24), words=("-s", "40", "climb", "60"))
        self.wait(lambda: self.agent.json("/api/v1/incidents")["incidents"], "a kill")
        self.engine.remove("import")
        time.sleep(max(0, RECORDED_S - (time.monotonic() - begun)))
        self.agent.stop()
        return {"from_ms": int((time.time() - BACK_S - RECORDED_S) * 1000),
                "to_ms": int((time.time() - BACK_S) * 1000)}

    @staticmethod
    def wait(claim, what, seconds=20):
        if not host.wait_for(claim, seconds * harness.PATIENCE):
            raise RuntimeError(f"waited in vain: {what}")

    # --- what tests ask for --------------------------------------------------------------------

    def demo(self, name, *options, words):
        return self.engine.run(name, *OURS, *options, command=("/bin/demo", "-t", "900", *words))

    def do_run(self, name, mib, words, options=(), shop=False):
        """Starts a container of the demo load, with a limit unless MIB is 0; how long docker took, in
        ms."""
        begun = time.monotonic()
        self.demo(name, *(limits(mib) if mib else ()), *(SHOP if shop else ()), *options, words=words)
        return round((time.monotonic() - begun) * 1000)

    def do_remove(self, names):
        self.engine.remove(*names)

    def do_restarts(self, name):
        """What Docker itself counts."""
        return self.engine.inspect(name)["RestartCount"]

    def do_stop_agent(self):
        return self.agent.stop()

    def do_start_agent(self):
        self.agent.start()

    def do_kill_front(self):
        """The agent starts another."""
        os.kill(self.agent.children()["front"], signal.SIGKILL)

    def do_hostile(self):
        """Groups with hostile names, and a container with such a label: what the page must show."""
        box = harness.top().child("odd")
        inner = [oddnames.box_of(box, name) for name in HOSTILE]
        inner[0] = inner[0].child("script>")  # so that its path has the whole tag
        self.demo("labelled", *limits(32), "--label", f"com.docker.compose.project={HOSTILE_LABEL}",
                  words=("sleep",))
        self.hostile = box
        return {"paths": [one.path for one in inner], "label": HOSTILE_LABEL, "container": "labelled"}

    def do_end_hostile(self):
        self.engine.remove("labelled")
        self.hostile.remove()

    def close(self):
        self.agent.delete()


def answer(scene, line):
    try:
        words = json.loads(line)
        return {"value": getattr(scene, "do_" + words.pop("do"))(**words)}
    except Exception as error:  # told to the test, which fails
        said = getattr(error, "stderr", None)
        return {"error": f"{type(error).__name__}: {error}" + (f": {said}" if said else "")}


def say(what):
    print(json.dumps(what), flush=True)


def read_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--loads")
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    options.loads = os.path.abspath(
        options.loads or os.path.join(os.path.dirname(options.binary), "tests", "loads"))
    return options


def main():
    harness.options = read_options()
    scene = None
    try:
        harness.needs_cgroups()
        scene = Scene(harness.options.loads)
        past = scene.record_past()
        scene.agent.start()
        say({"url": f"http://127.0.0.1:{scene.port}/", "past": past, "state": scene.agent.folder})
        for line in sys.stdin:
            say(answer(scene, line))
    except (host.Missing, harness.Skip) as reason:
        say({"skip": str(reason)})
    except Exception as error:
        agent = scene.agent.said()[-1500:] if scene and os.path.exists(scene.agent.log) else ""
        say({"error": f"{type(error).__name__}: {error}\n{agent}"})
    finally:
        if scene:
            scene.close()


main()
