"""What is done about agents that nobody supervises, that are silent, that await mail, or whose job has ended.

The watchdog is a tick of the fleet; `orphans` ends processes on one host. An agent is retired by the worker
that reported the end of its job, or else by the watchdog: both tell its parent through `worker_died`, whose
key makes that one mail. What a turn does while its own worker supervises it belongs to `tasks/agents/turn`.
"""
