"""The parts that every process has: stores, and what moves jobs, trials and mail.

Making a `Coalmine` opens no connection and reads no setting again: Redis is asked by the first call of a
part. A part's modules are imported when it is made. So a command costs only the parts that it uses.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from routing.errors import SettingsError
from tasks.composition.stores import Stores

if TYPE_CHECKING:
    from celery import Celery
    from redis import Redis

    from harvest.settling.settling import Settling
    from harvest.trials.differences import Differences
    from harvest.trials.explanations import Explanations
    from harvest.trials.harvester import Harvester
    from harvest.trials.opening import Proposals
    from harvest.trials.outcome_prices import OutcomePrices
    from harvest.trials.ways import Ways
    from routing.accounts.pool import Pools
    from routing.generator import Generator
    from routing.jobs.children import Children
    from routing.jobs.lifecycle import Jobs
    from routing.jobs.mailbox import Mailbox
    from routing.jobs.publisher import Publisher
    from routing.jobs.relay import Relay
    from routing.jobs.withdrawal import Withdrawal
    from routing.store.accounts.gate_reader import GateReader
    from routing.templates.route_defaults import MailboxPolicy
    from routing.templates.templates import Templates
    from routing.templates.trials import Trials
    from tasks.agents.agent_registry import AgentRegistry
    from tasks.agents.mail.post_office import PostOffice
    from tasks.agents.supervision.waking import Waking
    from tasks.agents.supervision.watchdog import Watchdog
    from tasks.backtests.opening import BacktestOpening
    from tasks.backtests.running import BacktestRuns
    from tasks.settings.settings import Settings
    from tasks.work.tick import Ticks


@dataclass(frozen=True, kw_only=True)
class Coalmine(Stores):
    """Every part, wired to one server by one set of settings.

    Commands, the web page, workers and ticks all begin here; none of them makes a store of its own. What
    needs a forge is in `ForgeParts`, what belongs to one process (threads, leases, sockets) in `Worker`.

    Frozen: settings do not change while a process lives. Each property is made once and then the same object,
    which several threads may use. A property needs nothing but the fields and other properties, so a test
    that passes in Redis, a clock and a generator has the whole fleet in its hands.

    No property speaks to the server: a server that is down is an UnavailableError of the first call of a
    part. A worker makes its own after the fork.
    """

    generator: Generator  # of draws and of back-off jitter
    given_app: Celery | None = None  # in place of one that is made from the settings
    given_publisher: Publisher | None = None  # the same

    @cached_property
    def app(self) -> Celery:
        """The Celery application, for those who send messages or run a worker."""
        if self.given_app is not None:
            return self.given_app
        from tasks.broker import make_app

        return make_app(self.settings)

    @cached_property
    def publisher(self) -> Publisher:
        """Sends messages of jobs."""
        if self.given_publisher is not None:
            return self.given_publisher
        from routing.jobs.publisher import CeleryPublisher
        from tasks.broker import WORK

        return CeleryPublisher(
            self.app, task=WORK, broker_is_store=self.settings.broker_url is None,
            prefix=f"{self.settings.namespace}:",
        )  # fmt: skip

    @cached_property
    def agents(self) -> AgentRegistry:
        """Who is there: the agents of this fleet, by address."""
        from routing.store.mail.agent_store import AgentStore
        from tasks.agents.agent_registry import AgentRegistry

        retention = self.settings.retention_seconds
        return AgentRegistry(AgentStore(self.redis, self.keys, self.clock, retention_seconds=retention))

    @cached_property
    def post_office(self) -> PostOffice:
        """Mail between agents and people; mail that arrives wakes the agent that awaits it."""
        from routing.store.mail.mail_store import MailStore
        from tasks.agents.mail.post_office import PostOffice

        retention = self.settings.retention_seconds
        store = MailStore(self.redis, self.keys, self.clock, retention_seconds=retention)
        return PostOffice(store, self.agents, arrived=self.waking.wake)

    @cached_property
    def waking(self) -> Waking:
        """Publishes jobs again whose agents await mail that has come.

        The post office calls it when mail arrives; the sweep calls it for mail that came while a turn was
        ending.
        """
        from tasks.agents.supervision.waking import Waking

        return Waking(self.sessions, self.jobs)

    @cached_property
    def watchdog(self) -> Watchdog:
        """Looks after turns and agents that say nothing: a warning, then a mail, then the end of the turn.

        It runs as a tick, in any worker, for agents of all hosts.
        """
        from tasks.agents.supervision.silence import SilenceLimits
        from tasks.agents.supervision.watchdog import Watchdog

        agent = self.settings.agent
        patience = SilenceLimits(
            warn_seconds=agent.silence_warn_seconds, nudge_seconds=agent.silence_nudge_seconds,
            cancel_seconds=agent.silence_cancel_seconds,
        )  # fmt: skip
        return Watchdog(
            sessions=self.sessions,
            agents=self.agents,
            office=self.post_office,
            jobs=self.jobs,
            job_store=self.job_store,
            withdraw=self.withdrawal.withdraw,
            patience=patience,
        )

    @cached_property
    def withdrawal(self) -> Withdrawal:
        """Ends what rejected versions are at work on, where the settings want it (`canary.on_rollback`)."""
        from routing.jobs.withdrawal import Withdrawal
        from tasks.settings.settings import OnRollback

        cancels = self.settings.canary.on_rollback is OnRollback.CANCEL
        return Withdrawal(self.jobs, self.job_store, self.versions, cancels=cancels)

    @cached_property
    def ticks(self) -> Ticks:
        """Single-flight of ticks: which process runs one now, over all hosts."""
        from routing.store.fleet.tick_store import TickStore
        from tasks.work.tick import Ticks

        return Ticks(TickStore(self.redis, self.keys, self.clock))

    @cached_property
    def templates(self) -> Templates:
        """What people and policies do with versions. Rejecting one withdraws its jobs."""
        from routing.templates.templates import Templates

        return Templates(self.versions, rejected=lambda: self.withdrawal.withdraw())  # noqa: PLW0108 - made then

    @cached_property
    def trials(self) -> Trials:
        """What people and policies do with trials; verdicts are the harvest's."""
        from routing.templates.trials import Trials

        return Trials(self.trial_store, self.versions)

    @cached_property
    def proposals(self) -> Proposals:
        """Opens trials for proposed versions, by the policy of their template; none with canaries off."""
        from tasks.composition.backtest_parts import proposals_of

        return proposals_of(self)

    @cached_property
    def ways(self) -> Ways:
        """Takes versions from one step to the next."""
        from tasks.composition.backtest_parts import ways_of

        return ways_of(self)

    @cached_property
    def jobs(self) -> Jobs:
        """Moves of jobs between states, for workers, ticks and people."""
        from routing.back_off import BackOff
        from routing.jobs.lifecycle import Jobs

        job = self.settings.job
        back_off = BackOff(first_seconds=job.back_off_first_seconds, cap_seconds=job.back_off_cap_seconds)
        return Jobs(
            self.job_store, self.versions, back_off=back_off, generator=self.generator,
            keeps_children=job.children == "keep", gate=self.gates.gate,
        )  # fmt: skip

    @cached_property
    def pools(self) -> Pools:
        """The accounts of the settings, as far as this process has their secrets."""
        from routing.accounts.pool import Pools

        return Pools(accounts=self.settings.account, environment=os.environ)

    @cached_property
    def gates(self) -> GateReader:
        """What must be open before a job may begin."""
        from routing.store.accounts.gate_reader import GateReader

        return GateReader(
            jobs=self.job_store, versions=self.versions, trials=self.trial_store, pools=self.pools,
            budgets=self.job_store.budgets,
        )  # fmt: skip

    @cached_property
    def mailbox(self) -> Mailbox:
        """Accepts requests: draws a version, writes the job, publishes it.

        Repeating a request finds its job.
        """
        from routing.jobs.mailbox import Mailbox
        from routing.templates.route_reader import RouteReader

        return Mailbox(
            jobs=self.job_store,
            events=self.events,
            routes=RouteReader(self.versions, self.trial_store),
            publisher=self.publisher,
            generator=self.generator,
            policy=self.mailbox_policy,
        )

    @cached_property
    def children(self) -> Children:
        """Accepts what agents ask for, within the limits of number and depth."""
        from routing.jobs.children import Children, ChildRules

        job = self.settings.job
        return Children(
            jobs=self.job_store,
            versions=self.versions,
            mailbox=self.mailbox,
            rules=ChildRules(most=job.children_at_once, deepest=job.child_depth),
        )

    @property
    def mailbox_policy(self) -> MailboxPolicy:
        """What new jobs are given; it stays with the job when settings change later."""
        from routing.templates.route_defaults import MailboxPolicy

        return MailboxPolicy(
            canaries_enabled=self.settings.canary.enabled,
            max_attempts=self.settings.job.max_attempts,
            settle_deadline_seconds=self.settings.canary.policy.settle_deadline_seconds,
            retention_seconds=self.settings.retention_seconds,
            judged_forges=self.settings.judged_forges,
        )

    @cached_property
    def relay(self) -> Relay:
        """Publishes what was not: jobs that were written when the broker could not be reached.

        It runs in the sweep; several at once do no harm.
        """
        from routing.jobs.relay import Relay

        return Relay(self.job_store, self.publisher)

    @cached_property
    def settling(self) -> Settling:
        """What jobs are worth, by the rules of their trials."""
        from harvest.settling.settling import Settling

        canary = self.settings.canary
        return Settling(
            signals=self.signals, trials=self.trial_store, scores=canary.scores, default=canary.policy,
            judging=self.judging, generator=self.generator,
            left_out=lambda shadow: self.jobs.cancel(
                shadow, by="the harvest, as its pair is left out", at=self.now()
            ),
        )  # fmt: skip

    @cached_property
    def harvester(self) -> Harvester:
        """Scores, evidence, verdicts: makes of signals what a trial decides by."""
        from harvest.trials.harvester import Harvester

        canary = self.settings.canary
        return Harvester(
            settling=self.settling, trials=self.trials, store=self.trial_store, enabled=canary.enabled,
            rolled_back=self.withdrawal.withdraw, spent=self.costs.of_trial,
        )  # fmt: skip

    @cached_property
    def differences(self) -> Differences:
        """What trials say of the difference between their versions, for people."""
        from harvest.trials.differences import Differences

        return Differences(self.harvester.counted_ledger)

    @cached_property
    def explanations(self) -> Explanations:
        """What the verdicts of trials rest on, for people."""
        from harvest.trials.explanations import Explanations

        return Explanations(self.harvester.counted_ledger, self.job_store.read_many, self.differences.of)

    @cached_property
    def outcome_prices(self) -> OutcomePrices:
        """What changes cost that stayed, by version and arm."""
        from harvest.settling.outcome_price import MOST_TOKENS, MOST_USD, measures
        from harvest.trials.outcome_prices import OutcomePrices

        agent = self.settings.agent
        measured = measures(
            most_usd=agent.job_cost_usd or MOST_USD, most_tokens=agent.job_tokens or MOST_TOKENS
        )
        return OutcomePrices(
            jobs=self.job_store, signals=self.signals, costs=self.costs, measured=measured,
            ledger=self.harvester.counted_ledger,
        )  # fmt: skip

    @cached_property
    def backtest_opening(self) -> BacktestOpening:
        """Begins and stops backtests, for people."""
        from tasks.composition.backtest_parts import backtest_opening_of

        return backtest_opening_of(self)

    @cached_property
    def backtest_runs(self) -> BacktestRuns:
        """Gives out cases, settles pairs and ends backtests: in the tick that harvests."""
        from tasks.composition.backtest_parts import backtest_runs_of

        return backtest_runs_of(self)

    def close(self) -> None:
        """Close the connections of this process; those that were never made are not made for it."""
        self.redis.close()
        # cached_property keeps what it made in __dict__: asking for the attribute would make it.
        if "app" in self.__dict__:
            self.app.close()


