"""One turn of an agent, from winning its lease to writing what it meant.

`turn_runner` is the way in, and its docstring lists the steps. `process` runs the program, and knows of no
session, mail or job; `ending` writes what the end means; `prompt`, `limits`, `tally` and `result` are data
and pure decisions. What differs between programs belongs to `runtimes/`, what lasts from turn to turn to
`session/`.
"""
