"""The page's frames, by page.mjs in node."""
import os
import shutil
import subprocess

import harness

HERE = os.path.dirname(os.path.abspath(__file__))


def page(options):
    node = shutil.which("node")
    if not node or not os.path.isdir(os.path.join(HERE, "..", "web", "node_modules", "playwright-core")):
        raise harness.Skip("no node with the page's packages (make bench installs them)")
    subprocess.run([node, os.path.join(HERE, "page.mjs"), "--ticks", str(2 * round(options.seconds))],
                   stdin=subprocess.DEVNULL, check=True)
