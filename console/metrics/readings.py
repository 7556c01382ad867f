"""Takes the numbers from the stores: a few dozen round trips, whatever the length of the history."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import structlog

from console.metrics import metric_list as m
from console.metrics.metric_list import Metric
from console.output.trials.trial_attention import awaits_person
from console.output.trials.trial_status import status_of
from harvest.settling.outcome_price import ChangeEnding
from routing.accounts.breaker import version_of
from routing.accounts.closed_account import closed_accounts
from routing.backlog.item import BacklogState
from routing.cost import NO_COST
from routing.errors import CorruptRecordError, NotFoundError
from routing.jobs.job import Job, JobState
from routing.store.backtests.backtest_store import Backtest, BacktestState
from routing.store.redis.health import memory_use
from routing.templates.trial import Arm, Trial, TrialState
from routing.templates.way import Way
from tasks.backtests.running import evidence_of
from tasks.composition.composition import Coalmine

_log = structlog.get_logger(__name__)

#: Queued jobs whose age is looked at, and running jobs that are counted by template.
MOST_QUEUED, MOST_RUNNING = 100, 1_000


@dataclass(frozen=True, slots=True)
class MetricReading:
    """One number of a metric, with the values of its labels."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


def read_metrics(parts: Coalmine) -> list[MetricReading]:
    """All numbers of the stores now; UnavailableError when the server does not answer.

    A record that cannot be read costs its own part alone: UNREAD has 1 for it.
    """
    readings: list[MetricReading] = []
    parts_read: dict[str, Callable[[Coalmine], Iterator[MetricReading]]] = {
        "jobs": _jobs,
        "issues": _issues,
        "costs": _costs,
        "accounts": _accounts,
        "notifications": _notifications,
        "fleet": _fleet,
        "store": _store,
        "trials": _trials,
        "backtests": _backtests,
        "ways": _ways,
        "prices": _prices,
    }
    for name, read in parts_read.items():
        try:
            for reading in read(parts):
                readings.append(reading)  # noqa: PERF402 - what was read before an error stays
            failed = 0.0
        except CorruptRecordError as error:
            _log.warning("metrics.unread", part=name, reason=str(error))
            failed = 1.0
        readings.append(MetricReading(m.UNREAD, failed, (name,)))
    return readings


def _jobs(parts: Coalmine) -> Iterator[MetricReading]:
    store, now = parts.job_store, parts.job_store.now()
    for state, count in store.depths().items():
        yield MetricReading(m.JOBS, count, (state,))
    occupancy = store.occupancy()
    yield MetricReading(m.HELD_JOBS, occupancy.held, ("room",))
    yield MetricReading(m.HELD_JOBS, occupancy.limited, ("account",))
    queued = _read(parts, store.queued(MOST_QUEUED))
    oldest = min((job.created_at for job in queued), default=now)
    yield MetricReading(m.OLDEST_QUEUED, max(0.0, now - oldest))
    running = _read(parts, store.running(MOST_RUNNING))
    agents = Counter(
        (job.template, str(job.queue), str(job.arm or "none"))
        for job in running
        if job.state is JobState.RUNNING
    )
    for labels, count in sorted(agents.items()):
        yield MetricReading(m.AGENTS, count, labels)


def _read(parts: Coalmine, ids: list[str]) -> list[Job]:
    return [job for job in parts.job_store.read_many(ids) if job is not None]


def _issues(parts: Coalmine) -> Iterator[MetricReading]:
    for state in BacklogState:
        yield MetricReading(m.ISSUES, parts.backlog_store.count(state), (state.value,))
    waiting, _ = parts.deliveries.waiting()
    yield MetricReading(m.INTAKE, waiting)


def _costs(parts: Coalmine) -> Iterator[MetricReading]:
    for name in parts.templates.names():
        cost = sum(parts.costs.of_versions(name).values(), NO_COST)
        yield MetricReading(m.TURNS, cost.turns, (name,))
        yield MetricReading(m.TURN_SECONDS, cost.seconds, (name,))
        yield MetricReading(m.TURN_USD, cost.usd, (name,))
        yield MetricReading(m.TURNS_UNPRICED, cost.unknown, (name,))
        yield MetricReading(m.TOKENS, cost.input_tokens, (name, "input"))
        yield MetricReading(m.TOKENS, cost.output_tokens, (name, "output"))
    today = parts.costs.of_days([parts.costs.today()])[0]
    yield MetricReading(m.SPENT_TODAY, sum(today.values(), NO_COST).usd)
    limit = parts.job_store.limits_in_force().day_cost_usd
    if limit:
        yield MetricReading(m.DAY_LIMIT, limit)


