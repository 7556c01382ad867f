"""Celery with a task that does nothing and is acknowledged late, as a queue that may lose no work must."""

import os

from benchmarks.fleet import plain_app

#: Name of the task, and of its queue.
NO_OP = "no_op"

app = plain_app(os.environ.get("COALMINE_REDIS_URL", "redis://127.0.0.1:6379/0"))
app.conf.update(task_acks_late=True, task_default_queue=NO_OP, worker_prefetch_multiplier=1)


@app.task(name=NO_OP, ignore_result=True)
def no_op(job_id: str) -> None:
    """Do nothing."""
    del job_id
