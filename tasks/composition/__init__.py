"""The composition root: the one place where parts are made and wired.

`stores.py` and `composition.py` have what every process needs, `forge_parts.py` and `notify_parts.py` what
the ticks need beside it, `worker.py` what runs agents. A part is made when it is first asked for, and then
kept: one a process. What it is made of is imported then too, so that a command waits for no other part's
modules.

What belongs here: constructors called with settings, stores, clocks and generators. A decision about a job or
an issue belongs to the part that makes it. Tests pass other parts in at the same places and replace nothing.
"""
