"""enter: a shell in a container's namespaces and outside of its cgroups, also while it hangs."""
import fcntl
import hashlib
import os
import pty
import re
import select
import shlex
import shutil
import signal
import stat
import struct
import subprocess
import tempfile
import termios
import time

from harness import (MIB, PATIENCE, Skip, check, equal, group, machine, main, needs_cgroups, note,
                     plimsoll, read, test, wait_for)
from hangs import Hanger
import harness

APPLETS = ("sh", "env", "grep", "ls", "readlink", "seq", "tr", "wc")
F_GET_SEALS, SEAL_WRITE = 1034, 8
FULL = "BEGIN { x = \"xxxxxxxxxxxxxxxx\"; while (1) x = x x }"  # awk: until there is no memory


def needs_boxes():
    needs_cgroups()
    if shutil.which("busybox") is None or shutil.which("unshare") is None:
        raise Skip("needs busybox and unshare")


class Box:
    """A container without an engine: namespaces, a root folder, a group. With `tools` it has this
    machine's programs, else a busybox alone, and with `shell` as /bin/sh."""

    def __init__(self, *command, tools=False, shell=True, hang=None):
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-root-", dir="/var/tmp")
        self.root = self.folder.name
        os.chmod(self.root, 0o755)
        for name in ("dev", "proc", "tmp", "old", "etc", "srv"):
            os.mkdir(f"{self.root}/{name}")
        self.device("dev/null", 3)
        self.device("dev/zero", 5)
        self.device("dev/tty", 0, major=5)
        self.device("srv/forbidden", 5)  # a device that the container made for itself
        if tools:
            command = command or ("sleep", "600")
            os.mkdir(f"{self.root}/usr")
            for name in ("bin", "sbin", "lib", "lib64"):
                if os.path.exists("/usr/" + name):
                    os.symlink("usr/" + name, f"{self.root}/{name}")
        else:
            os.mkdir(f"{self.root}/bin")
            own = "busybox" if shell else "busybox.alone"  # which is no shell by its name
            shutil.copy(shutil.which("busybox"), f"{self.root}/bin/{own}")
            for name in APPLETS if shell else ():
                os.symlink("busybox", f"{self.root}/bin/{name}")
            command = command or (f"/bin/{own}", "sleep", "600")
        self.start(self.script(command, tools), hang)
        wait_for(self.settled, 20, "the container")

    def device(self, name, minor, major=1):
        path = f"{self.root}/{name}"
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(path, 0o666)

    def script(self, command, tools):
        root = shlex.quote(self.root)
        lines = [f"mount --make-rprivate /; mount --bind {root} {root}; cd {root}"]
        if tools:
            lines.append("mount --rbind /usr usr")
        # the old root's busybox, until the old root goes
        last = "/old/bin/busybox umount -l /old; exec " + shlex.join(command)
        lines += ["mount -t proc proc proc", "hostname box", "pivot_root . old",
                  "exec " + shlex.join(["/old/bin/busybox", "sh", "-c", last])]
        return "; ".join(lines)

    def start(self, script, hang):
        args = ["unshare", "-m", "-p", "-u", "-i", "-n", "--fork", "sh", "-ec", script]
        env = {"PATH": os.environ["PATH"], "HOME": "/srv", "WORD": "inside"}
        if hang:
            self.hanger = Hanger(["env", "-i", *(f"{k}={v}" for k, v in env.items()), *args], hang)
            self.group, self.outer = self.hanger.box, self.hanger.pid
            return
        self.hanger, self.group = None, group("box", limit=200 * MIB)
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, env=env,
                                        preexec_fn=self.join, stderr=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        self.outer = self.process.pid

    def join(self):
        for directory in self.group.dirs.values():
            with open(directory + "/cgroup.procs", "w") as file:
                file.write("0")

    def settled(self):
        """Its pid 1 has become the command."""
        children = read(f"/proc/{self.outer}/task/{self.outer}/children").split()
        if not children:
            return False
        self.pid = int(children[0])
        return not os.path.exists(os.path.join(f"/proc/{self.pid}/root", "old", "bin")) and \
            b"umount" not in open(f"/proc/{self.pid}/cmdline", "rb").read()

    def becomes(self, name):
        """Until the command, which prepares something first, has become this program."""
        wait_for(lambda: read(f"/proc/{self.pid}/comm") == name + "\n", 20, name)

    def enter(self, *command, options=(), **how):
        return plimsoll("enter", self.pid, *options, *(("--",) + command if command else ()), **how)

    def end(self):
        if self.hanger:
            harness._loads.remove(self.hanger)
            self.hanger.end()
        else:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait()
            self.group.remove()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def link(pid, name):
    return os.readlink(f"/proc/{pid}/ns/{name}")


