"""Debian's podman for one test: its stores in one temporary folder, a conmon beside each container.

No network is ever asked for (podman's default one would make a bridge and firewall rules on the
host), and resource limits are such that a root without CAP_SYS_RESOURCE can set them.
"""

import json
import os
import subprocess

from host import Missing, Workplace, clean_env, need, run

PODMAN = "/usr/bin/podman"
IMAGE = "localhost/plimsoll-box:1"

CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
network_backend = "cni"
"""


class Podman:
    def __init__(self, files=()):
        need(PODMAN, "/usr/bin/conmon", "/usr/sbin/runc")
        self.place = Workplace("podman", ["libpod_parent", f"plimsoll-podman-{os.getpid()}"],
                               ["/run/runc", "/run/libpod", "/run/containers", "/run/netns",
                                "/run/podman", "/var/lib/containers", "/var/lib/cni"])
        self.default_parent_is_ours = "libpod_parent" in self.place.groups
        self.parent = "/libpod_parent"
        self.options = []
        if not self.default_parent_is_ours:
            self.parent = f"/plimsoll-podman-{os.getpid()}"
            self.options = ["--cgroup-parent", self.parent]
        self.graphroot = self.place.mkdir("storage")
        self.conf = self.place.path("containers.conf")
        with open(self.conf, "w") as f:
            f.write(CONF)
        self.env = clean_env(CONTAINERS_CONF=self.conf, TMPDIR=self.place.mkdir("vartmp"))
        self.place.on_close(self.stop)
        self.rootfs = self.place.rootfs(files)
        self.make_image()

    def argv(self, *words):
        return [PODMAN, "--root", self.graphroot, "--runroot", self.place.mkdir("run"),
                "--tmpdir", self.place.mkdir("tmp"),
                "--network-config-dir", self.place.mkdir("cni"),
                "--cgroup-manager", "cgroupfs", "--runtime", "/usr/sbin/runc",
                "--events-backend", "none", *words]

    def podman(self, *words, check=True, timeout=60):
        # conmon inherits the caller's working directory and would keep it busy
        return run(self.argv(*words), check=check, timeout=timeout, env=self.env, cwd="/")

    def make_image(self):
        tar = subprocess.Popen(["tar", "-C", self.rootfs, "-c", "."], stdout=subprocess.PIPE)
        done = subprocess.run(self.argv("import", "-", IMAGE), stdin=tar.stdout, env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        tar.stdout.close()
        tar.wait()
        if done.returncode != 0:
            raise Missing(f"podman import fails: {done.stderr.strip()[-300:]}")

    def run(self, name, *options, command=("/bin/sleep", "600"), image=IMAGE):
        """Starts a container; its full id."""
        if image is not None:
            command = (image, *command)
        return self.podman("run", "-d", "--network", "none", "--name", name, *self.options,
                           *options, *command).stdout.strip()

    def inspect(self, name):
        return json.loads(self.podman("inspect", name).stdout)[0]

    def pid(self, name):
        return self.inspect(name)["State"]["Pid"]

    def exec(self, name, *command, check=True):
        return self.podman("exec", name, *command, check=check)

    def stop(self):
        self.place.thaw()
        self.podman("pod", "rm", "-f", "-t", "0", "-a", check=False)
        self.podman("rm", "-f", "-t", "0", "-a", check=False)
