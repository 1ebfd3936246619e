"""The page in a real browser, over a real agent."""
import node_tests

node_tests.run("page.mjs")
