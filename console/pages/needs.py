"""What waits for a person: pure, from what was read of the fleet. The most urgent comes first."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from console.details.fleet_lines import QueueLine
from console.details.gate_lines import ShutGate
from console.output.rendering import duration
from console.status.fleet_status import FleetStatus
from routing.backlog.item import BacklogState
from routing.store.backtests.backtest_store import Backtest
from routing.templates.trial import DamagedTrial, Trial, TrialState

#: Seconds without a sweep after which no worker looks after the fleet.
SWEEP_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """One thing that a person should look at."""

    what: str  # in words
    link: str  # the page where it can be looked at
    remedy: str  # what to do


def needs_of(
    status: FleetStatus, last_trials: Sequence[Trial], undecided: Container[str],
    damaged: Sequence[DamagedTrial] = (), *, gates: Sequence[ShutGate] = (), queues: Sequence[QueueLine] = (),
    backtests: Sequence[Backtest] = (),
) -> list[Need]:  # fmt: skip
    """All of it. `last_trials` has the open, or else the last, trial of each template.

    `undecided` has the ids of those that ended with something that a person has yet to decide about, and
    `damaged` the trials whose records cannot be read. Agents wait at `gates`. `backtests` are
    those that run.
    """
    return [
        *(_gate(gate, status.at) for gate in gates),
        *_fleet(status),
        *_queues(queues),
        *(_damaged(trial) for trial in damaged),
        *_people(status),
        *_trials(status, last_trials, undecided),
        *_backtests(backtests),
        *_accounts(status),
    ]


def _fleet(status: FleetStatus) -> Iterator[Need]:
    if status.paused is not None:
        yield Need(
            what=f"Dispatch is paused: {status.paused}", link="/", remedy="Resume it when the reason is gone."
        )
    if status.killed:
        yield Need(
            what="The kill switch is on: nothing is dispatched from any forge.",
            link="/",
            remedy="Take kill_switch out of the settings, and start the processes again.",
        )
    if status.swept_at is None or status.at - status.swept_at > SWEEP_SECONDS:
        since = "yet" if status.swept_at is None else f"for {duration(status.at - status.swept_at, units=1)}"
        yield Need(
            what=f"No worker has looked after this fleet {since}.",
            link="/health",
            remedy="Start a worker for the queue control, and beat; its page says what is wrong.",
        )


def _gate(gate: ShutGate, now: float) -> Need:
    until = gate.agent.gate_until
    ends = "" if until is None else f" within {duration(until - now, units=1)}"
    return Need(
        what=f"{gate.agent.name} waits for a decision: {gate.mail.subject}",
        link=f"/mail/{gate.mail.id}",
        remedy=f"Read what it asks, and answer{ends}.",
    )


def _queues(queues: Sequence[QueueLine]) -> Iterator[Need]:
    for queue in queues:
        if queue.is_unserved:
            yield Need(
                what=f"Work waits in the queue {queue.name}, and no worker takes from it.",
                link="/workers",
                remedy=f"Start one: celery -A coalmine worker -Q {queue.name}",
            )


def _damaged(trial: DamagedTrial) -> Need:
    return Need(
        what=f"The trial {trial.id} is damaged (key {trial.key}).",
        link=f"/trials/{trial.id}",
        remedy=trial.problem,
    )


def _people(status: FleetStatus) -> Iterator[Need]:
    for state, what in ((BacklogState.ESCALATED, "escalated"), (BacklogState.FROZEN, "frozen")):
        count = status.issues.get(state, 0)
        if count:
            yield Need(
                what=f"{_count(count, 'issue')} {'is' if count == 1 else 'are'} {what}: a person decides.",
                link=f"/issues?state={state.value}",
                remedy="Read why, then take the issue over or resume it.",
            )
    if status.dead:
        yield Need(
            what=f"{_count(status.dead, 'job')} used up all attempts.",
            link="/jobs?state=failed",
            remedy="Read the log, then retry it or leave it.",
        )


def _trials(status: FleetStatus, last: Sequence[Trial], undecided: Container[str]) -> Iterator[Need]:
    held = {each.trial.id for each in status.trials if each.is_held}
    for trial in last:
        link = f"/trials/{trial.id}"
        if trial.id in held:
            person = trial.hold and trial.hold.by
            yield Need(
                what=f"{person or 'Checks of its health'} hold{'s' if person else ''} the trial of "
                f"{trial.canary_id}.",
                link=link,
                remedy="Read why, then resume the trial or stop it.",
            )
        if trial.id not in undecided:
            continue
        if trial.state is TrialState.EXPIRED:
            yield Need(
                what=f"The trial of {trial.canary_id} ended without a verdict.",
                link=link,
                remedy="Promote the version, reject it, or open another trial.",
            )
        if trial.contradicted:
            yield Need(
                what=f"Signals after the verdict on {trial.canary_id} no longer support it.",
                link=link,
                remedy="Read its ledger, and revert if it should not be champion.",
            )


def _backtests(running: Sequence[Backtest]) -> Iterator[Need]:
    for run in running:
        if run.is_in_doubt:
            yield Need(
                what=f"Checks of its health hold the backtest of {run.canary_id}.",
                link=f"/backtests/{run.id}",
                remedy="Read which, then resume the backtest or stop it.",
            )


def _accounts(status: FleetStatus) -> Iterator[Need]:
    for closed in status.closed_accounts:
        if closed.version:
            yield Need(
                what=f"Agents of {closed.version} fail as soon as they start; tried {closed.countdown}.",
                link="/accounts",
                remedy="Repair that, then try it again on the first page; or promote another version.",
            )
            continue
        yield Need(
            what=f"Account {closed.name} is closed: {closed.why}; tried again {closed.countdown}.",
            link="/accounts",
            remedy="See to the account, and reopen it." if closed.needs_person else "It opens by itself.",
        )


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
