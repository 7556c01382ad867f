"""Beat's schedule keeper: it sends ticks, and drops those that nobody takes, without a word for each of them.

Celery's own keeps one connection for good, waits up to half a minute between two attempts to make it, and
writes a trace for every tick that it could not send. The next tick does the work of those that were dropped.
"""

from typing import Any

from celery.beat import PersistentScheduler

from tasks.outage import BROKER

#: The name under which beat speaks of its waiting.
PART = "beat"


class PatientScheduler(PersistentScheduler):
    """Outlives its broker; `app.conf.beat_scheduler` names it. The first tick that is taken says so."""

    #: None: a tick takes a connection from the application's pool, which makes a new one when that is lost.
    producer: Any = None

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send a tick. Never raises."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # noqa: BLE001 - whatever it is: beat outlives its server
            BROKER.begins(PART, error)
        else:
            BROKER.ends(PART)
