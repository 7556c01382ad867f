"""The ticks that see to parts of many rooms: the sweep, and the harvest."""

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


def sweep_tick(parts: Coalmine, requests: TickRequests, backlog: Callable[[], Backlog]) -> None:
    """Expired leases, children, mail that is awaited, the outbox, judges, and what the index need not keep.

    While nothing waits that it looks after, all but its pulse and its switches is left out. The parts are
    independent: one that fails is logged, and the others run.
    """

    def trim() -> None:
        """Forget finished jobs and issues whose time is over: once a minute over all hosts, a page each."""
        if parts.ticks.is_first("trimmed", seconds=TRIM_SECONDS):
            parts.job_store.trim(before=parts.now() - parts.settings.retention_seconds)
            backlog().trim()

    repairs: list[Callable[[], object]] = [
        lambda: parts.jobs.reap(at=parts.now()),
        lambda: parts.jobs.see_to_children(at=parts.now()),
        lambda: parts.waking.wake(parts.post_office.agents_with_mail(MOST_WOKEN)),
        parts.relay.relay,
        lambda: ask_judges(parts, requests),
    ]
    is_idle = False
    with LogAndContinue("sweep.failed"):
        is_idle = parts.ticks.beat()
    for step in [*([] if is_idle else repairs), parts.job_store.say_limits, parts.switch.say_settings, trim]:
        with LogAndContinue("sweep.failed"):
            step()


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
