"""What a worker process does: claim, keep leases, report, drain; and the ticks that beat schedules."""
