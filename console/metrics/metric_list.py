"""Every metric, once: its name, whether it only grows, its meaning with its unit, and its labels.

A name that was released keeps its meaning. Names follow Prometheus' rules: the base unit is at the end
(`_seconds`, `_bytes`, `_usd`), and what only grows ends in `_total`.
"""

from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    """How a number moves."""

    GAUGE = "gauge"
    COUNTER = "counter"  # it only grows, except when a fleet's records are removed


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric. `labels` are in the order in which readings give their values."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def kind(self) -> MetricKind:
        """What its name says of it."""
        return MetricKind.COUNTER if self.name.endswith("_total") else MetricKind.GAUGE


#: What a store or a record could not be read for; the others are read all the same.
UNREAD = Metric(
    name="coalmine_unread",
    meaning="1 for a part of the numbers that cannot be read at this scrape; the web log says why",
    labels=("part",),
)

JOBS = Metric(name="coalmine_jobs", meaning="jobs that are not finished, and dead letters", labels=("state",))
HELD_JOBS = Metric(
    name="coalmine_held_jobs",
    meaning="queued jobs that wait for room within the limits, or for an account",
    labels=("waits_for",),
)
OLDEST_QUEUED = Metric(
    name="coalmine_oldest_queued_job_seconds",
    meaning="age of the oldest job among the first 100 that wait for a worker; 0 when none waits",
)
AGENTS = Metric(
    name="coalmine_agents",
    meaning="jobs that a worker has claimed; `arm` is `none` outside trials",
    labels=("template", "queue", "arm"),
)

ISSUES = Metric(name="coalmine_issues", meaning="issues of the backlog", labels=("state",))
INTAKE = Metric(name="coalmine_intake_issues", meaning="issues that webhooks named and nobody has read yet")

TRIAL = Metric(
    name="coalmine_trial",
    meaning="1 for the state of the template's open trial, or of its last one",
    labels=("template", "state"),
)
TRIAL_HELD = Metric(
    name="coalmine_trial_held",
    meaning="1 when checks of the open trial's health, or a person, hold its verdict until a person decides",
    labels=("template",),
)
TRIAL_CONTRADICTED = Metric(
    name="coalmine_trial_contradicted",
    meaning="1 when signals after the last verdict no longer support it",
    labels=("template",),
)
TRIAL_UNDECIDED = Metric(
    name="coalmine_trial_undecided",
    meaning="1 when the last trial expired, or its verdict is contradicted, and no person has decided since",
    labels=("template",),
)
WAY_STEP = Metric(
    name="coalmine_way_step",
    meaning="number of the step, from 1, that a version of the template has come to on its way to champion; "
    "absent while none is on a way of several steps",
    labels=("template", "mode"),
)
WAY_STEPS = Metric(name="coalmine_way_steps", meaning="how many steps that way has", labels=("template",))
TRIAL_AGE = Metric(
    name="coalmine_trial_age_seconds", meaning="time since the open trial began", labels=("template",)
)
TRIAL_SHARE = Metric(
    name="coalmine_trial_share", meaning="part of new jobs that the canary gets, 0 to 1", labels=("template",)
)
TRIAL_JOBS = Metric(
    name="coalmine_trial_jobs",
    meaning="jobs of the open trial; each is open, settled, excluded or rerouted",
    labels=("template", "arm", "outcome"),
)
TRIAL_SCORE = Metric(
    name="coalmine_trial_mean_score",
    meaning="mean score of the settled jobs of the open trial, 0 to 1; absent before the first",
    labels=("template", "arm"),
)
TRIAL_DIFFERENCE = Metric(
    name="coalmine_trial_difference",
    meaning="canary's mean score less the champion's in the open trial, -1 to 1: `value`, and the ends "
    "`lower` and `upper` that hold at every look",
    labels=("template", "of"),
)
TRIAL_CHANGE_USD = Metric(
    name="coalmine_trial_change_usd",
    meaning="US dollars of the open trial's settled jobs for each change that stayed; "
    "absent before one, and where the dollars of a job are not known, or not all",
    labels=("template", "arm"),
)
TRIAL_CHANGES = Metric(
    name="coalmine_trial_changes",
    meaning="jobs of the open trial whose change was merged and not reverted (of pairs: was judged solved)",
    labels=("template", "arm"),
)
TRIAL_EVIDENCE = Metric(
    name="coalmine_trial_evidence",
    meaning="evidence on each question of the open trial; it decides at its threshold",
    labels=("template", "question"),
)
TRIAL_THRESHOLD = Metric(
    name="coalmine_trial_threshold",
    meaning="evidence at which the question is answered",
    labels=("template", "question"),
)

