"""heap.py [--plain N] [--types N] [--churn N] [--freeze] - a Python program with a heap to look into.

Makes objects of types that are easy to count, prints a line of JSON with how many it tracks of each
type itself (gc.get_objects) and then waits for lines on its standard input:
  count    prints that line again
  garbage  makes 50,000 cycles of garbage, some 35 MB, and lets go of them
  disable, enable  automatic collection
  work     allocates a little
  quit     ends
--churn N: N threads make and drop cycles all the while, and check that their data stays right.
--freeze: the first objects are frozen (gc.freeze).
"""
import collections
import gc
import json
import os
import sys
import threading
import time


class Plain:
    def __init__(self, n):
        self.number = n


class Slotted:
    __slots__ = ("number", "next")

    def __init__(self, n):
        self.number = n
        self.next = None


class Outer:
    class Inner(list):
        pass


class Table(dict):
    pass


HOSTILE = {
    "newline": "new\nline",
    "escape": "\x1b[31mred",
    "long": "L" * 300,
    "markup": "<script>alert(1)</script>",
    "wide": "\u4e16\u754c \U0001f600",
    "surrogate": "low\udc80er",
}


def type_name(kind):
    """As plimsoll shows it: builtins without their module."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def make_hostile():
    kept = []
    for name in HOSTILE.values():
        try:
            kind = type(name, (), {"__slots__": ("a",), "__module__": "hostile"})
        except UnicodeEncodeError:
            continue
        kept.append([kind() for _ in range(50)])
    return kept


def make_types(n):
    return [[type(f"Type{i}", (), {})() for _ in range(2)] for i in range(n)]


def counts():
    found = collections.Counter(type(thing) for thing in gc.get_objects())
    names = collections.Counter()
    for kind, n in found.items():
        names[type_name(kind)] += n
    return names


def say(**more):
    line = json.dumps({"pid": os.getpid(), **more})
    print(line, flush=True)


def make_garbage(n):
    """Cycles that are old when they are let go of: no collection but a full one finds them."""
    kept = []
    for _ in range(n):
        first, second = Plain(0), Plain(1)
        first.other, second.other = second, first
        first.data = bytearray(400)
        kept.append(first)
    gc.collect()


def churn(stop, wrong):
    kept = collections.deque(maxlen=2000)
    n = 0
    while not stop.is_set():
        n += 1
        node = {"n": n, "text": str(n), "list": [n] * 5}
        node["self"] = node
        kept.append(node)
        old = kept[0]
        if old["text"] != str(old["n"]) or old["list"] != [old["n"]] * 5 or old["self"] is not old:
            wrong.append(n)
            return
        if n % 5000 == 0:
            time.sleep(0.001)


def main():
    options = sys.argv[1:]
    value = {o: int(options[options.index(o) + 1]) for o in ("--plain", "--churn", "--types")
             if o in options}
    plain = value.get("--plain", 100000)
    keep = [[Plain(i) for i in range(plain)], [Slotted(i) for i in range(plain // 2)],
            [Outer.Inner([i, []]) for i in range(1000)], [Table(a=[]) for _ in range(500)],
            [{i, (i, frozenset([i]))} for i in range(300)], [{"a": []} for _ in range(700)],
            make_hostile(), make_types(value.get("--types", 200))]
    if "--freeze" in options:
        gc.freeze()
    gc.collect()
    stop, wrong = threading.Event(), []
    threads = [threading.Thread(target=churn, args=(stop, wrong), daemon=True)
               for _ in range(value.get("--churn", 0))]
    for thread in threads:
        thread.start()
    say(counts=counts())
    for line in sys.stdin:
        word = line.strip()
        if word == "count":
            say(counts=counts(), wrong=wrong, alive=sum(t.is_alive() for t in threads))
        elif word == "garbage":
            make_garbage(50000)
            say(garbage=True)
        elif word in ("enable", "disable"):
            getattr(gc, word)()
            say(enabled=gc.isenabled())
        elif word == "work":
            say(work=sum(len([[]]) for _ in range(100000)))
        elif word == "quit":
            break
    stop.set()
    for thread in threads:
        thread.join()
    say(wrong=wrong, kept=len(keep))


main()
