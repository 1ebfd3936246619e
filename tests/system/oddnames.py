"""What whoever may make a control group can call it."""
import os

import harness

NAMES = (
    b"\x1b[31mred\x1b[2J",
    b"bell\x07\x08\r",
    b"\xff\xfe invalid \x80",
    b"quote\"back\\slash'",
    b"<b>&amp;<b>",
    "bidi\u202egnp.exe\u2066".encode(),
    b"c1\xc2\x9b31m\xc2\x85",
    b"x,task_memcg=,task=sshd,pid=1,uid=0",
    b"tab\tand:colon,comma 4:memory:",
    b" leading and trailing ",
    "name\U0001f6a2\u0301\u200b".encode(),
    b"{{.Name}} %s%n $(id) `id`",
    b"del\x7f",
)


def box_of(parent, name):
    return harness.Group(parent, os.fsdecode(name))
