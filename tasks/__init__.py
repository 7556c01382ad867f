"""Floor 3: the Celery application, the beat schedule and the composition root. `celery -A tasks worker`."""
