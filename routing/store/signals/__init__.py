"""Signals in Redis, which jobs are due to be scored, and the step that writes a score once."""
