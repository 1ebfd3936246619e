"""`plimsoll heap` and `plimsoll gc` of CPython: counts are those of gc.get_objects(), and a program
that is made to collect goes on unharmed, whatever becomes of us."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

import harness
from harness import MIB, Skip, check, equal, main, near, no_control_bytes, note, plimsoll, test

TRIES = int(os.environ.get("PLIMSOLL_TRIES", "6"))
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../loads/rt/heap.py")
PYTHON = "/usr/bin/python3.11"


def needs_python():
    if not os.access(PYTHON, os.X_OK):
        raise Skip(f"no {PYTHON}")


class Heap:
    """heap.py, ready; ends with the test."""

    def __init__(self, *args, python=PYTHON, before=(), script=SCRIPT):
        self.process = subprocess.Popen([*before, python, *script_args(script), *args],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        harness._loads.append(self)
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        if not line:
            raise Skip(f"{python} does not start")
        self.said = json.loads(line)
        self.counts = self.said.get("counts")

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        check(line, f"the program ended with {self.process.poll()} when it was asked to {word}")
        return json.loads(line)

    def check_unharmed(self, threads=0):
        self.ask("work")
        said = self.ask("count")
        equal(said["wrong"], [], "what threads found wrong in their data")
        equal(said["alive"], threads, "threads alive")
        equal(said["counts"]["__main__.Slotted"], self.counts["__main__.Slotted"], "objects kept")

    def end(self):
        if self in harness._loads:
            harness._loads.remove(self)
        try:
            self.process.communicate("quit\n", timeout=10 * harness.PATIENCE)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.process.kill()
            self.process.wait()
        return self.process.returncode


def script_args(script):
    return script if isinstance(script, list) else [script]


def heap(pid):
    """(JSON of `heap`, {type: count})."""
    found = plimsoll("heap", "--json", pid).objects[0]
    return found, {row["name"]: row["count"] for row in found["types"]}


def gc(pid, *args):
    return plimsoll("gc", "--json", *args, pid, code=None).objects[0]


def agree(got, want, what):
    """Every type within 2 %, and the rarest within two objects."""
    wrong = {name: (got.get(name, 0), n) for name, n in want.items()
             if abs(got.get(name, 0) - n) > max(2, n * 0.02)}
    equal(wrong, {}, f"types of {what} that differ (ours, gc.get_objects')")


@test("counts of each type are gc.get_objects()'s within 2 %, and of thousands of types",
      [needs_python])
def _():
    program = Heap("--types", "3000")
    found, got = heap(program.pid)
    agree(got, program.counts, "an idle program")
    equal(got["__main__.Outer.Inner"], 1000, "a class within a class")
    check(sum(name.startswith("__main__.Type") for name in got) == 3000, "3000 classes")
    figures = found["figures"]
    equal(sum(figures[f"gc_objects_{g}"] for g in range(3)), figures["gc_objects"], "generations")
    near(figures["gc_objects"], sum(program.counts.values()), 60, "objects of all types")
    equal(sum(got.values()), figures["gc_objects"], "the sum over the types")
    equal(figures["threads"], 1, "threads")
    plain = next(row for row in found["types"] if row["name"] == "__main__.Slotted")
    equal(plain["bytes"] / plain["count"], 16 + 16 + 2 * 8, "bytes of an object with two slots")


OFFSETS = r"""
#define Py_BUILD_CORE 1
#include <Python.h>
#include <stddef.h>
#include "internal/pycore_runtime.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_dict.h"
#define IS(name, type, field) printf(#name " %zu\n", offsetof(type, field));
#define SIZE(name, what) printf(#name " %zu\n", sizeof(what));
typedef struct _gc_runtime_state gc_state;
typedef struct gc_generation generation;
typedef struct _gil_runtime_state gil;
int main(void) {
    IS(initialized, _PyRuntimeState, initialized)
    IS(finalizing, _PyRuntimeState, _finalizing)
    IS(interpreters, _PyRuntimeState, interpreters.head)
    IS(runtime_gil, _PyRuntimeState, ceval.gil)
    IS(interp_next, PyInterpreterState, next)
    IS(interp_id, PyInterpreterState, id)
    IS(interp_finalizing, PyInterpreterState, finalizing)
    IS(interp_threads, PyInterpreterState, threads.head)
    IS(interp_runtime, PyInterpreterState, runtime)
    IS(interp_gc, PyInterpreterState, gc)
    IS(heap_qualname, PyHeapTypeObject, ht_qualname)
    SIZE(text_ascii, PyASCIIObject)
    SIZE(text_wide, PyCompactUnicodeObject)
    IS(PY_THREAD_PREV, PyThreadState, prev)
    IS(PY_THREAD_NEXT, PyThreadState, next)
    IS(PY_THREAD_INTERP, PyThreadState, interp)
    IS(PY_GIL_HOLDER, gil, last_holder)
    IS(PY_GIL_LOCKED, gil, locked)
    IS(PY_GIL_SWITCHES, gil, switch_number)
    IS(PY_GC_ENABLED, gc_state, enabled)
    IS(PY_GC_GENERATION, gc_state, generations)
    SIZE(PY_GC_GENERATION_SIZE, generation)
    IS(PY_GC_GENERATION0, gc_state, generation0)
    IS(PY_GC_PERMANENT, gc_state, permanent_generation)
    IS(PY_GC_STATS, gc_state, generation_stats)
    SIZE(PY_GC_STATS_SIZE, struct gc_generation_stats)
    IS(PY_GC_COLLECTING, gc_state, collecting)
    IS(PY_GC_LONG_TOTAL, gc_state, long_lived_total)
    IS(PY_GC_LONG_PENDING, gc_state, long_lived_pending)
    SIZE(PY_GC_SIZE, gc_state)
    IS(PY_THRESHOLD, generation, threshold)
    IS(PY_COUNT, generation, count)
    SIZE(PY_HEAD, PyGC_Head)
    IS(PY_OB_TYPE, PyObject, ob_type)
    IS(PY_OB_SIZE, PyVarObject, ob_size)
    IS(PY_TYPE_NAME, PyTypeObject, tp_name)
    IS(PY_TYPE_BASIC, PyTypeObject, tp_basicsize)
    IS(PY_TYPE_ITEM, PyTypeObject, tp_itemsize)
    IS(PY_TYPE_FLAGS, PyTypeObject, tp_flags)
    IS(PY_TYPE_BASE, PyTypeObject, tp_base)
    IS(PY_TYPE_DICT, PyTypeObject, tp_dict)
    IS(PY_LIST_ALLOCATED, PyListObject, allocated)
    IS(PY_DICT_KEYS, PyDictObject, ma_keys)
    IS(PY_SET_MASK, PySetObject, mask)
    IS(PY_SET_TABLE, PySetObject, table)
    IS(PY_SET_SMALL, PySetObject, smalltable)
    IS(PY_KEYS_LOG2_SIZE, PyDictKeysObject, dk_log2_size)
    IS(PY_KEYS_LOG2_INDEX, PyDictKeysObject, dk_log2_index_bytes)
    IS(PY_KEYS_KIND, PyDictKeysObject, dk_kind)
    IS(PY_KEYS_N, PyDictKeysObject, dk_nentries)
    IS(PY_KEYS_INDICES, PyDictKeysObject, dk_indices)
    IS(PY_TEXT_LENGTH, PyASCIIObject, length)
    IS(PY_TEXT_STATE, PyASCIIObject, state)
}
"""


@test("offsets in the table are those of Python 3.11's own headers")
def _():
    headers, compiler = "/usr/include/python3.11", shutil.which("cc")
    if not compiler or not os.path.exists(headers + "/internal/pycore_runtime.h"):
        raise Skip("no cc, or no headers of python3.11")
    with tempfile.TemporaryDirectory(prefix="plimsoll-") as folder:
        program = os.path.join(folder, "offsets")
        subprocess.run([compiler, "-w", "-xc", "-", "-I", headers, "-I", headers + "/internal",
                        "-o", program], input=OFFSETS, text=True, check=True)
        said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    truth = {name: int(value) for name, value in map(str.split, said.splitlines())}
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/runtime/")
    table = harness.read(folder + "pylayout.c").split("},\n    {")[0]
    ours = re.findall(r"\.(\w+) = (\d+),", table)
    ours += re.findall(r"^    (PY_\w+) = (\d+),", harness.read(folder + "pylayout.h"), re.M)
    ours = {name: int(value) for name, value in ours}
    equal({name: ours.get(name) for name in truth}, truth, "offsets")


@test("names that a program chose to harm a terminal are shown and harmless", [needs_python])
def _():
    program = Heap()
    _, got = heap(program.pid)
    for name in ("new\nline", "\x1b[31mred", "<script>alert(1)</script>", "\u4e16\u754c \U0001f600",
                 "L" * 300):
        equal(got.get("hostile." + name), 50, f"objects of {name[:20]!r}")
    no_control_bytes(plimsoll("heap", program.pid).raw, "heap")


@test("while threads make and drop cycles, what stays is counted right", [needs_python])
def _():
    program = Heap("--churn", "3")
    stays = {name: n for name, n in program.counts.items()
             if n > 2 and name.startswith(("__main__.", "hostile."))}
    for _ in range(3):
        _, got = heap(program.pid)
        agree(got, stays, "a program at work")
    program.check_unharmed(3)
    equal(program.end(), 0, "its exit code")


@test("frozen objects are counted, and told apart", [needs_python])
def _():
    found, got = heap(Heap("--freeze").pid)
    equal(got["__main__.Plain"], 100000, "objects that were frozen")
    check(found["figures"]["gc_frozen"] > 160000, "frozen ones are a figure of their own")


def other_series():
    """{series: path} of the ones here that start: what lies in PATH may stand for one that is not."""
    found = {}
    for series in ("3.10", "3.12", "3.13"):
        python = shutil.which("python" + series)
        if python and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            found[series] = python
    return found


OTHERS = other_series()


def others_agree():
    for series, python in OTHERS.items():
        program = Heap(python=python)
        if series == "3.10":
            error = plimsoll("heap", "--json", program.pid, code=None).err
            check("3.11" in error, f"the versions that are known are named: {error!r}")
        else:
            _, got = heap(program.pid)
            if series == "3.12":  # which freezes some tuples itself; get_objects leaves them out
                program.counts.pop("tuple")
            agree(got, program.counts, "python " + series)
            equal(gc(program.pid, "--inject")["outcome"], "collected", "gc of " + series)
            program.check_unharmed()
        program.end()


if OTHERS:
    test(f"CPython {', '.join(OTHERS)} agree too, or are refused by name", [needs_python])(
        others_agree)


@test("without --inject nothing is done, and it is said what would", [needs_python])
def _():
    program = Heap()
    program.ask("garbage")
    before = heap(program.pid)[0]["figures"]
    done = gc(program.pid)
    equal(done["outcome"], "refused", "outcome")
    check("--inject" in done["next"] and "gc.collect()" in done["next"], done["next"])
    equal(heap(program.pid)[0]["figures"], before, "its figures")


@test("gc --inject: garbage of an idle program is gone, also with gc.disable(), which stays",
      [needs_python])
def _():
    program = Heap()
    for word in ("enable", "disable"):
        program.ask("garbage")
        equal(program.ask(word)["enabled"], word == "enable", word)
        done = gc(program.pid, "--inject")
        equal(done["outcome"], "collected", f"outcome ({done['why']})")
        check(done["rss_before"] - done["rss_after"] > 25 * MIB, f"memory given back: {done}")
        _, got = heap(program.pid)
        equal(got["__main__.Plain"], 100000, "objects that are left")
    check("gc.disable()" in done["why"], f"it is said: {done['why']}")
    note(done["how"])
    off = heap(program.pid)[0]
    check(any("gc.disable()" in text for text in off["notes"]), "collection is off again")
    program.check_unharmed()
    equal(program.end(), 0, "its exit code")


@test(f"gc --inject {TRIES} times in a program at work: collected or refused, never harmed",
      [needs_python])
def _():
    program = Heap("--plain", "1000", "--churn", "2")
    outcomes = []
    for i in range(TRIES):
        if i % 20 == 0:
            program.ask("garbage")
        program.ask("disable" if i % 3 == 2 else "enable")
        outcomes.append(gc(program.pid, "--inject")["outcome"])
    program.check_unharmed(2)
    equal(set(outcomes) - {"collected", "refused"}, set(), "outcomes")
    check(outcomes.count("collected") >= len(outcomes) / 2, f"collected: {outcomes}")
    note({word: outcomes.count(word) for word in sorted(set(outcomes))})
    equal(program.end(), 0, "its exit code")


@test(f"killed {TRIES} times in the middle of gc --inject, the program goes on unharmed",
      [needs_python])
def _():
    chance = random.Random(4)
    for args, threads in ((), 0), (("--plain", "1000", "--churn", "1"), 1):
        program = Heap(*args)
        program.ask("garbage")
        program.ask("disable")
        killed = 0
        for _ in range(TRIES):
            run = subprocess.Popen([harness.options.binary, "gc", "--inject", str(program.pid)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
            time.sleep(chance.uniform(0.001, 0.15))
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                killed += 1
            run.wait()
        program.check_unharmed(threads)
        program.ask("enable")
        equal(gc(program.pid, "--inject")["outcome"], "collected", "gc after all that")
        equal(program.end(), 0, "its exit code")
        note(f"killed {killed} of {TRIES}")


@test("in namespaces of its own and as another user", [needs_python])
def _():
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        raise Skip("no unshare or setpriv")
    with open(SCRIPT, encoding="utf-8") as file:
        source = file.read()
    program = Heap(before=["unshare", "-mpn", "--fork", "--kill-child", "setpriv", "--reuid",
                           "65534", "--regid", "65534", "--clear-groups"],
                   script=["-c", source])
    with open(f"/proc/{program.pid}/task/{program.pid}/children", encoding="ascii") as file:
        inner = int(file.read().split()[0])
    equal(program.said["pid"], 1, "its own pid")
    _, got = heap(inner)
    agree(got, program.counts, "a program in a container")
    program.ask("garbage")
    done = gc(inner, "--inject")
    equal(done["outcome"], "collected", f"outcome ({done['why']})")
    check(done["rss_before"] - done["rss_after"] > 25 * MIB, f"memory given back: {done}")
    program.check_unharmed()


HOLDS_LOCK = """
import ctypes, json, time
sleep = ctypes.PyDLL(None).usleep
print(json.dumps({"ready": 1}), flush=True)
for _ in range(%d):
    sleep(1000000)
