"""Floor 4, for people: the command line and the HTTP server. It may import all floors; none imports it.

`commands/` has a file for each group of commands, `input/` checks what people give, `output/` prints what
they get, `details/` and `status/` read what commands and pages both show, `decisions/` does what people
decide in either, `doctor/` looks for faults.
`local/` runs a fleet on one machine, `demo/` plays a story on it. `web/` serves HTTP, `pages/` are the pages
and `metrics/` the numbers for Prometheus. The files here are the command line itself: its root, its settings,
and the place where every error becomes one line and an exit code.
"""
