"""The commands of `coalmine`, one file for each group.

A command reads its arguments, calls one thing below and prints the answer through `console.output`; it
decides nothing itself. The docstring of a command and the `help` of an option are what `coalmine … --help`
prints, so they are written for people who use it. A message says what happened, to which thing, and what to
do next.

What must hold: input is checked before anything is written. A step that had been made before is a success
that changes nothing: the answer says so, and in JSON `changed` is false. Every command takes `--json`; an
answer is one object, a stream one object on each line. Errors are raised, and a `note` on standard error is
for what a person should know although the command succeeded.
"""
