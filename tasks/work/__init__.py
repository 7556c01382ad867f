"""What a worker process does: claim, keep leases, report, drain; and how ticks are run.

How an agent runs belongs in `tasks/agents`, what a tick does in `tasks/issues`, `tasks/notify` or a lower
floor. Nothing here is made by itself: `tasks/composition` passes stores, clocks and settings in.
"""
