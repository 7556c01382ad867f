"""A whole fleet on this machine: the checks before it starts, and its processes while it runs.

What belongs here: what `coalmine up` and the demonstration share, and what a fleet of several machines does
not need. Nothing here knows what a worker or beat does: they are programs that are kept running. The room
of commands prints and asks; this one starts, restarts and ends. Processes are started by `routing.process`.
"""
