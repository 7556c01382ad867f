"""Floor 3, the workers: `celery -A tasks worker`, `celery -A tasks beat`, `celery -A tasks flower`.

Beside the rooms stands what every process begins with: the application and its tasks (`celery`), its
configuration (`broker`), how a worker connects to the broker (`broker_connection`, `consumer`), its logs, and
what hides its secrets (`secrecy`). A task does nothing by itself but call a part that `composition` made.
"""
