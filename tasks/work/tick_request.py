"""The tick_requests: has a tick run now, where beat would only have it run soon."""

import structlog
from celery import Celery
from kombu.exceptions import KombuError

from tasks.work.tick import Ticks

_log = structlog.get_logger(__name__)


class TickRequests:
    """Sends tasks to the queue `control`. A broker that does not take one only costs the wait for beat."""

    def __init__(self, app: Celery, ticks: Ticks) -> None:
        self._app = app
        self._ticks = ticks

    def ask(self, tick: str) -> None:
        """Have a tick run now; many who ask at once are answered by one run."""
        if self._ticks.ask(tick.removeprefix("tasks.")):
            self.send(tick)

    def send(self, task: str, *arguments: str) -> None:
        """Send a task now."""
        try:
            self._app.send_task(task, args=arguments, queue="control", ignore_result=True, retry=False)
        except (KombuError, OSError) as error:
            _log.warning("tick.not_sent", task=task, reason=str(error))
