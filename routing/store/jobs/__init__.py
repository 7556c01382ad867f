"""Jobs in Redis: records, leases, the outbox, logs, and the notes of runs.

`record` is the one reader of a stored job; it reads every earlier form. `reader` asks, `job_store` writes.
"""
