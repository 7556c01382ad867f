"""Reads the fleet's status from the stores: a few round trips, whatever the length of the history."""

from collections.abc import Iterator, Sequence
from itertools import islice

from console.output.trials.trial_outlook import TrialOutlook
from console.output.trials.trial_status import TrialStatus, status_of
from console.status.fleet_status import AgentAtWork, FleetStatus, HeldWork
from harvest.settling.score import Score, score
from routing.backlog.item import BacklogItem, BacklogState
from routing.cost import NO_COST
from routing.errors import CorruptRecordError
from routing.jobs.job import Job, JobState
from routing.jobs.turn import HindranceKind
from routing.templates.trial import DamagedTrial, Trial
from tasks.composition.composition import Coalmine

#: Things of a kind that are read; what is beyond is counted.
MOST_READ = 1_000

#: Things that wait and are named.
MOST_HELD = 20

#: States of issues that do not go on by themselves, in the order in which people should look at them.
_HELD_STATES = {
    BacklogState.ESCALATED: "for a person",
    BacklogState.FROZEN: "for a person",
    BacklogState.BLOCKED: "blocked",
    BacklogState.READY: "not let in",
    BacklogState.PENDING: "asking",
}


def read_status(parts: Coalmine) -> FleetStatus:
    """The fleet now. The parts are read one after the other, so they may be of slightly different moments."""
    store, now = parts.job_store, parts.job_store.now()
    depths = store.depths()
    queued = _jobs(parts, store.queued(MOST_READ))
    limited = _jobs(parts, store.limited(MOST_READ))
    held = [*_held_versions(parts), *_held_jobs([*limited, *queued]), *_held_issues(parts)]
    day = parts.costs.today()
    today = parts.costs.of_days([day])[0]
    waiting = _jobs(parts, store.waiting(MOST_READ))
    trials, damaged = read_open_trials(parts, now)
    return FleetStatus(
        at=now,
        paused=parts.switch.reason(),
        killed=parts.switch.settings_in_force().kill_switch,
        processes=[report.process for report in parts.clocks.reports()],
        swept_at=parts.clocks.swept_at(),
        agents=_agents(parts),
        queued=depths["queued"],
        oldest_queued_at=min((job.created_at for job in queued), default=None),
        waiting=[job for job in waiting if job.state is JobState.WAITING],
        waiting_count=depths["waiting"],
        dead=depths["dead"],
        issues={state: parts.backlog_store.count(state) for state in BacklogState},
        held=held[:MOST_HELD],
        held_count=len(held),
        closed_accounts=parts.breakers.closed(),
        limited=store.occupancy().limited,
        trials=trials,
        damaged_trials=damaged,
        outcomes=parts.outcomes.lately(),
        today=sum(today.values(), NO_COST),
        day_limit_usd=store.limits_in_force().day_cost_usd,
        spent_usd=store.occupancy().spent_usd,
        budgets=store.budgets_in_force().uses(parts.costs.budgeted(day)),
    )


def _jobs(parts: Coalmine, ids: Sequence[str]) -> list[Job]:
    return [job for job in parts.job_store.read_many(ids) if job is not None]


def _agents(parts: Coalmine) -> list[AgentAtWork]:
    """The running jobs, the longest at work first, with what their agents said last."""
    running = [job for job in _jobs(parts, parts.job_store.running()) if job.state is JobState.RUNNING]
    running.sort(key=lambda job: job.claimed_at or job.created_at)
    lines = parts.log_store.last_lines([job.id for job in running])
    spending = parts.log_store.spending([(job.id, job.fence) for job in running])
    return [
        AgentAtWork(job=job, last_line=line.text if line else "", spending=spent)
        for job, line, spent in zip(running, lines, spending, strict=True)
    ]


def _held_versions(parts: Coalmine) -> Iterator[HeldWork]:
    """Versions that wait for a trial that cannot be opened."""
    for version in parts.templates.held():
        yield HeldWork(name=version.id, title="", what="no trial", why=version.reason, since=None)


def _held_jobs(queued: Sequence[Job]) -> Iterator[HeldWork]:
    """Queued jobs that something keeps, and those that wait for room or for mail."""
    for job in queued:
        if job.hindrance is None and not job.reason:
            continue
        kept = job.hindrance
        said, why = _kept_words(job)
        yield HeldWork(
            name=job.request.issue or job.id,
            title=job.request.title,
            what="waits" if kept is None or kept.kind is HindranceKind.LIMIT else kept.kind.value,
            said=said,
            why=why,
            since=job.created_at if kept is None else kept.since,
        )


def _kept_words(job: Job) -> tuple[str, str]:
    """Why a queued job does not go on: what the program said of a limit, and what it waits for."""
    kept = job.hindrance
    if kept is None:
        return "", job.reason
    if kept.kind is HindranceKind.LIMIT and job.reason.startswith("waits"):
        return kept.words, job.reason
    return "", kept.words


def _held_issues(parts: Coalmine) -> Iterator[HeldWork]:
    """Issues that people, other issues or a gate keep; those for people first."""
    for state, what in _HELD_STATES.items():
        for item in islice(parts.backlog_store.listed(state), MOST_READ):
            why = _why(item)
            if why:
                yield HeldWork(
                    name=str(item.ref), title=item.title, what=what, why=why, since=item.changed_at
                )


def _why(item: BacklogItem) -> str:
    """What keeps it; "" for a ready issue that was not refused, which is simply next."""
    if item.state is BacklogState.READY:
        return item.refusal.reason if item.refusal is not None else ""
    return item.reason


def read_open_trials(
    parts: Coalmine, now: float, *, priced: bool = False
) -> tuple[list[TrialStatus], list[DamagedTrial]]:
    """The open trials that can be read, and those that cannot: one must not hide the others."""
    damaged = parts.trials.damaged()
    readable = []
    for trial in parts.trials.open_trials():
        try:
            parts.harvester.evidence(trial)
            parts.differences.of(trial)
        except CorruptRecordError as error:
            damaged.append(parts.trials.damage(trial.id, error))
        else:
            readable.append(trial)
    return read_trials(parts, readable, now, priced=priced), damaged


def read_trials(
    parts: Coalmine, trials: Sequence[Trial], now: float, *, priced: bool = False
) -> list[TrialStatus]:
    """Trials with their evidence, their costs, and what becomes of their open jobs.

    `priced`: with the prices of changes, which are read from the records of their jobs.
    """
    costs = parts.costs.of_arms([trial.id for trial in trials])
    outlooks = _outlooks(parts, trials, now)
    return [
        status_of(
            trial,
            parts.harvester.evidence(trial),
            now,
            spent,
            outlook,
            difference=parts.differences.of(trial),
            prices=parts.outcome_prices.of_arms(trial) if priced else {},
        )
        for trial, spent, outlook in zip(trials, costs, outlooks, strict=True)
    ]


def _outlooks(parts: Coalmine, trials: Sequence[Trial], now: float) -> list[TrialOutlook]:
    """When the open jobs of trials will count, from the jobs that have no score yet: O(those)."""
    if not trials:
        return []
    scores: dict[str, list[Score]] = {trial.id: [] for trial in trials}
    for _, job, facts in parts.signals.read_due(parts.signals.unsettled(MOST_READ)):
        if job is None or job.trial not in scores or job.settled_at is not None:
            continue
        worth = score(
            facts, created_at=job.created_at, now=now, rules=parts.settling.rules(job),
            waited_seconds=job.waited(now),
        )  # fmt: skip
        scores[job.trial].append(worth)
    return [TrialOutlook.of(scores[trial.id]) for trial in trials]
