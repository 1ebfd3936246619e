"""top on a real terminal (tmux), on real control groups: what is seen, what keys do, what is left."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unicodedata

from harness import (BIDI, MIB, PATIENCE, Group, Load, Skip, check, equal, group, main, near,
                     needs_cgroups, once, plimsoll, read, test, wait_for)
from oddnames import NAMES
import agents
import harness
import runs


def needs_tmux():
    needs_cgroups()
    if not shutil.which("tmux"):
        raise Skip("needs tmux")


class Screen:
    """A terminal of tmux with `plimsoll top` in it. What follows its end is told by the shell."""

    def __init__(self, *args, cols=80, rows=24, env=(), shell=None):
        self.folder = tempfile.TemporaryDirectory()
        self.raw, self.socket = self.folder.name + "/raw", self.folder.name + "/tmux"
        self.text = ""
        words = " ".join(f"'{word}'" for word in (harness.options.binary, "top", *args))
        settings = " ".join(f"{name}={value}" for name, value in
                            (("TERM", "screen-256color"), ("LC_ALL", "C.UTF-8"), *env))
        run = shell or (f"echo before; read go; env -u NO_COLOR {settings} {words}; echo ended=$?; "
                        "exec sleep 600")
        self.tmux("new-session", "-d", "-x", str(cols), "-y", str(rows), run)
        harness._streams.append(self)
        self.tmux("set", "-g", "status", "off")
        self.tmux("resize-window", "-x", str(cols), "-y", str(rows))
        if shell is None:
            self.expect("before")
            self.tmux("pipe-pane", "-O", f"cat >{self.raw}")
            self.keys("Enter")

    def tmux(self, *args):
        done = subprocess.run(["tmux", "-u", "-S", self.socket, "-f", "/dev/null", *args],
                              capture_output=True, timeout=20 * PATIENCE,
                              env={**os.environ, "LC_ALL": "C.UTF-8"})
        equal(done.returncode, 0, f"tmux {args}: {done.stderr!r}")
        return done.stdout.decode("utf-8", "strict")

    def keys(self, *names):
        self.tmux("send-keys", *names)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def look(self, *more):
        self.text = self.tmux("capture-pane", "-p", *more)
        return self.text

    @property
    def lines(self):
        return self.text.splitlines()

    def until(self, condition, what, seconds=15):
        end = time.monotonic() + seconds * PATIENCE
        while not condition(self.look()):
            check(time.monotonic() < end, f"no {what} on the screen:\n{self.text}")
            time.sleep(0.05)
        return self.text

    def expect(self, word, seconds=15):
        return self.until(lambda text: word in text, repr(word), seconds)

    def filter(self, text):
        self.type("/" + text)
        self.expect(text)
        self.keys("Enter")
        self.until(lambda shown: not shown.splitlines()[-1].startswith(" /"), "end of typing")

    def line_of(self, word):
        """Of the list, the one with the word in it."""
        found = [line for line in self.look().splitlines()[3:] if word in line]
        equal(len(found), 1, f"lines with {word!r} in:\n{self.text}")
        return found[0]

    def flags(self):
        """(on the alternate screen, the cursor is shown)"""
        return tuple(self.tmux("display-message", "-p", "#{alternate_on}#{cursor_flag}").strip())

    def child(self):
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        return int(read(f"/proc/{shell}/task/{shell}/children").split()[0])

    def resize(self, cols, rows):
        self.tmux("resize-window", "-x", str(cols), "-y", str(rows))

    def end(self):
        if self in harness._streams:
            harness._streams.remove(self)
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)


class Scene:
    """Containers of their own names, as LXC has them: small, large and mostly cache."""

    def __init__(self):
        self.box = group("top", limit=None)
        self.word = f"w{os.getpid()}x{self.box.path.rsplit('top', 1)[1]}"
        self.small = self.add("small", 100 * MIB)
        self.large = self.add("large", 50 * MIB)
        self.load = Load("forks", 6, groups=[self.small])
        Load("anon", 30, groups=[self.large])

    def add(self, name, limit):
        box = Group(self.box, f"lxc.payload.{self.word}-{name}")
        box.limit(limit)
        return box

    def name(self, what):
        return f"{self.word}-{what}"

    def open(self, *args, **how):
        screen = Screen(*args, **how)
        screen.expect("OF LIMIT")
        screen.filter("path:" + self.box.path)
        screen.expect("2 match")
        return screen


def order(screen, scene):
    return re.findall(scene.word + r"-(\w+)", screen.look())


def mib(text):
    """Of "30.2M" or "612K"."""
    number, unit = re.fullmatch(r"([\d.]+)([KMG])\*?", text).groups()
    return float(number) * {"K": 1 / 1024, "M": 1, "G": 1024}[unit]


@test("rows appear with what the kernel counts, are sorted and stay selected", [needs_tmux])
def _():
    scene = Scene()
    screen = scene.open("--no-agent")
    line = screen.line_of(scene.name("small"))
    shown = re.search(r"([\d.]+[KM]\*?)/\s*([\d.]+M)", line)
    check(shown, f"no used / limit in {line!r}")
    near(mib(shown.group(1)), plimsoll("stats", "--no-stream", "--json", "--interval", "0.05",
                                       scene.small.path).objects[0]["used"] / MIB, 0.5, "used")
    equal(mib(shown.group(2)), 100, "limit")
    check(re.search("\u2595[\u2588-\u258f] *\u2503", line), f"no bar with its mark in {line!r}")
    equal(order(screen, scene), ["large", "small"], "the fullest first")
    screen.keys("S")
    screen.expect("the other way round")
    equal(order(screen, scene), ["small", "large"], "order")
    screen.keys("S", ">")  # behind the state is the name again
    screen.expect("sorted by name")
    equal(order(screen, scene), ["large", "small"], "order by name")
    screen.keys("g", "j", "S")  # small is chosen, and goes to the top
    screen.until(lambda _: order(screen, scene) == ["small", "large"], "other order")
    screen.keys("Enter")
    screen.expect("container")
    check(scene.name("small") in screen.expect("= usage"), "the chosen one was not opened")


@test("the number of a row and its bar follow what a container takes", [needs_tmux])
def _():
    scene = Scene()
    screen = scene.open("--no-agent", "--interval", "0.3")
    before = screen.line_of(scene.name("small")).count("\u2588")
    Load("anon", 60, groups=[scene.small])
    screen.until(lambda _: screen.line_of(scene.name("small")).count("\u2588") > before + 3,
                 "longer bar")


@test("a container is opened: parts, chart, its processes as a tree", [needs_tmux])
def _():
    scene = Scene()
    for cols, rows in ((80, 24), (200, 60)):
        screen = Screen(scene.name("small"), "--no-agent", cols=cols, rows=rows)
        # What is captured may be a screen that is still being drawn.
        screen.until(lambda shown: "COMMAND (4)" in shown and "\u2514\u2500" in shown, "tree", 20)
        text = screen.expect("COMMAND (4)")
        for word in ("anon", "inactive_file", "= usage", "state", "used", "limit", "psi", "events",
                     "refaults", "minflt", "majflt", "RSS", "PSS", "USS"):
            check(word in text, f"no {word!r} in:\n{text}")
        for pid in (scene.load.pid, *scene.load.children):
            screen.line_of(f" {pid} ")
        screen.until(lambda shown: "\u2588\u2588" in shown.split("= usage")[0], "chart", 20)
        screen.keys("Escape")
        screen.expect("OF LIMIT")
        screen.end()


@test("at 200x60 there is room for all columns; other sizes keep the rows", [needs_tmux, once])
def _():
    scene = Scene()
    screen = scene.open("--no-agent", cols=200, rows=60)
    for head in ("RUNTIME", "USED%", "TREND/h", "FULL IN", "PSI%", "SWAP", "CPU%", "OOM", "RESTARTS",
                 "STATE"):
        check(head in screen.text, f"no column {head}")
    equal(len(screen.lines), 60, "rows of the terminal")
    screen.resize(80, 24)
    screen.until(lambda text: "RUNTIME" not in text and "TREND/h" in text, "80 columns")
    screen.line_of(scene.name("large"))
    screen.resize(40, 10)
    screen.until(lambda text: "TREND/h" not in text and scene.name("large")[:10] in text, "40 columns")
    screen.resize(30, 5)
    screen.expect("needs 40x10")
    screen.resize(80, 24)
    screen.expect(scene.name("large")[:13])
    screen.keys("q")
    screen.expect("ended=0")


@test("filter, group, help, pause and events answer to their keys", [needs_tmux, once])
def _():
    scene = Scene()
    screen = scene.open("--no-agent", "--interval", "0.3")
    screen.keys("/", "C-u")
    screen.type(f"{scene.word} -small runtime:lxc")
    screen.until(lambda _: order(screen, scene) == ["large"], "only the large one")
    screen.keys("Escape")
    screen.until(lambda _: order(screen, scene) == ["large", "small"], "both again")
    screen.filter(f" label:{scene.word}")
    screen.expect("nothing matches the filter")
    screen.keys("Escape")
    screen.filter(scene.word)
    screen.filter(" kind:zebra")
    screen.expect("kinds are any, container")
    screen.keys("?")
    screen.expect("next row")
    screen.keys("G")
    screen.expect("in this order")
    screen.keys("?")
    screen.expect("OF LIMIT")
    screen.keys("p")
    screen.expect("in no pod")
    screen.keys("p", "p", "p")
    screen.expect("grouped by none")
    screen.keys("Space")
    screen.expect("PAUSED")
    clock = screen.lines[0]
    time.sleep(1.2)
    equal(screen.look().splitlines()[0], clock, "the moment of what stands still")
    screen.keys("Space")
    screen.expect("live")
    screen.until(lambda text: text.splitlines()[0] != clock, "another moment")
    screen.keys("[")
    screen.expect("no past without the agent")


@test("an OOM kill is counted in its row, and is an event", [needs_tmux])
def _():
    scene = Scene()
    victim = scene.add("victim", 20 * MIB)
    screen = Screen("--no-agent", "--interval", "0.3", cols=200, rows=60)
    screen.expect("OF LIMIT")
    screen.filter(scene.name("victim"))
    screen.expect("1 match")
    Load("grow", 60, groups=[victim])
    screen.until(lambda _: re.search(r" 1 +\S+ +\S+$", screen.line_of(scene.name("victim") + " ")),
                 "kill", 30)
    screen.until(lambda _: "oom-killed" in screen.line_of(scene.name("victim") + " "), "its state", 10)
    screen.keys("t")
    screen.expect("OOM kill")
    check(scene.name("victim") in screen.line_of("OOM kill"), f"whose: {screen.text}")


@test("a run started again in its group is restarted, and a changed limit told, without an agent",
      [needs_tmux, runs.needs_runs])
def _():
    scene = Scene()
    outer = runs.run_dir(runs.place("topagain"), runs.new_name(scene.word))
    os.mkdir(outer)
    os.mkdir(outer + "/w")
    try:
        screen = Screen("--no-agent", "--interval", "0.3", cols=200, rows=60)
        screen.expect("OF LIMIT")
        screen.filter("path:topagain runtime:plimsoll")
        screen.expect("1 match")
        for count in (1, 2):
            os.rmdir(outer + "/w")
            os.mkdir(outer + "/w")
            screen.until(lambda text: re.search(rf" {count} \S+$", text.splitlines()[4].rstrip()),
                         f"restart {count}")
        scene.small.limit(120 * MIB)
        screen.keys("t")
        screen.keys("/", "C-u", "Enter")
        screen.expect("from 100M to 120M")
        check(scene.name("small") in screen.line_of("L limit"), screen.text)
        check("restart 2" in screen.text and "restart 1" in screen.text, screen.text)
        screen.keys("o")
        screen.filter(scene.name("small"))
        screen.expect("1 match")
        screen.keys("Enter")
        screen.until(lambda text: re.search(r"events +1 .*L", text), "mark of the limit")
    finally:
        for path in (outer + "/w", outer):
            if os.path.isdir(path):
                os.rmdir(path)


@test("the terminal is as before: after q, SIGTERM and Ctrl-C", [needs_tmux, once])
def _():
    for how in ("q", "term", "C-c"):
        screen = Screen("--no-agent")
        screen.expect("OF LIMIT")
        equal(screen.flags(), ("1", "0"), "the other screen, no cursor")
        if how == "term":
            os.kill(screen.child(), signal.SIGTERM)
        else:
            screen.keys(how)
        screen.expect("ended=0")
        equal([line for line in screen.lines if line.strip("^C")], ["before", "ended=0"],
              f"what is left after {how}")
        equal(screen.flags(), ("0", "1"), f"screen and cursor after {how}")
        with open(screen.tmux("display-message", "-p", "#{pane_tty}").strip()) as tty:
            modes = subprocess.run(["stty", "-a"], stdin=tty, capture_output=True, text=True).stdout
        check(re.search(r"(?<!-)\bicanon\b", modes) and re.search(r"(?<!-)\becho\b", modes),
              f"modes after {how}: {modes}")
        screen.end()


@test("Ctrl-Z gives the terminal back, fg takes it again", [needs_tmux, once])
def _():
    screen = Screen(shell="env -u NO_COLOR TERM=screen-256color PS1='ready> ' bash --norc --noprofile -i")
    screen.expect("ready>")
    screen.type(f"LC_ALL=C.UTF-8 '{harness.options.binary}' top --no-agent\n")
    screen.expect("OF LIMIT")
    screen.keys("C-z")
    screen.expect("Stopped")
    equal(screen.flags(), ("0", "1"), "screen and cursor while it is stopped")
    screen.type("fg\n")
    screen.expect("OF LIMIT")
    screen.type("/zzz")
    screen.expect("/zzz")
    screen.keys("C-u", "Escape")
    shell = screen.child()
    os.kill(shell, signal.SIGSTOP)  # nobody says so beforehand
    screen.expect("Stopped")
    screen.type("fg\n")
    screen.expect("OF LIMIT")
    screen.keys("?")  # without Enter
    screen.expect("next row")
    screen.keys("q", "q")
    screen.until(lambda text: "OF LIMIT" not in text and "ready>" in text, "the shell again")


@test("Ctrl-Z where no shell could go on with it changes nothing", [needs_tmux, once])
def _():
    screen = Screen(shell=f"exec env LC_ALL=C.UTF-8 TERM=screen-256color '{harness.options.binary}' "
                          "top --no-agent --interval 0.3")
    screen.expect("OF LIMIT")
    screen.keys("C-z")
    clock = screen.lines[0]
    screen.until(lambda text: text.splitlines()[0] != clock and "OF LIMIT" in text, "going on")


@test("NO_COLOR has no colours, a plain locale nothing but ASCII", [needs_tmux, once])
def _():
    scene = Scene()
    colour = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7])[;m]")
    plain = scene.open("--no-agent", env=[("NO_COLOR", "1"), ("LC_ALL", "C")])
    text = plain.look("-e")
    check(not colour.search(text), "colours in spite of NO_COLOR")
    check(text.isascii(), f"not ASCII:\n{text}")
    check(re.search(r"\[#+ *!? *\]", plain.line_of(scene.name("large"))), f"no plain bar:\n{text}")
    plain.keys("Enter")
    check(plain.expect("= usage").isascii(), f"not ASCII:\n{plain.text}")
    plain.end()
    bright = scene.open("--no-agent")
    check(colour.search(bright.look("-e")), "no colours where there could be")


def columns_of(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in text)


@test("names from hostile hands reach no terminal raw, and columns stay in line",
      [needs_tmux, once])
def _():
    scene = Scene()
    for name in NAMES:
        box = Group(scene.box, f"lxc.payload.{scene.word}" + os.fsdecode(name))
        Load("anon", 1, groups=[box])
    wide = Group(scene.box, f"lxc.payload.{scene.word}\u5185\u5b58\u6c60")
    Load("anon", 1, groups=[wide])
    for cols in (80, 200):
        screen = Screen("--no-agent", cols=cols, rows=40, env=[("NO_COLOR", "1")])
        screen.expect("OF LIMIT")
        screen.filter("path:" + scene.box.path)
        screen.expect(f"{len(NAMES) + 3} match")
        rows = [line for line in screen.look().splitlines() if line.startswith(scene.word)]
        equal(len(rows), len(NAMES) + 3, f"rows in:\n{screen.text}")
        columns = {columns_of(line.split("\u258f")[0]) for line in rows}
        equal(len(columns), 1, f"where bars end: {columns} in:\n{screen.text}")
        screen.keys("q")
        screen.expect("ended=0")
        with open(screen.raw, "rb") as file:
            raw = file.read()
        check(len(raw) > 1000, "nothing was recorded")
        for name in NAMES:
            check(all(32 <= byte < 127 and byte != 92 for byte in name) or name not in raw,
                  f"{name!r} reached the terminal")
        text = raw.decode("utf-8", "strict")
        for mark in BIDI + "\u200b\u0085\u009b\x7f":
            check(mark not in text, f"U+{ord(mark):04X} reached the terminal")
        screen.end()


@test("with an agent, [ shows how it was, and 0 how it is", [needs_tmux, once])
def _():
    scene = Scene()
    with agents.Agent() as agent:
        began = time.time()
        wait_for(lambda: time.time() > began + 4, 30, "some history")
        changed = time.time()
        Load("anon", 40, groups=[scene.small])
        screen = Screen("--socket", agent.socket)
        screen.expect("agent")
        screen.filter(scene.name("small"))
        screen.until(lambda _: used(screen, scene) > 40, "what is now")
        for _ in range(9):
            screen.keys("+")  # down to a minute: [ is 7.5 s
        screen.until(lambda text: re.search(r"window (60s|1m)", text), "window of a minute")
        wait_for(lambda: time.time() > changed + 6, 30, "a past that is long enough")
        screen.keys("[")
        screen.expect("PAST")
        moment = re.search(r"PAST (\S+ \S+)Z", screen.text).group(1)
        at = time.mktime(time.strptime(moment, "%Y-%m-%d %H:%M:%S")) - time.timezone
        if at < changed - 1 and at > began:
            screen.until(lambda _: used(screen, scene) < 20, "what was before")
        else:  # a slow machine: the moment is another, the claim is the same with --at
            screen.end()
            screen = Screen("--socket", agent.socket, "--at", str(round(changed * 1000) - 1000))
            screen.expect("PAST")
            screen.filter(scene.name("small"))
            screen.until(lambda _: used(screen, scene) < 20, "what was before")
        screen.keys("0")
        screen.expect("live")
        screen.until(lambda _: used(screen, scene) > 40, "what is now")
        screen.keys("Enter")
        screen.expect("= usage")
        screen.keys("q", "t")
        screen.expect("start")


def used(screen, scene):
    found = [line for line in screen.look().splitlines() if line.startswith(scene.name("small"))]
    shown = re.search(r"([\d.]+[KM]\*?)/", found[0]) if found else None
    return mib(shown.group(1)) if shown else 0


@test("an agent that falls silent, or ends, is waited for: rows stay, keys answer, it goes on",
      [needs_tmux, once])
def _():
    scene = Scene()
    with agents.Agent("interval: 200ms\n") as agent:
        agent.target(scene.name("small"))
        screen = scene.open("--socket", agent.socket)
        processes = [agent.process.pid, *agent.children().values()]
        try:
            for pid in processes:
                os.kill(pid, signal.SIGSTOP)
            screen.expect("nothing heard from the agent since", 30)
            equal(set(order(screen, scene)), {"small", "large"}, "rows of before")
            screen.keys("?")
            screen.expect("next row", 5)
            screen.keys("q", "Enter")  # what is asked for now is not answered
            screen.expect("= usage", 5)
            screen.keys("q")
            screen.expect("OF LIMIT", 5)
            screen.keys("[")  # rows of now are none of that moment
            screen.until(lambda text: "PAST" in text and not order(screen, scene), "nothing", 5)
            check("nothing heard from the agent" in screen.text, screen.text)
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        screen.until(lambda text: "nothing heard" not in text, "end of the silence")
        screen.keys("0")
        screen.until(lambda text: "live" in text and order(screen, scene), "what is now")
        equal(agent.stop(), 0, "end of the agent")
        screen.expect("nothing heard from the agent since", 30)
        agent.start()
        screen.until(lambda text: "nothing heard" not in text, "end of the silence")
        Load("anon", 40, groups=[scene.small])
        screen.until(lambda _: used(screen, scene) > 40, "what is now")


@test("what cannot be shown is told in a line, without a screen", [needs_tmux, once])
def _():
    scene = Scene()
    twin = Group(Group(scene.box, "other"), f"lxc.payload.{scene.word}-small")
    for word, says in (("no-such-container", "process is called 'no-such-container'"),
                       (scene.name("small"), f"'{scene.name('small')}' may mean"),
                       (str(os.getpid()), "is not listed here")):
        screen = Screen(word, "--no-agent", cols=200)
        screen.expect("ended=1")
        check(says in screen.text, f"{says!r} in:\n{screen.text}")
        screen.end()
    done = plimsoll("top", "--at", str(int(time.time()) + 600), code=2)
    check("in the future" in done.err, done.err)
    for word in (str(scene.load.children[0]), scene.small.path + "/", f"{scene.name('large')}"):
        screen = Screen(word, "--no-agent")
        screen.expect("= usage")
        check(scene.name("large" if "large" in word else "small") in screen.text, screen.text)
        screen.end()
    check(twin.path, "the other one of that name is gone")
    done = plimsoll("top", "--no-agent", code=1)
    check("plimsoll stats" in done.err and not done.out, f"without a terminal: {done.err!r}")


main()