def cgroups(pid):
    return sorted(line for line in read(f"/proc/{pid}/cgroup").splitlines())


class Inside:
    """enter, running on; `pid` is what runs inside."""

    def __init__(self, box, *command, **popen):
        self.process = subprocess.Popen([harness.options.binary, "enter", str(box.pid), "--",
                                         *command], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, **popen)
        wait_for(self.started, 10, "the program inside")

    def started(self):
        own = self.process.pid
        children = read(f"/proc/{own}/task/{own}/children").split()
        if not children:
            return False
        self.pid = int(children[0])
        return "memfd:" not in os.readlink(f"/proc/{self.pid}/exe")


@test("what is run has the target's namespaces, and the cgroups of the caller", needs=(needs_boxes,))
def namespaces():
    with Box() as box:
        inside = Inside(box, "/bin/busybox", "sleep", "60")
        for name in ("pid", "uts", "ipc", "net"):
            equal(link(inside.pid, name), link(box.pid, name), f"the {name} namespace")
        check(link(inside.pid, "mnt") != link(os.getpid(), "mnt"), "not our mounts")
        equal(os.stat(f"/proc/{inside.pid}/root").st_ino, os.stat(f"/proc/{box.pid}/root").st_ino,
              "the root folder")
        equal(cgroups(inside.pid), cgroups(os.getpid()), "its cgroups")
        check(inside.pid not in box.group.pids(), "it is not in the container's group")
        inside.process.send_signal(signal.SIGTERM)
        equal(inside.process.wait(10 * PATIENCE), 128 + signal.SIGTERM, "a signal passed on")
        equal(box.enter("/bin/busybox", "hostname").out.strip(), "box", "its host name")


@test("the target may be a group: its pid 1 is what is entered", needs=(needs_boxes,))
def by_group():
    with Box("/bin/busybox", "sh", "-c", "/bin/busybox sleep 500 & exec /bin/busybox sleep 600") as box:
        done = plimsoll("enter", box.group.path, "--", "/bin/busybox", "sh", "-c",
                        "for p in 1 self; do echo $(readlink /proc/$p/ns/pid); done; "
                        "tr '\\0' ' ' < /proc/1/cmdline")
        lines = done.lines
        equal(lines[0], lines[1], "the pid namespace")
        equal(lines[2].strip(), "/bin/busybox sleep 600", "its pid 1")


@test("exit codes are the program's own; what fails before says why", needs=(needs_boxes,))
def exit_codes():
    with Box() as box:
        box.enter("/bin/sh", "-c", "exit 7", code=7)
        box.enter("/bin/sh", "-c", "kill -9 $$", code=137)
        box.enter("/bin/sh", "-c", "exit 125", code=125)
        missing = box.enter("/bin/nothing", code=127)
        check("'/bin/nothing'" in missing.err, f"says what is missing: {missing.err}")
        box.enter("/etc", code=126)
        done = subprocess.run([harness.options.binary, "enter", str(box.pid)], capture_output=True,
                              input=b"echo here; exit 3\n", timeout=20 * PATIENCE)
        equal((done.returncode, done.stdout), (3, b"here\n"), "a shell on standard input")
        if os.geteuid() == 0:
            nobody = plimsoll("enter", box.pid, code=125, cwd="/", user=65534, group=65534,
                              extra_groups=[])
            check("run it as root" in nobody.err, f"says what would work: {nobody.err}")
    gone = plimsoll("enter", box.pid, code=125)
    check(gone.err, "says that it is gone")
    ours = plimsoll("enter", os.getpid(), code=125)
    check("no namespaces of its own" in ours.err, f"nothing to enter: {ours.err}")
    plimsoll("enter", code=2)