CHANGE_USD = Metric(
    name="coalmine_change_usd",
    meaning="US dollars that the champion, or the canary of an open trial, spends for each change that was "
    "merged and not reverted, failures with it; absent before one, and where the dollars of a job are not "
    "known",
    labels=("template", "arm"),
)
CHANGE_TOKENS = Metric(
    name="coalmine_change_tokens",
    meaning="the same in tokens",
    labels=("template", "arm"),
)
CHANGE_SECONDS = Metric(
    name="coalmine_change_seconds",
    meaning="the same in time of agents",
    labels=("template", "arm"),
)
CHANGES = Metric(
    name="coalmine_changes",
    meaning="these changes, among the newest 2,000 jobs of the fleet whose records are kept",
    labels=("template", "arm"),
)
FAILED_SPEND = Metric(
    name="coalmine_change_failed_share",
    meaning="part of that version's dollars that went to jobs of which nothing stayed, 0 to 1; of its tokens "
    "where no dollars are known, or not all",
    labels=("template", "arm"),
)

BACKTEST = Metric(
    name="coalmine_backtest",
    meaning="1 for the state of the template's last backtest; absent where it has had none",
    labels=("template", "state"),
)
BACKTEST_HELD = Metric(
    name="coalmine_backtest_held",
    meaning="1 when checks of the last backtest's health hold its verdict until a person decides",
    labels=("template",),
)
BACKTEST_CASES = Metric(
    name="coalmine_backtest_cases", meaning="cases of the last backtest", labels=("template",)
)
BACKTEST_PAIRS = Metric(
    name="coalmine_backtest_pairs",
    meaning="pairs of the last backtest that have ended, by which version solved the case",
    labels=("template", "outcome"),
)

TURNS = Metric(name="coalmine_turns_total", meaning="turns of agents that have ended", labels=("template",))
TURN_SECONDS = Metric(
    name="coalmine_turn_seconds_total", meaning="time that these turns took", labels=("template",)
)
TURN_USD = Metric(
    name="coalmine_turn_usd_total",
    meaning="US dollars of these turns, as far as they are known",
    labels=("template",),
)
TURNS_UNPRICED = Metric(
    name="coalmine_turns_without_usd_total",
    meaning="turns whose dollars are not known, or for a part of them only",
    labels=("template",),
)
TOKENS = Metric(
    name="coalmine_tokens_total",
    meaning="tokens of these turns; `input` has those from and to the cache",
    labels=("template", "direction"),
)
SPENT_TODAY = Metric(
    name="coalmine_spent_today_usd", meaning="known US dollars of the turns that ended today, UTC"
)
DAY_LIMIT = Metric(
    name="coalmine_day_limit_usd",
    meaning="US dollars that the fleet may spend in a day; absent without a limit",
)

ACCOUNT_OPEN = Metric(
    name="coalmine_account_open",
    meaning="1 when jobs may begin on the account, 0 while any of it is closed",
    labels=("account",),
)
ACCOUNT_SECONDS_LEFT = Metric(
    name="coalmine_account_closed_seconds_left",
    meaning="time until a closed account is tried again; absent while it is open, or waits for a person",
    labels=("account", "model"),
)

NOTIFICATIONS = Metric(
    name="coalmine_notifications",
    meaning="notifications that wait for a sink, or that it did not take (dead)",
    labels=("sink", "state"),
)
EVENTS = Metric(
    name="coalmine_events_total",
    meaning="events ever written; absent before Redis 7, which does not count them",
)

PROCESSES = Metric(
    name="coalmine_processes", meaning="workers and beats that gave a sign of life in the last 5 minutes"
)
SWEEP_AGE = Metric(
    name="coalmine_sweep_age_seconds",
    meaning="time since a worker last looked after the queue; absent before the first sweep",
)
PAUSED = Metric(name="coalmine_dispatch_paused", meaning="1 while a person has stopped dispatch")
KILLED = Metric(name="coalmine_kill_switch", meaning="1 while the kill switch of the workers' settings is on")
MEMORY = Metric(
    name="coalmine_store_memory_bytes", meaning="memory that the store uses; absent if it does not say"
)
MEMORY_LIMIT = Metric(
    name="coalmine_store_memory_limit_bytes", meaning="memory that the store may use; absent without a limit"
)

DELIVERIES = Metric(
    name="coalmine_webhook_deliveries_total",
    meaning="deliveries that this web process answered, by their result",
    labels=("forge", "result"),
)

#: All of them, in the order in which they are written.
METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
