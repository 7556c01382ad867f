"""Celery applications whose workers are measured; each is read by `celery -A` in a process of its own."""