def compose(
    settings: Settings, *, redis: Redis | None = None, app: Celery | None = None,
    publisher: Publisher | None = None, generator: Generator | None = None,
    clock: Callable[[], float] | None = None, patience_seconds: float = 5.0,
) -> Coalmine:  # fmt: skip
    """Wire the parts. What is not given is made from the settings; a missing server is a SettingsError.

    `patience_seconds` is how long a call waits for a server that does not answer: workers outlast a restart,
    people want to know. Nothing is connected yet, so a server that is down shows at the first call
    (UnavailableError).
    """
    if redis is None:
        from routing.store.redis.connection import connect

        redis = connect(redis_url(settings), patience_seconds=patience_seconds)
    return Coalmine(
        settings=settings, redis=redis, given_app=app, given_publisher=publisher,
        generator=generator or _generator(settings.seed), clock=clock,
    )  # fmt: skip


def _generator(seed: int | None) -> Generator:
    """The system's randomness, or a seeded sequence for runs that are to be repeated.

    A seed makes draws predictable, also for those who would like to choose their version: not for production.
    """
    return random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - no secrets


def redis_url(settings: Settings) -> str:
    """The URL of the store, or SettingsError that says how to get one.

    It may hold a password: do not log it.
    """
    if settings.redis_url is None:
        message = (
            "no Redis server is configured; set COALMINE_REDIS_URL (redis://HOST:6379/0), "
            "or run `coalmine up`, which starts one on this machine"
        )
        raise SettingsError(message)
    return settings.redis_url.get_secret_value()
