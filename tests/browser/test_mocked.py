"""The page in a real browser over made-up targets: mocked.mjs, started as the other tests are."""
import argparse
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", help="as the other tests have it; not used")
    parser.add_argument("--static", help="as the other tests have it; not used")
    parser.add_argument("-k", metavar="WORD", help="only tests whose claim holds WORD")
    options = parser.parse_args()
    node = shutil.which("node")
    if not node:
        print("1..0 # SKIP no node (make test installs it)")
        return
    chosen = ["--test-name-pattern", options.k] if options.k else []
    sys.stdout.flush()
    os.execv(node, [node, "--test-reporter=tap", *chosen, os.path.join(HERE, "mocked.mjs")])


main()
