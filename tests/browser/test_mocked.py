"""The page in a real browser over made-up targets."""
import node_tests

node_tests.run("mocked.mjs")
