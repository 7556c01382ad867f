"""The ticks that see to parts of many rooms: the sweep, and the harvest."""

import time
from collections.abc import Callable

from routing.backlog.backlog import Backlog
from tasks.composition.composition import Coalmine
from tasks.composition.pair_parts import ask_judges
from tasks.work.log_and_continue import LogAndContinue
from tasks.work.tick import TickRequests

#: Agents with mail that one sweep looks at.
MOST_WOKEN = 500

#: Seconds between two looks for index entries to trim.
TRIM_SECONDS = 60.0

#: Seconds after which a process says its limits and switches again, for others to show.
SAID_SECONDS = 10.0


class Sweep:
    """The sweep of one process. `tick` is all that is called, by one thread at a time."""

    def __init__(
        self, parts: Coalmine, requests: TickRequests, backlog: Callable[[], Backlog], *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._parts = parts
        self._requests = requests
        self._backlog = backlog  # made when there is something to trim
        self._monotonic = monotonic
        self._said_at = float("-inf")

    def tick(self) -> None:
        """Expired leases, children, mail that is awaited, the outbox, judges, and what need not be kept.

        While nothing waits that it looks after, its pulse alone is left, and now and then what it says. The
        parts are independent: one that fails is logged, and the others run.
        """
        parts, is_idle = self._parts, False
        repairs: list[Callable[[], object]] = [
            lambda: parts.jobs.reap(at=parts.now()),
            lambda: parts.jobs.see_to_children(at=parts.now()),
            lambda: parts.waking.wake(parts.post_office.agents_with_mail(MOST_WOKEN)),
            parts.relay.relay,
            lambda: ask_judges(parts, self._requests),
        ]
        with LogAndContinue("sweep.failed"):
            is_idle = parts.ticks.beat()
        steps = [] if is_idle else repairs
        if not 0 <= self._monotonic() - self._said_at < SAID_SECONDS:
            self._said_at = self._monotonic()
            steps += [parts.job_store.say_limits, parts.switch.say_settings, self._trim]
        for step in steps:
            with LogAndContinue("sweep.failed"):
                step()

    def _trim(self) -> None:
        """Forget finished jobs and issues whose time is over: once a minute over all hosts, a page each."""
        parts = self._parts
        if parts.ticks.is_first("trimmed", seconds=TRIM_SECONDS):
            parts.job_store.trim(before=parts.now() - parts.settings.retention_seconds)
            self._backlog().trim()


def harvest_tick(parts: Coalmine, requests: TickRequests) -> None:
    """Settle, have pairs judged, open trials that wait, and go on with backtests.

    What fails in one of them is logged, and keeps none of the others from its turn.
    """
    steps: dict[str, Callable[[], object]] = {
        "harvest": parts.harvester.harvest,
        "proposals": parts.proposals.open_all_waiting,
        "backtests": parts.backtest_runs.tick,
        "judges": lambda: ask_judges(parts, requests),  # of the pairs that the others found ready
    }
    for name, step in steps.items():
        with LogAndContinue("tick.failed", tick="harvest", step=name):
            step()
