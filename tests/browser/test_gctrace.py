"""The page of `plimsoll gctrace --listen` in a real browser."""
import node_tests

node_tests.run("gctrace.mjs")
