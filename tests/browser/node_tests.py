"""Tests written for node, started as the other tests are: run("page.mjs") becomes that program."""
import argparse
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def run(file):
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default="build/plimsoll")
    parser.add_argument("--static", help="as the other tests have it; not used")
    parser.add_argument("-k", metavar="WORD", help="only tests whose claim holds WORD")
    options = parser.parse_args()
    node = shutil.which("node")
    if not node:
        print("1..0 # SKIP no node (make test installs it)")
        return
    chosen = ["--test-name-pattern", options.k] if options.k else []
    os.environ["PLIMSOLL_BINARY"] = os.path.abspath(options.binary)
    sys.stdout.flush()
    os.execv(node, [node, "--test-reporter=tap", *chosen, os.path.join(HERE, file)])
