"""A tutorial in tests: one concept a file, in the order in which a reader meets them.

Each file begins with what the concept is; its tests are a story that reads from top to bottom. Everything
is the product's own: only the clock, the draws and the broker are the test's, and no test waits.
"""
