#!/usr/bin/python3
"""Writes tests/fixtures/engines: a machine with docker, containerd and podman containers on it.

Run by hand as root when the fixture has to be made again: capture.py DIR. Files are what the kernel
and the engines wrote, with the temporary folders renamed to /srv/engines, groups of the machine's
own replaced by /, and the bundles' JSON trimmed. expected.tsv is what the engines themselves say
about the same containers.
"""

import json
import os
import shutil
import sys

from engine import Engine
from host import cgroup_dir, hierarchies, hierarchy, parent_of, read, run
from podman import IMAGE as PODMAN_IMAGE
from podman import Podman

PROC_FILES = ["cgroup", "cmdline", "comm", "mountinfo", "stat", "statm", "status", "net/dev"]
PROC_LINKS = ["cwd", "ns/cgroup", "ns/mnt", "ns/net", "ns/pid", "ns/uts"]
GROUP_FILES = ["cgroup.procs", "cgroup.controllers", "cgroup.events", "freezer.state",
               "pids.current", "pids.max", "cpuacct.usage",
               "blkio.throttle.io_service_bytes_recursive",
               "blkio.throttle.io_service_bytes", "memory.usage_in_bytes", "memory.limit_in_bytes",
               "memory.max_usage_in_bytes", "memory.memsw.usage_in_bytes",
               "memory.memsw.limit_in_bytes", "memory.stat", "memory.failcnt", "memory.oom_control",
               "memory.kmem.usage_in_bytes", "memory.pressure"]
HIERARCHIES = ["memory", "pids", "cpuacct", "blkio", "freezer", "unified"]
STATE_FILES = ["config.v2.json", "hostconfig.json", "config.json", "hostname", "init.pid"]
STRAY = "a\x1b[31m\nb\u202e"


