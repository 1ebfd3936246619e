"""An agent of its own for a test: temporary folders, its unix socket, ended with the test.

  agent = Agent("targets: all\\n")         # more lines of plimsoll.yaml
  agent.start()                            # until it answers
  agent.json("/api/v1/targets")            # over the unix socket
  agent.metrics()["plimsoll_memory_usage_bytes"]   # [({label: value}, number)]
"""
import atexit
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import harness


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


_agents = []


class Agent:
    def __init__(self, config="", listen="off", folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="plimsoll-agent-test-")
        os.chmod(self.folder, 0o755)
        self.owns_folder = folder is None
        self.socket = self.folder + "/plimsoll.sock"
        self.state = self.folder + "/state"
        self.config = self.folder + "/plimsoll.yaml"
        self.log = self.folder + "/log"
        self.audit = self.folder + "/audit/audit.jsonl"
        os.makedirs(self.folder + "/audit", 0o700, exist_ok=True)
        with open(self.config, "w") as file:
            file.write(f"socket: {self.socket}\nstate: {self.state}\nlisten: {listen}\n{config}")
        os.chmod(self.config, 0o644)
        self.process = None

    # --- its life ----------------------------------------------------------------------------

    def start(self, seconds=None, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [harness.options.binary, "agent", "--config", self.config, "--foreground",
                 "--audit", self.audit],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if self not in _agents:
            _agents.append(self)
        if wait:
            self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=None):
        end = time.monotonic() + (seconds or 15 * harness.PATIENCE)
        while True:
            try:
                answer = self.get("/healthz")
                if answer.status == 200 and self.json("/api/v1/targets")["targets"]:
                    return
                trouble = f"/healthz answers {answer.status}: {answer.body[:300]!r}"
            except (OSError, http.client.HTTPException, ValueError) as error:
                trouble = repr(error)
            if self.process.poll() is not None:
                raise AssertionError(f"the agent ended with {self.process.returncode}:\n{self.said()}")
            if time.monotonic() > end:
                raise AssertionError(f"the agent does not answer: {trouble}\n{self.said()}")
            time.sleep(0.05)

    def said(self):
        with open(self.log, "rb") as file:
            return file.read().decode("utf-8", "backslashreplace")

    def stop(self):
        """Ends it by TERM; its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15 * harness.PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the agent does not end:\n{self.said()}") from None
        return self.process.returncode

    def kill(self):
        """SIGKILL to its first process, which takes the others with it."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def children(self):
        """{"collector": pid, "front": pid, "remote": pid, "guard": pid}: those that run."""
        found = {}
        names = {"plimsoll-coll": "collector", "plimsoll-front": "front", "plimsoll-remot": "remote",
                 "plimsoll-remote": "remote", "plimsoll-guard": "guard"}
        for pid in harness.read(f"/proc/{self.process.pid}/task/{self.process.pid}/children").split():
            try:
                name = names.get(harness.read(f"/proc/{pid}/comm").strip())
            except OSError:
                continue
            if name:
                found[name] = int(pid)
        return found

    def delete(self):
        self.kill()
        end = time.monotonic() + 5
        while self.owns_folder and os.path.exists(self.folder) and time.monotonic() < end:
            shutil.rmtree(self.folder, ignore_errors=True)
            time.sleep(0.02)  # its processes end a moment later than it, and may write until then
        if self in _agents:
            _agents.remove(self)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if kind is not None:
            harness.note("the agent said:\n" + self.said()[-3000:])
        self.delete()

    def configure(self, config):
        """Another configuration, not read yet."""
        with open(self.config, "w") as file:
            file.write(f"socket: {self.socket}\nstate: {self.state}\nlisten: off\n{config}")

    def records(self, **wanted):
        """The records of its guards, those with these values; the last line may be half written."""
        if not os.path.exists(self.audit):
            return []
        lines = harness.read(self.audit).split("\n")[:-1]
        return [record for record in map(json.loads, lines)
                if all(record.get(key) == value for key, value in wanted.items())]

    # --- what it answers ---------------------------------------------------------------------

    def get(self, path, headers=None, timeout=10):
        connection = UnixConnection(self.socket, timeout * harness.PATIENCE)
        try:
            connection.request("GET", path, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def post(self, path, what, timeout=10):
        connection = UnixConnection(self.socket, timeout * harness.PATIENCE)
        try:
            connection.request("POST", path, body=json.dumps(what),
                               headers={"Content-Type": "application/json"})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def json(self, path):
        answer = self.get(path)
        if answer.status != 200:
            raise AssertionError(f"{path}: {answer.status} {answer.body[:500]!r}")
        return answer.json()

    def targets(self, query=""):
        return self.json("/api/v1/targets" + query)["targets"]

    def target(self, name, seconds=10):
        """The row of that name or path; waits for it."""
        end = time.monotonic() + seconds * harness.PATIENCE
        while True:
            for row in self.targets():
                if name in (row["name"], row["cgroup"]):
                    return row
            if time.monotonic() > end:
                raise AssertionError(f"no target {name}")
            time.sleep(0.05)

    def metrics(self, path="/metrics"):
        return parse_metrics(self.get(path).body.decode())


LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')


def parse_metrics(text):
    """{family: [(labels, value)]} of the text format."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = LINE.match(line)
        harness.check(match, f"no sample line: {line!r}")
        labels = {name: value.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
                  for name, value in LABEL.findall(match.group(2) or "")}
        found.setdefault(match.group(1), []).append((labels, float(match.group(3))))
    return found


def end_all():
    for agent in list(_agents):
        agent.delete()


atexit.register(end_all)
