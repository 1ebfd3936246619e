"""Debian's Docker engine, started for one test in one temporary folder.

Nothing of a Docker engine that may already run here is used or touched: own data, own state, own
socket, own containerd, no firewall rules, no bridge.
"""

import json
import os
import re
import signal
import subprocess

from host import Missing, Workplace, clean_env, need, run, wait_for

DOCKER = "/usr/bin/docker"  # the package's: another client may come first in PATH
DOCKERD = "/usr/sbin/dockerd"
CTR = "/usr/bin/ctr"
IMAGE = "plimsoll-box:1"


class Engine:
    def __init__(self, files=(), parent=None, data="data", log_level="warn"):
        """PARENT: the daemon's --cgroup-parent. None is docker's own default, /docker, unless
        another engine has containers there."""
        need(DOCKER, DOCKERD, "/usr/bin/containerd", "/usr/bin/containerd-shim-runc-v2", CTR)
        self.namespace = f"plimsoll-ns-{os.getpid()}"
        self.parent_name = f"plimsoll-parent-{os.getpid()}"
        own = f"plimsoll-docker-{os.getpid()}"
        self.place = Workplace("docker", ["docker", own, self.parent_name, self.namespace],
                               [f"/run/containerd/runc/{self.namespace}", "/run/containerd",
                                "/run/docker"])
        self.default_parent_is_ours = "docker" in self.place.groups
        self.parent = parent or ("/docker" if self.default_parent_is_ours else "/" + own)
        self.data = self.place.path(data)
        self.exec_root = self.place.path("exec")
        self.socket = self.place.path("docker.sock")
        self.containerd = f"{self.exec_root}/containerd/containerd.sock"
        self.bundles = f"{self.exec_root}/containerd/daemon/io.containerd.runtime.v2.task"
        self.log = self.place.path("dockerd.log")
        self.daemon = None
        self.tasks = []
        self.place.on_close(self.stop)
        self.rootfs = self.place.rootfs(files)
        for driver in ("overlay2", "vfs"):
            if self.start(driver, log_level):
                break
        else:
            raise Missing(f"dockerd does not start: {self.last_words()}")
        self.make_image()

    def start(self, driver, log_level):
        config = self.place.path("daemon.json")
        with open(config, "w") as f:
            f.write("{}\n")
        argv = [DOCKERD, "--config-file", config, "--data-root", self.data,
                "--exec-root", self.exec_root, "--pidfile", self.place.path("docker.pid"),
                "--host", f"unix://{self.socket}", "--iptables=false", "--ip6tables=false",
                "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--userland-proxy=false",
                "--exec-opt", "native.cgroupdriver=cgroupfs", "--storage-driver", driver,
                "--cgroup-parent", self.parent, "--log-level", log_level]
        with open(self.log, "w") as log:
            self.daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           env=clean_env(), start_new_session=True, cwd="/")
        up = wait_for(lambda: self.daemon.poll() is not None or self.answers(), 30, 0.1)
        if not up:
            self.daemon.kill()
            self.daemon.wait()
        return self.daemon.poll() is None

    def answers(self):
        return os.path.exists(self.socket) and \
            self.docker("version", "--format", "{{.Server.Version}}", check=False).returncode == 0

    def last_words(self):
        with open(self.log) as f:
            return " | ".join(f.read().splitlines()[-2:])

    def docker(self, *words, check=True, timeout=60):
        return run(self.client(*words), check=check, timeout=timeout)

    def client(self, *words):
        return [DOCKER, "--config", self.place.mkdir("client"), "--host", f"unix://{self.socket}",
                *words]

    def make_image(self):
        tar = subprocess.Popen(["tar", "-C", self.rootfs, "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(self.client("import", "-", IMAGE), stdin=tar.stdout, check=True,
                       env=clean_env(), stdout=subprocess.DEVNULL)
        tar.stdout.close()
        if tar.wait() != 0:
            raise RuntimeError("tar failed")

    def run(self, name, *options, command=("/bin/sleep", "600"), image=IMAGE):
        """Starts a container; its full id."""
        return self.docker("run", "-d", "--network", "none", "--name", name, *options, image,
                           *command).stdout.strip()

    def inspect(self, name):
        return json.loads(self.docker("inspect", name).stdout)[0]

    def pid(self, name):
        return self.inspect(name)["State"]["Pid"]

    def exec(self, name, *command, check=True, timeout=60):
        return self.docker("exec", name, *command, check=check, timeout=timeout)

    def stats(self, *names):
        """`docker stats --no-stream`: (header line, {name: row})."""
        lines = self.docker("stats", "--no-stream", *names, timeout=120).stdout.splitlines()
        return lines[0], table(lines)

    def remove(self, *names):
        self.docker("rm", "-f", *names)

    def ctr(self, *words, check=True):
        return run([CTR, "--address", self.containerd, "--namespace", self.namespace, *words],
                   check=check)

    def ctr_run(self, name, *options, command=("/bin/sleep", "600")):
        """A container that only containerd knows of; its pid."""
        self.tasks.append(name)
        self.ctr("run", "-d", "--null-io", "--rootfs", *options, self.rootfs, name, *command)
        for line in self.ctr("task", "ls").stdout.splitlines():
            if line.split()[0] == name:
                return int(line.split()[1])
        raise RuntimeError(f"no task {name}")

    def ctr_remove(self, name):
        self.ctr("task", "kill", "-s", "SIGKILL", name, check=False)
        wait_for(lambda: self.ctr("task", "rm", name, check=False).returncode == 0, 5, 0.1)
        self.ctr("containers", "rm", name, check=False)
        self.tasks.remove(name)

    def hide_socket(self):
        """From here on nobody can ask this engine: its sockets have other names."""
        for path in (self.socket, self.containerd):
            os.rename(path, path + ".hidden")

    def show_socket(self):
        for path in (self.socket, self.containerd):
            if os.path.exists(path + ".hidden"):
                os.rename(path + ".hidden", path)

    def stop(self):
        if self.daemon is None or self.daemon.poll() is not None:
            return
        self.show_socket()
        self.place.thaw()
        try:
            for name in list(self.tasks):
                self.ctr_remove(name)
            ids = self.docker("ps", "-aq").stdout.split()
            if ids:
                self.remove(*ids)
        finally:
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(15)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()


def table(lines):
    """Rows of a column table by the NAME column; columns are where the header's words begin."""
    heads = [(m.group(), m.start()) for m in re.finditer(r"\S+(?: \S+)*", lines[0])]
    rows = {}
    for line in lines[1:]:
        cells = {}
        for i, (head, start) in enumerate(heads):
            end = heads[i + 1][1] if i + 1 < len(heads) else None
            cells[head] = line[start:end].strip()
        rows[cells.get("NAME") or cells.get("NAMES")] = cells
    return rows


UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
         "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def size(text):
    """"1.5MiB" as bytes; None for "--"."""
    m = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]+)", text.strip())
    return float(m[1]) * UNITS[m[2]] if m else None


def pair(text):
    """"1MiB / 2GiB" as two byte counts."""
    left, _, right = text.partition(" / ")
    return size(left), size(right)