@test("nothing of the caller's environment and descriptors is inside", needs=(needs_boxes,))
def nothing_of_ours():
    with Box() as box:
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)
        env = dict(os.environ, SECRET="of the caller", TERM="vt220", LD_LIBRARY_PATH="/nowhere")
        shown = box.enter("/bin/busybox", "sh", "-c", "env; ls /proc/self/fd", env=env,
                          pass_fds=(writing,))
        words = set(shown.lines)
        check({"HOME=/srv", "TERM=vt220"} <= words, f"its HOME and our TERM: {words}")
        check(not any("SECRET" in w or "LD_" in w or "WORD" in w for w in words), f"{words}")
        fds = {w for w in words if w.isdigit()}
        equal(fds, {"0", "1", "2", "3"}, "descriptors (3 is that of ls)")
        whole = box.enter("/bin/busybox", "env", options=("--env",), env=env).lines
        check("WORD=inside" in whole and not any("SECRET" in w for w in whole), f"{whole}")
        os.close(reading)
        os.close(writing)


@test("what runs of us in reach of a container is a sealed copy that nobody can write",
      needs=(needs_boxes,))
def sealed():
    before = hashlib.sha256(open(harness.options.binary, "rb").read()).hexdigest()
    with Box() as box:
        inside = Inside(box, "/bin/busybox", "sleep", "60")
        with open(f"/proc/{inside.process.pid}/exe", "rb") as exe:
            seals = fcntl.fcntl(exe.fileno(), F_GET_SEALS)
        check(seals & SEAL_WRITE, f"sealed: {seals:#x}")
        check(os.stat(f"/proc/{inside.process.pid}/exe").st_ino !=
              os.stat(harness.options.binary).st_ino, "not the program itself")
        inside.process.terminate()
        inside.process.wait()
        # An image whose shell has us executed once more.
        with open(box.root + "/bin/trap", "w") as file:
            file.write("#!/proc/self/exe\n")
        os.chmod(box.root + "/bin/trap", 0o755)
        box.enter("/bin/trap", "enter", "1", code=None)
    after = hashlib.sha256(open(harness.options.binary, "rb").read()).hexdigest()
    equal(after, before, "the program")


def bounded(*more):
    """A process with the capabilities that engines give, of user 1234."""
    return ("/usr/bin/setpriv", "--bounding-set=-all,+chown,+dac_override,+fowner,+kill,+setgid,"
            "+setuid,+sys_chroot", *more, "--clear-groups", "sleep", "600")


def capabilities(text, name):
    return int(re.search(rf"^{name}:\s*([0-9a-f]+)", text, re.M).group(1), 16)


@test("root inside has the container's capabilities and no devices that it made for itself",
      needs=(needs_boxes,))
def rights():
    with Box(*bounded("--no-new-privs"), tools=True) as box:
        box.becomes("sleep")
        status = box.enter("cat", "/proc/self/status").out
        limit = capabilities(read(f"/proc/{box.pid}/status"), "CapBnd")
        check(0 < limit < 1 << 20, f"the container is limited: {limit:#x}")
        equal(capabilities(status, "CapBnd"), limit, "the bounding set")
        equal(capabilities(status, "CapEff") & ~limit, 0, "capabilities beyond it")
        check("NoNewPrivs:\t1" in status, "no_new_privs as there")
        refused = box.enter("head", "-c1", "/srv/forbidden", code=1)
        check("Permission denied" in refused.err, f"a device of its own: {refused.err}")
        box.enter("sh", "-c", "head -c1 /dev/zero > /dev/null && : > /dev/null")
        equal(subprocess.run(["head", "-c1", f"{box.root}/srv/forbidden"],
                             stdout=subprocess.DEVNULL).returncode, 0, "the device itself works")


@test("--user is the process's user, group and groups", needs=(needs_boxes,))
def as_user():
    with Box("/usr/bin/setpriv", "--reuid=1234", "--regid=2345", "--groups=77,78", "sleep", "600",
             tools=True) as box:
        box.becomes("sleep")
        shown = box.enter("cat", "/proc/self/status", options=("--user",)).out
        for name, want in (("Uid", "1234"), ("Gid", "2345")):
            got = re.search(rf"^{name}:\s*(.*)", shown, re.M).group(1).split()
            equal(set(got), {want}, name)
        equal(re.search(r"^Groups:\s*(.*)", shown, re.M).group(1).split(), ["77", "78"], "groups")
        equal(capabilities(shown, "CapEff"), 0, "capabilities")
        root = box.enter("id", "-u").out
        equal(root.strip(), "0", "without --user it is root")