def _accounts(parts: Coalmine) -> Iterator[MetricReading]:
    is_open: dict[str, bool] = {}
    # Versions that do not start have breakers too: their number grows with the work, and a label must not.
    breakers = [each for each in parts.breakers.all() if not version_of(each.account)]
    for breaker in breakers:
        is_open[breaker.account] = is_open.get(breaker.account, True) and breaker.is_open
    for account, opened in sorted(is_open.items()):
        yield MetricReading(m.ACCOUNT_OPEN, opened, (account,))
    for closed in closed_accounts(breakers, parts.breakers.now()):
        if closed.seconds_left is not None:
            yield MetricReading(m.ACCOUNT_SECONDS_LEFT, closed.seconds_left, (closed.account, closed.model))


def _notifications(parts: Coalmine) -> Iterator[MetricReading]:
    for sink, _ in parts.settings.notify.configured(parts.now):
        waiting, dead = parts.notices.depths(sink.name)
        yield MetricReading(m.NOTIFICATIONS, waiting, (sink.name, "waiting"))
        yield MetricReading(m.NOTIFICATIONS, dead, (sink.name, "dead"))
    written = parts.events.page("0-0", most=1).written
    if written is not None:
        yield MetricReading(m.EVENTS, written)


def _fleet(parts: Coalmine) -> Iterator[MetricReading]:
    yield MetricReading(m.PROCESSES, len(parts.clocks.reports()))
    swept_at = parts.clocks.swept_at()
    if swept_at is not None:
        yield MetricReading(m.SWEEP_AGE, max(0.0, parts.job_store.now() - swept_at))
    yield MetricReading(m.PAUSED, parts.switch.reason() is not None)
    yield MetricReading(m.KILLED, parts.switch.settings_in_force().kill_switch)


def _store(parts: Coalmine) -> Iterator[MetricReading]:
    memory = memory_use(parts.redis)
    if memory is not None:
        yield MetricReading(m.MEMORY, memory.used_bytes)
        if memory.limit_bytes:
            yield MetricReading(m.MEMORY_LIMIT, memory.limit_bytes)


def _of_each(parts: Coalmine, read: Callable[[str], Iterator[MetricReading]]) -> Iterator[MetricReading]:
    """What is read of each template; one that has no such thing has no numbers.

    A record that cannot be read is reported after the others.
    """
    damage: CorruptRecordError | None = None
    for name in parts.templates.names():
        try:
            yield from read(name)
        except NotFoundError:
            continue
        except CorruptRecordError as error:
            damage = error
    if damage is not None:
        raise damage


def _trials(parts: Coalmine) -> Iterator[MetricReading]:
    """The open trial of each template, or the last one."""
    return _of_each(parts, lambda name: _trial(parts, parts.trials.find(name)))


def _ways(parts: Coalmine) -> Iterator[MetricReading]:
    """How far versions have come on their ways."""
    return _of_each(parts, lambda name: _way(parts.ways.of_template(name)))


def _way(way: Way | None) -> Iterator[MetricReading]:
    if way is not None:
        yield MetricReading(m.WAY_STEP, way.at, (way.template, way.step.value))
        yield MetricReading(m.WAY_STEPS, len(way.steps), (way.template,))


def _prices(parts: Coalmine) -> Iterator[MetricReading]:
    """What changes cost of each template's champion, and of its canary while a trial is open."""
    return _of_each(parts, lambda name: _price(parts, name))