print(json.dumps({"awake": 1}), flush=True)
input()
"""
SUBINTERPRETER = """
import json, _xxsubinterpreters as s
kept = s.create()
s.run_string(kept, "mine = [[] for _ in range(1234)]; mine += [{'a': mine}]; "
             "kept = [type('Sub', (), {})() for _ in range(500)]")
print(json.dumps({"ready": 1}), flush=True)
input()
"""


@test("a thread that sleeps with the interpreter's lock, and a stopped program, are refused in time",
      [needs_python])
def _():
    program = Heap(script=["-c", HOLDS_LOCK % 2])
    began = time.monotonic()
    done = gc(program.pid, "--inject", "--timeout", "1.5s")
    equal(done["outcome"], "refused", f"outcome of one that holds the lock ({done['how']})")
    check("lock" in done["why"], done["why"])
    program.ask("")
    note(f"said after {time.monotonic() - began:.1f} s")
    program = Heap()
    os.kill(program.pid, signal.SIGSTOP)
    try:
        _, got = heap(program.pid)
        agree(got, program.counts, "a stopped program")
        done = gc(program.pid, "--inject", "--timeout", "1s")
        equal(done["outcome"], "refused", f"outcome of a stopped one ({done['how']})")
    finally:
        os.kill(program.pid, signal.SIGCONT)
    program.check_unharmed()


@test("objects of sub-interpreters are counted too, and it is not made to collect", [needs_python])
def _():
    program = Heap(script=["-c", SUBINTERPRETER])
    found, got = heap(program.pid)
    equal(found["figures"]["interpreters"], 2, "interpreters")
    near(sum(n for name, n in got.items() if name.endswith("Sub")), 500, 0, "objects in the second")
    done = gc(program.pid, "--inject")
    equal(done["outcome"], "refused", "outcome")
    check("interpreters" in done["why"], done["why"])


if __name__ == "__main__":
    main(at_once=4)
