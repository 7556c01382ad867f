"""The composition root: the one place where parts are made and wired.

`composition.py` has what every process needs, `forge_parts.py` and `notify_parts.py` what the ticks need
beside it, `worker.py` what runs agents. A part is made when it is first
asked for, and then kept: one a process.
"""