class Capture:
    def __init__(self, out):
        self.out = out
        self.renames = []  # (text, replacement), first match first
        self.rows = []
        self.kept = set()

    def clean(self, text):
        for old, new in self.renames:
            text = text.replace(old, new)
        return text

    def write(self, path, text):
        target = self.out + self.clean(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", errors="surrogateescape", newline="") as f:
            f.write(self.clean(text))

    def keep(self, path):
        try:
            self.write(path, read(path))
        except OSError:
            pass  # not there on this kernel, or (v1's write-only files) not readable

    def keep_process(self, pid, is_engine=False):
        if pid in self.kept:
            return
        self.kept.add(pid)
        for name in PROC_FILES:
            # the engine's own mount table is the machine's: nothing of a container
            if not (is_engine and name in ("mountinfo", "net/dev")):
                self.keep(f"/proc/{pid}/{name}")
        for name in PROC_LINKS:
            link = f"{self.out}/proc/{pid}/{name}"
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(self.clean(os.readlink(f"/proc/{pid}/{name}")), link)

    def keep_groups(self, tops):
        for mount in hierarchies():
            if os.path.basename(mount) not in HIERARCHIES:
                continue
            self.keep_group(mount)
            for top in tops:
                for folder, _, _ in os.walk(mount + top):
                    self.keep_group(folder)

    def keep_group(self, folder):
        for name in GROUP_FILES:
            self.keep(f"{folder}/{name}")
        if folder in hierarchies():
            self.write(f"{folder}/cgroup.procs", "")  # they are the machine's own

    def container(self, runtime, ident, name, image, pod, pid, folders):
        """One container: its processes, its parent, and the files of FOLDERS that speak of it."""
        group = cgroup_dir(pid)
        for process in read(group + "/cgroup.procs").split():
            self.keep_process(int(process))
        self.keep_process(parent_of(pid), True)
        for folder in folders:
            for file in STATE_FILES:
                if os.path.exists(f"{folder}/{file}"):
                    self.write(f"{folder}/{file}", trimmed(read(f"{folder}/{file}")))
        path = group[len(hierarchy("memory")):]
        self.rows.append([path, runtime, ident, name, image, pod, str(pid)])


def trimmed(text):
    """A bundle's config.json without the two thirds of it that say nothing of who it is."""
    if '"ociVersion"' not in text:
        return text
    spec = json.loads(text)
    for outer, names in (("process", ["capabilities"]),
                         ("linux", ["seccomp", "maskedPaths", "readonlyPaths", "sysctl"])):
        for name in names:
            spec[outer].pop(name, None)
    spec["linux"].get("resources", {}).pop("devices", None)
    return json.dumps(spec, separators=(",", ":"), ensure_ascii=False)


def docker_containers(capture, engine):
    limited = f"/{engine.parent_name}"
    for mount in hierarchies():
        os.makedirs(mount + limited, exist_ok=True)
    for mount in hierarchies():
        if os.path.exists(f"{mount}{limited}/memory.limit_in_bytes"):
            with open(f"{mount}{limited}/memory.limit_in_bytes", "w") as f:
                f.write(str(96 << 20))
    engine.run("web", "-m", "64m", "--label", "team=billing")
    engine.run("worker", "--cgroup-parent", limited,
               command=("/bin/sh", "-c", "sleep 601 & sleep 602"))
    engine.run("held", "-m", "32m", "--cgroupns", "private")
    engine.docker("pause", "held")
    engine.run("stray", "--label", f"evil={STRAY}", "--env", f"EVIL={STRAY}",
               command=("/bin/sh", "-c", "sleep 603; true", STRAY))
    engine.run("before")
    engine.docker("rename", "before", "after")
    for name in ("web", "worker", "held", "stray", "after"):
        seen = engine.inspect(name)
        ident, image, pid = seen["Id"], seen["Config"]["Image"], seen["State"]["Pid"]
        capture.container("docker", ident, name, image, "", pid,
                          [f"{engine.data}/containers/{ident}", f"{engine.bundles}/moby/{ident}"])
    capture.keep_process(engine.daemon.pid, True)
    containerd = int(read(f"{engine.exec_root}/containerd/containerd.pid"))
    capture.keep_process(containerd, True)
    capture.keep(f"{engine.exec_root}/containerd/containerd.toml")


def containerd_containers(capture, engine):
    for name, options in (("web-1", ["--memory-limit", str(48 << 20)]),
                          ("odd-path", ["--cgroup", f"/{engine.parent_name}/some/where"])):
        pid = engine.ctr_run(name, *options)
        capture.container("containerd", name, name, "", "", pid,
                          [f"{engine.bundles}/{engine.namespace}/{name}"])


def podman_containers(capture, podman):
    podman.run("db", "-m", "64m")
    podman.run("tree", "--rootfs", image=None, command=(podman.rootfs, "/bin/sleep", "600"))
    podman.run("old")
    podman.podman("rename", "old", "new")
    podman.podman("pod", "create", "--name", "shop", "--network", "none",
                  "--infra-image", PODMAN_IMAGE, "--infra-command", "/bin/sleep 600")
    podman.podman("run", "-d", "--pod", "shop", "--name", "cart", PODMAN_IMAGE, "/bin/sleep", "600")
    for name in podman.podman("ps", "--format", "{{.Names}}").stdout.split():
        seen = podman.inspect(name)
        userdata = f"{podman.graphroot}/overlay-containers/{seen['Id']}/userdata"
        pod = "shop" if seen["Pod"] else ""
        capture.container("podman", seen["Id"], name, seen["ImageName"], pod, seen["State"]["Pid"],
                          [userdata])
    capture.keep(f"{podman.graphroot}/overlay-containers/containers.json")


def host_files(capture):
    for name in ("meminfo", "stat"):
        capture.keep(f"/proc/{name}")
    lines = [line for line in read("/proc/self/mountinfo").splitlines()
             if line.partition(" - ")[2].split()[0] in ("cgroup", "cgroup2", "proc", "sysfs")]
    capture.write("/proc/self/mountinfo", "".join(line + "\n" for line in lines))
    capture.write("/proc/1/mountinfo", "".join(line + "\n" for line in lines))
    own = "".join(line.rsplit(":", 1)[0] + ":/\n"
                  for line in read("/proc/self/cgroup").splitlines())
    capture.write("/proc/self/cgroup", own)
    capture.write("/proc/1/cgroup", own)
    for name, text in (("comm", "init\n"), ("cmdline", "/sbin/init\0")):
        capture.write(f"/proc/1/{name}", text)
    for pid in ("1", "self"):
        os.makedirs(f"{capture.out}/proc/{pid}/ns", exist_ok=True)
        for name in PROC_LINKS[1:]:
            os.symlink(os.readlink(f"/proc/self/{name}"), f"{capture.out}/proc/{pid}/{name}")


def main():
    out = os.path.abspath(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    capture = Capture(out)
    engine = Engine()
    podman = Podman()
    if not (engine.default_parent_is_ours and podman.default_parent_is_ours):
        sys.exit("another engine has containers here")
    capture.renames = [(engine.place.folder, "/srv/engines/docker"),
                       (podman.place.folder, "/srv/engines/podman"),
                       (engine.parent_name, "plimsoll-parent"), (engine.namespace, "shop-floor")]
    for line in read("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if path != "/":
            capture.renames.append((f":{names}:{path}", f":{names}:/"))
    docker_containers(capture, engine)
    containerd_containers(capture, engine)
    podman_containers(capture, podman)
    host_files(capture)
    capture.keep_groups(["/docker", "/" + engine.parent_name, "/" + engine.namespace,
                         "/libpod_parent"])
    head = ["cgroup", "runtime", "id", "name", "image", "pod", "pid"]
    text = "".join("\t".join(row) + "\n" for row in [head, *capture.rows])
    capture.write("/expected.tsv", text)
    print(run(["du", "-sh", out]).stdout, end="")


if __name__ == "__main__":
    main()
