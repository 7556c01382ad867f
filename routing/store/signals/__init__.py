"""Signals in Redis, and the order in which jobs are scored."""
