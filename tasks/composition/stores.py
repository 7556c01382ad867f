"""What a fleet keeps in Redis: one store for each kind of record.

Like every part, a store is imported when it is made; see `tasks.composition`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis import Redis

    from routing.jobs.job import Job
    from routing.store.accounts.breaker_store import BreakerStore
    from routing.store.archive.archive_reader import ArchiveReader
    from routing.store.archive.archive_writer import ArchiveWriter
    from routing.store.backlog.backlog_store import BacklogStore
    from routing.store.backlog.delivery_store import DeliveryStore
    from routing.store.backlog.dependency_store import DependencyStore
    from routing.store.backtests.backtest_store import BacktestStore
    from routing.store.events.decision_store import DecisionStore
    from routing.store.events.event_store import EventStore
    from routing.store.events.notice_store import NoticeStore
    from routing.store.events.trace_store import TraceStore
    from routing.store.fleet.clock_store import ClockStore
    from routing.store.fleet.main_store import MainStore
    from routing.store.fleet.repository_id_store import RepositoryIdStore
    from routing.store.fleet.switch import Switch
    from routing.store.fleet.token_store import TokenStore
    from routing.store.jobs.correction_store import CorrectionStore
    from routing.store.jobs.cost_store import CostStore
    from routing.store.jobs.job_store import JobStore
    from routing.store.jobs.log_store import LogStore
    from routing.store.jobs.outcome_store import OutcomeStore
    from routing.store.judging.judging_store import JudgingStore
    from routing.store.redis.keys import Keys
    from routing.store.sessions.session_store import SessionStore
    from routing.store.signals.signal_store import SignalStore
    from routing.store.trials.trial_store import TrialStore
    from routing.store.trials.version_store import VersionStore
    from tasks.settings.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Stores:
    """All stores on one server, under one namespace. Nothing is asked of the server until a store is used."""

    settings: Settings
    redis: Redis
    clock: Callable[[], float] | None = None  # None: the server's

    @cached_property
    def keys(self) -> Keys:
        """Names of all keys, under the namespace of the settings: two fleets may share one server."""
        from routing.store.redis.keys import Keys

        return Keys(self.settings.namespace)

    @cached_property
    def versions(self) -> VersionStore:
        """Versions of templates: who is champion, who is canary."""
        from routing.store.trials.version_store import VersionStore

        return VersionStore(self.redis, self.keys, self.clock)

    @cached_property
    def trial_store(self) -> TrialStore:
        """Trials with their evidence."""
        from routing.store.trials.trial_store import TrialStore

        return TrialStore(self.redis, self.keys, self.clock)

    @cached_property
    def backtest_store(self) -> BacktestStore:
        """Backtests with their cases and results."""
        from routing.store.backtests.backtest_store import BacktestStore

        return BacktestStore(self.redis, self.keys, self.clock)

    @cached_property
    def job_store(self) -> JobStore:
        """Jobs, their queue, their leases, and the limits at which no further one is given out.

        Retention is in seconds; a limit of 0 is none.
        """
        from routing.accounts.budget import DayBudgets
        from routing.jobs.admission import AdmissionLimits
        from routing.store.jobs.job_store import JobStore

        job = self.settings.job
        limits = AdmissionLimits(
            agents_at_once=job.agents_at_once,
            per_repository=job.per_repository,
            day_cost_usd=job.day_cost_usd,
        )
        retention = self.settings.retention_seconds
        return JobStore(
            self.redis, self.keys, self.clock, retention_seconds=retention, limits=limits,
            budgets=DayBudgets(fleet_tokens=job.day_tokens, tables=self.settings.budget),
        )  # fmt: skip

    @cached_property
    def switch(self) -> Switch:
        """The pause switch: while it is on, nothing is dispatched or claimed; turns that run go on."""
        from routing.store.fleet.switch import SetSwitches, Switch

        own = SetSwitches(kill_switch=self.settings.kill_switch, canaries=self.settings.canary.enabled)
        return Switch(self.redis, self.keys, self.clock, own=own)

    @cached_property
    def corrections(self) -> CorrectionStore:
        """Sends pushed work back to its agent."""
        from routing.store.jobs.correction_store import CorrectionStore

        retention = self.settings.retention_seconds
        return CorrectionStore(self.redis, self.keys, self.clock, retention_seconds=retention)

    @cached_property
    def outcomes(self) -> OutcomeStore:
        """How many jobs ended in each hour, and how."""
        from routing.store.jobs.outcome_store import OutcomeStore

        return OutcomeStore(self.redis, self.keys, self.clock)

    @cached_property
    def costs(self) -> CostStore:
        """What turns have cost, summed up by version, arm and day."""
        from routing.store.jobs.cost_store import CostStore

        return CostStore(self.redis, self.keys, self.clock)

    @cached_property
    def log_store(self) -> LogStore:
        """What agents say. Lines are collected in memory: `Worker.keeper` flushes them."""
        from routing.store.jobs.log_store import LogStore

        return LogStore(self.redis, self.keys, self.clock)

    @cached_property
    def backlog_store(self) -> BacklogStore:
        """Issues that are known and not finished, with their dependencies."""
        from routing.store.backlog.backlog_store import BacklogStore

        unknown = self.settings.issues.backlog.unknown_blocker
        return BacklogStore(self.redis, self.keys, self.clock, unknown_blocker=unknown)

    @cached_property
    def dependencies(self) -> DependencyStore:
        """Which issues wait for which, for views."""
        from routing.store.backlog.dependency_store import DependencyStore

        return DependencyStore(self.redis, self.keys, self.clock)

    @cached_property
    def deliveries(self) -> DeliveryStore:
        """Deliveries of webhooks, and the issues that they named."""
        from routing.store.backlog.delivery_store import DeliveryStore

        return DeliveryStore(self.redis, self.keys, self.clock)

    @cached_property
    def signals(self) -> SignalStore:
        """Signals of jobs, each recorded once, from which scores are made."""
        from routing.store.signals.signal_store import SignalStore

        return SignalStore(self.redis, self.keys, self.clock)

    @cached_property
    def judging(self) -> JudgingStore:
        """Pairs on their way to the judge."""
        from routing.store.judging.judging_store import JudgingStore

        retention = self.settings.retention_seconds
        return JudgingStore(self.redis, self.keys, self.clock, retention_seconds=retention)

    @cached_property
    def events(self) -> EventStore:
        """The stream of events."""
        from routing.store.events.event_store import EventStore

        return EventStore(self.redis, self.keys, self.clock)

    @cached_property
    def traces(self) -> TraceStore:
        """How far events were traced."""
        from routing.store.events.trace_store import TraceStore

        return TraceStore(self.redis, self.keys, self.clock)

    def traceparent(self, job: Job) -> str:
        """Where the turn of a claimed job is in its trace; "" while no traces are sent."""
        if not self.settings.telemetry.is_on:
            return ""
        from tasks.telemetry.span import SpanIds

        return SpanIds(self.keys.namespace).of_turn(job.id, job.request.issue, job.fence).traceparent

    @cached_property
    def decisions(self) -> DecisionStore:
        """What people have decided."""
        from routing.store.events.decision_store import DecisionStore

        return DecisionStore(self.redis, self.keys, self.clock)

    @cached_property
    def sessions(self) -> SessionStore:
        """Sessions of agents, kept as long as their jobs, so that a retry can go on with one."""
        from routing.store.sessions.session_store import SessionStore

        return SessionStore(
            self.redis, self.keys, self.clock, retention_seconds=self.settings.retention_seconds
        )

    @cached_property
    def notices(self) -> NoticeStore:
        """Notifications that wait for their sinks, and dead letters."""
        from routing.store.events.notice_store import NoticeStore

        return NoticeStore(self.redis, self.keys, self.clock)

    @cached_property
    def tokens(self) -> TokenStore:
        """What the fleet knows of its tokens: which are refused, and which have used up their rate limit."""
        from routing.store.fleet.token_store import TokenStore

        return TokenStore(self.redis, self.keys, self.clock)

    @cached_property
    def repository_ids(self) -> RepositoryIdStore:
        """Which repositories were meant by the names of the settings when they were first seen."""
        from routing.store.fleet.repository_id_store import RepositoryIdStore

        return RepositoryIdStore(self.redis, self.keys, self.clock)

    @cached_property
    def mains(self) -> MainStore:
        """What CI said of the newest commit of main branches."""
        from routing.store.fleet.main_store import MainStore

        return MainStore(self.redis, self.keys, self.clock)

    @cached_property
    def clocks(self) -> ClockStore:
        """How far the clocks of processes are off the server's."""
        from routing.store.fleet.clock_store import ClockStore

        return ClockStore(self.redis, self.keys, self.clock)

    @cached_property
    def breakers(self) -> BreakerStore:
        """Which accounts are closed, and until when."""
        from routing.store.accounts.breaker_store import BreakerStore

        return BreakerStore(self.redis, self.keys, self.clock)

    @cached_property
    def archive_reader(self) -> ArchiveReader:
        """All that the fleet keeps, for an export."""
        from routing.store.archive.archive_reader import ArchiveReader

        return ArchiveReader(self.redis, self.keys, self.clock)

    @cached_property
    def archive_writer(self) -> ArchiveWriter:
        """Puts an export into this namespace."""
        from routing.store.archive.archive_writer import ArchiveWriter

        return ArchiveWriter(self.redis, self.keys, self.clock)

    def now(self) -> float:
        """Seconds since the epoch by the server's clock: several machines write and compare what it says.

        One round trip, and UnavailableError while the server does not answer.
        """
        return self.job_store.now()