def _price(parts: Coalmine, name: str) -> Iterator[MetricReading]:
    prices = parts.outcome_prices.lately(name)
    of_arms = {Arm.CHAMPION: parts.templates.champion(name).id}
    with suppress(NotFoundError):
        trial = parts.trials.find(name)
        of_arms |= {Arm.CANARY: trial.canary_id} if trial.is_open else {}
    for arm, version in of_arms.items():
        found, labels = prices.get(version), (name, arm.value)
        if found is None:
            continue
        yield MetricReading(m.CHANGES, found.jobs[ChangeEnding.KEPT], labels)
        whole = {measure: price for measure, price in found.prices.items() if price.whole}
        for metric, measure, unit in _CHANGE_METRICS:
            each = whole[measure].each if measure in whole else None
            if each is not None:  # a floor would look like the price
                yield MetricReading(metric, each * unit, labels)
        shares = [whole[each].on_failures for each in ("usd", "tokens") if each in whole]
        share = next((each for each in shares if each is not None), None)
        if share is not None:
            yield MetricReading(m.FAILED_SPEND, share, labels)


#: What a change costs, by the measure, and how many of the metric's unit are one of the measure's.
_CHANGE_METRICS = (
    (m.CHANGE_USD, "usd", 1.0),
    (m.CHANGE_TOKENS, "tokens", 1.0),
    (m.CHANGE_SECONDS, "minutes", 60.0),
)


def _backtests(parts: Coalmine) -> Iterator[MetricReading]:
    """The last backtest of each template."""
    return _of_each(parts, lambda name: _backtest(name, parts.backtest_opening.find(name)))


def _backtest(name: str, run: Backtest) -> Iterator[MetricReading]:
    counts = evidence_of(run).counts
    for state in BacktestState:
        yield MetricReading(m.BACKTEST, run.state is state, (name, state.name.lower()))
    yield MetricReading(m.BACKTEST_HELD, run.is_in_doubt, (name,))
    yield MetricReading(m.BACKTEST_CASES, len(run.cases), (name,))
    for outcome in ("both", "champion_only", "canary_only", "neither", "excluded"):
        yield MetricReading(m.BACKTEST_PAIRS, getattr(counts, outcome), (name, outcome))


def _trial(parts: Coalmine, trial: Trial) -> Iterator[MetricReading]:
    name = trial.template
    for state in TrialState:
        yield MetricReading(m.TRIAL, trial.state is state, (name, state.value))
    yield MetricReading(m.TRIAL_CONTRADICTED, trial.contradicted, (name,))
    yield MetricReading(m.TRIAL_UNDECIDED, awaits_person(parts, trial), (name,))
    if trial.is_open:
        yield from _open_trial(parts, trial)


def _open_trial(parts: Coalmine, trial: Trial) -> Iterator[MetricReading]:
    name = trial.template
    evidence = parts.harvester.evidence(trial)
    status = status_of(trial, evidence, parts.trial_store.now())
    yield MetricReading(m.TRIAL_HELD, status.is_held, (name,))
    yield MetricReading(m.TRIAL_AGE, status.age_seconds, (name,))
    yield MetricReading(m.TRIAL_SHARE, trial.share, (name,))
    for arm, counts in (("champion", evidence.champion), ("canary", evidence.canary)):
        for outcome in ("open", "settled", "excluded", "rerouted"):
            yield MetricReading(m.TRIAL_JOBS, getattr(counts, outcome), (name, arm, outcome))
        if counts.mean is not None:
            yield MetricReading(m.TRIAL_SCORE, counts.mean, (name, arm))
    for arm, price in parts.outcome_prices.of_arms(trial).items():
        yield MetricReading(m.TRIAL_CHANGES, price.jobs[ChangeEnding.KEPT], (name, arm.value))
        usd = price.prices["usd"]
        if usd.each is not None and usd.whole:  # a floor would look like the price
            yield MetricReading(m.TRIAL_CHANGE_USD, usd.each, (name, arm.value))
    difference = parts.differences.of(trial)
    ends = {"value": difference.value, "lower": difference.lower, "upper": difference.upper}
    for end, number in ends.items():
        if number is not None:
            yield MetricReading(m.TRIAL_DIFFERENCE, number, (name, end))
    for question, value in status.decision.evidence.items():
        yield MetricReading(m.TRIAL_EVIDENCE, value, (name, question))
        yield MetricReading(m.TRIAL_THRESHOLD, status.decision.thresholds[question], (name, question))
