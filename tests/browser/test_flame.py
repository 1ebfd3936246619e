"""The flame graphs of `plimsoll heap --flame` in a real browser."""
import node_tests

node_tests.run("flame.mjs")
