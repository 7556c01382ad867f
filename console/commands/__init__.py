"""The commands of `coalmine`, one file for each group.

A command reads its arguments, calls one thing below and prints the answer through `console.output`; it
decides nothing itself. The docstring of a command and the `help` of an option are what `coalmine … --help`
prints, so they are written for people who use it. A message says what happened, to which thing, and what to
do next.
"""
