"""Jobs in Redis: records, leases, the outbox, logs, and the notes of runs."""