@test("an image without a shell is told, and one can be brought along", needs=(needs_boxes,))
def no_shell():
    with Box(shell=False) as box:
        refused = box.enter(code=127)
        check("--host-shell" in refused.err and f"/proc/{box.pid}/root" in refused.err,
              f"what would work: {refused.err}")
        done = subprocess.run([harness.options.binary, "enter", str(box.pid), "--host-shell"],
                              capture_output=True, input=b"echo $((6*7)); exit 4\n",
                              timeout=20 * PATIENCE)
        equal((done.returncode, done.stdout), (4, b"42\n"), f"a shell from here: {done.stderr}")


@test("a container that hangs at its limit is entered as one that does not", needs=(needs_boxes,))
def hung():
    with Box("/bin/busybox", "awk", FULL, hang=24 * MIB) as box:
        box.hanger.wait()
        start = time.monotonic()
        done = box.enter("/bin/busybox", "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; echo; "
                         "grep State /proc/1/status; box=$(seq 1 1000 | wc -l); echo $box")
        note(f"{(time.monotonic() - start) * 1000:.0f} ms")
        check("awk" in done.lines[0] and done.lines[2] == "1000", f"{done.out}")
        if machine.version == "v1":
            check("D (disk sleep)" in done.lines[1], f"it hangs: {done.lines[1]}")
            check(box.hanger.waits(), "and still does")


class Terminal:
    """enter on a terminal of its own."""

    def __init__(self, box):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.execve(harness.options.binary, ["plimsoll", "enter", str(box.pid)],
                          {"PATH": os.environ["PATH"], "TERM": "dumb"})
            finally:
                os._exit(1)
        self.size(33, 111)

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def keys(self, text):
        os.write(self.fd, text.encode())

    def expect(self, word, seconds=10):
        end = time.monotonic() + seconds * PATIENCE
        while word not in self.text:
            left = end - time.monotonic()
            check(left > 0, f"no {word!r} on the terminal; it has: {self.text!r}")
            if select.select([self.fd], [], [], left)[0]:
                try:
                    chunk = os.read(self.fd, 4096)
                except OSError:
                    chunk = b""
                check(chunk, f"the terminal ended before {word!r}; it has: {self.text!r}")
                self.text += chunk.decode("utf-8", "replace")
        before, _, self.text = self.text.partition(word)
        return before

    def mode(self):
        return termios.tcgetattr(self.fd)


@test("on a terminal there is job control, window size, and the terminal is given back as it was",
      needs=(needs_boxes,))
def on_a_terminal():
    with Box(tools=True) as box:
        terminal = Terminal(box)
        before = terminal.mode()
        terminal.keys("PS1='in''side> '; tty; bind 'set enable-bracketed-paste off'\n")
        terminal.expect("inside> ")
        terminal.keys("stty size\n")
        terminal.expect("33 111")
        terminal.size(20, 77)
        os.kill(terminal.pid, signal.SIGWINCH)
        terminal.expect("inside> ")
        terminal.keys("stty size\n")
        terminal.expect("20 77")
        terminal.expect("inside> ")
        terminal.keys("sh -c \"echo be''gun; exec sleep 100\"; echo in''terrupted $?\n")
        terminal.expect("begun")
        terminal.keys("\x03")
        terminal.expect("inside> ")
        terminal.keys("sh -c \"echo be''gun; exec sleep 100\"\n")
        terminal.expect("begun")
        terminal.keys("\x1a")
        terminal.expect("Stopped")
        terminal.expect("inside> ")
        terminal.keys("kill %1; echo me''mbers; ps -o sid= -p $$ > /dev/null; exit 9\n")
        terminal.expect("members")
        _, status = os.waitpid(terminal.pid, 0)
        equal(os.waitstatus_to_exitcode(status), 9, "its exit code")
        equal(terminal.mode()[:4], before[:4], "the terminal's modes")
        os.close(terminal.fd)


main()
