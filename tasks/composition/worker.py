"""What a worker process is made of, beside the parts that every process has.

Besides wiring, this is where the parts of several rooms meet: which tick follows an attempt (`follow_up`),
which chores a host has. No part knows of the others.
"""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

import structlog

from routing.accounts.prices import PriceTable
from routing.forges.errors import ForgeGoneError
from routing.jobs.admission import AdmissionLimits
from routing.jobs.job import Job, JobResult, JobState
from routing.jobs.lifecycle import Claim
from routing.jobs.turn import Hindrance, HindranceKind
from routing.process.cgroup import CgroupHome
from routing.process.cgroup_probe import usable_cgroup_home
from routing.process.table import ProcessTable
from tasks.agents.accounts.leased_accounts import LeasedAccounts
from tasks.agents.mail_socket.child_dispatch import ChildDispatch
from tasks.agents.mail_socket.server import MailServer
from tasks.agents.pairs.judging import PairJudging
from tasks.agents.pairs.sealed_repository import CASE_SECONDS, sweep_case_places
from tasks.agents.repository.hand_out import sweep_worktrees
from tasks.agents.repository.mirror_packs import repack_mirrors
from tasks.agents.runner import AgentRunner, RunnerRules
from tasks.agents.sandbox.turn_folders import sweep_unused_folders
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes
from tasks.agents.supervision.orphans import end_ownerless_turns
from tasks.agents.supervision.retirement import Retirements
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.turn_runner import TurnRunner
from tasks.agents.turn.version_starts import VersionStarts
from tasks.broker import CI, DISPATCH, HARVEST, SWEEP, WATCH
from tasks.composition.composition import Coalmine
from tasks.composition.forge_parts import ForgeParts
from tasks.composition.notify_parts import notifiers_of
from tasks.composition.pair_parts import pair_judging_of, pair_work_of
from tasks.composition.ticks import Sweep
from tasks.issues.site import place_of
from tasks.notify.notifier import Notifier
from tasks.work.delivery import DeliveryLimits
from tasks.work.drain import draining, end_process, is_pool_child
from tasks.work.host_keeper import Chore
from tasks.work.lease_keeper import LeaseKeeper, LeaseKind, LeaseTimes
from tasks.work.log_and_continue import LogAndContinue
from tasks.work.outage import BROKER, Outage
from tasks.work.outcome import NextStep
from tasks.work.tick import TickRequests
from tasks.work.work import Runner, Work, job_leases

_log = structlog.get_logger(__name__)

#: What a person has to look at who gave the token; a repository that is gone may be one that it may not see.
TOKENS = frozenset({HindranceKind.TOKEN, HindranceKind.GONE})

#: Seconds between two looks for work trees that nobody needs any more.
TIDY_SECONDS = 60.0

#: Seconds between two looks for mirrors of this host with many small objects and packs.
REPACK_LOOK_SECONDS = 600.0

#: Seconds between two looks for agents whose worker process is gone.
ORPHAN_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The parts of one worker process; a forked child has its own.

    Made after the fork: threads, leases and the mail server's socket belong to one process. Ticks and jobs
    may run in any worker; chores concern the host and run once on each.
    """

    coalmine: Coalmine
    runner: Runner | None = None  # in place of agents, where a test or a benchmark measures the rest

    @cached_property
    def keeper(self) -> LeaseKeeper:
        """Keeps the leases of this process: one thread for all its jobs and turns.

        It ends the process (`on_death`) when its thread dies, because work without renewed leases would be
        done twice. It also flushes what agents said.
        """
        times = self.coalmine.settings.times
        return LeaseKeeper(
            LeaseTimes(
                lease_seconds=times.lease_seconds,
                renewals=times.renewals,
                tick_seconds=times.keeper_interval_seconds,
                event_seconds=times.event_interval_seconds,
                outage_seconds=times.outage_seconds,
            ),
            monotonic=time.monotonic,
            draining=draining,
            chores=[self.coalmine.log_store.flush],
            on_death=end_process,
            outage=self._outage,
        )

    @property
    def _outage(self) -> Outage:
        """Who says that the store is away: with the broker on the same server, that is said once."""
        if self.coalmine.settings.broker_url is not None:
            return Outage("store")
        return Outage("store", is_silent=True) if is_pool_child() else BROKER

    @cached_property
    def job_leases(self) -> LeaseKind[Claim]:
        """How the leases of jobs are renewed, for the keeper and for those who ask whether one holds."""
        return job_leases(self.coalmine.job_store, self.keeper.times.lease_seconds)

    @cached_property
    def work(self) -> Work:
        """Works jobs: claims one, has it run, moves it to what its end means."""
        return Work(
            jobs=self.coalmine.jobs,
            keeper=self.keeper,
            leases=self.job_leases,
            runner=self.runner or self.agents,
            retire=self.retirements.retire,
            ended=self.follow_up,
            await_seconds=self.coalmine.settings.agent.await_seconds,
            met=self.note_token,
            delivery=DeliveryLimits(
                give_up_seconds=self.coalmine.settings.job.delivery_days * 86_400,
                lost_seconds=self.coalmine.settings.job.lost_work_seconds,
            ),
        )

    @cached_property
    def agents(self) -> AgentRunner:
        """Runs agents, in work trees of this host; what they see of our variables: `agents.environment`."""
        agent = self.coalmine.settings.agent
        limits = TurnLimits(
            time_limit_seconds=agent.time_limit_seconds,
            stall_seconds=agent.stall_seconds,
            result_grace_seconds=agent.result_grace_seconds,
            kill_grace_seconds=agent.kill_grace_seconds,
            output_bytes=int(agent.output_megabytes * 1024 * 1024),
            cost_usd=agent.cost_usd,
            tokens=agent.tokens,
            resources=agent.resources,
        )
        return AgentRunner(
            rules=RunnerRules(
                work_dir=agent.work_dir,
                limits=limits,
                commit_leftovers=agent.commit_leftovers,
                turns_per_job=agent.turns_per_job,
                job_cost_usd=agent.job_cost_usd,
                job_tokens=agent.job_tokens,
                prices=PriceTable(own=self.coalmine.settings.price),
                group=agent.group_id,
                git=self.coalmine.settings.git,
                traced=self.coalmine.traceparent,
            ),
            remotes=self.forges.remotes,
            environment=os.environ,
            log=self.coalmine.log_store,
            look=partial(self.keeper.look, self.job_leases),
            turns=self.turns,
            agents=self.coalmine.agents,
            note_base=self.coalmine.job_store.note_base,
            sandboxes=self.sandboxes,
            accounts=LeasedAccounts(
                pools=self.coalmine.pools,
                breakers=self.coalmine.breakers,
                opened=partial(self.tick_requests.ask, SWEEP),
            ),
            starts=VersionStarts(
                breakers=self.coalmine.breakers,
                trial=self.coalmine.trial_store.read,
                opened=partial(self.tick_requests.ask, SWEEP),
            ),
            pairs=pair_work_of(self.coalmine),
        )

    @cached_property
    def pair_judging(self) -> PairJudging:
        """Judges the work of pairs, on this host."""
        forges = self.forges
        return pair_judging_of(self.coalmine, forges.remotes, self.keeper, self.tick_requests)

    @cached_property
    def sandboxes(self) -> AgentSandboxes:
        """How agents are confined on this host."""
        agent = self.coalmine.settings.agent
        return AgentSandboxes(
            required=agent.require_sandbox, limits=agent.resources, engine_limits=agent.set_resources,
            as_other_user=agent.group is not None,
            engine=agent.container or "",
            say=self.coalmine.log_store.say,
        )  # fmt: skip

    @cached_property
    def retirements(self) -> Retirements:
        """Retires agents whose job has ended: their sessions, and mail that nobody will read."""
        return Retirements(
            jobs=self.coalmine.job_store,
            sessions=self.coalmine.sessions,
            agents=self.coalmine.agents,
            office=self.coalmine.post_office,
        )

    @cached_property
    def cgroup_home(self) -> CgroupHome | None:
        """Where turns have cgroups of their own; None where this process cannot make any."""
        return usable_cgroup_home()

    @cached_property
    def turns(self) -> TurnRunner:
        """Runs turns of sessions: the agent's process, its limits, its mail."""
        return TurnRunner(
            sessions=self.coalmine.sessions,
            keeper=self.keeper,
            agents=self.coalmine.agents,
            office=self.coalmine.post_office,
            mail_server=MailServer(
                self.coalmine.post_office,
                children=ChildDispatch(self.coalmine.children, self.coalmine.agents),
            ),
            table=ProcessTable(),
            home=self.cgroup_home,
        )

    @cached_property
    def forges(self) -> ForgeParts:
        """Where issues come from and work is judged; CI of ours runs as a task of its own."""
        return ForgeParts(coalmine=self.coalmine, run_ci=lambda commit: self.tick_requests.send(CI, commit))

    def poll(self, name: str) -> None:
        """Compare the backlog with what a forge lists; a name that is no longer served does nothing."""
        site = self.forges.sources.get(name)
        if site is not None:
            self.forges.collector.poll(site)

    def run_ci(self, commit: str) -> None:
        """Run CI on a commit where it is ours to run, and have the watcher look; takes as long as CI does.

        A forge that does not have the commit is passed over, and one that fails is logged.
        """
        for site in self.forges.sites.values():
            if site.run_ci is None:
                continue
            with LogAndContinue("ci.failed", forge=site.name), suppress(ForgeGoneError):
                site.run_ci(commit)
                self.tick_requests.send(WATCH)

    def dispatch(self) -> None:
        """Take in what webhooks reported, and dispatch; after that there may be room for more: ask again.

        With every kill switch on it costs no I/O at all.
        """
        if self.forges.is_off:
            return
        self.forges.collector.look()
        if self.forges.dispatcher.tick():
            self.tick_requests.send(DISPATCH)

    @cached_property
    def notifiers(self) -> list[Notifier]:
        """One for each sink that is on; each sends to the outside what people want to hear of."""
        return notifiers_of(self.coalmine)

    @cached_property
    def tick_requests(self) -> TickRequests:
        """Has ticks run now, in whichever worker takes them, instead of at their next time."""
        return TickRequests(self.coalmine.app, self.coalmine.ticks)

    def follow_up(self, job: Job, step: NextStep, result: JobResult) -> None:
        """An attempt has ended: have what comes next done at once.

        All of it would happen by itself at the ticks' next times, so a failure here costs seconds and loses
        nothing. Pushed work is judged by our CI or looked at; a final end goes to the issue and to the
        harvest. Messages go first: what is said in the job's log is not worth the wait for its writing.
        """
        try:
            self._ask_for_ticks(job, step, result)
        finally:
            self.coalmine.log_store.flush()

    def _ask_for_ticks(self, job: Job, step: NextStep, result: JobResult) -> None:
        if job.partner or job.case:  # its pair may be ready to be judged
            self.tick_requests.ask(HARVEST)
        if step is NextStep.PUSHED:
            self.tick_requests.send(CI, result.commit) if self._runs_ci(job) else self.tick_requests.ask(
                WATCH
            )
        elif not step.runs_again:
            if job.request.issue:
                self.tick_requests.ask(WATCH)
            self.tick_requests.ask(HARVEST)
        # Somebody may wait for the room; what a job awaits may have come while its turn was ending.
        if step is NextStep.AWAIT or self.coalmine.job_store.limits != AdmissionLimits():
            self.tick_requests.ask(SWEEP)

    def note_token(self, job: Job, hindrance: Hindrance | None) -> None:
        """Have people hear once that a forge refuses our token, whatever number of jobs waits for it."""
        forge = place_of(job)[0] or job.request.repository
        known, met = job.hindrance.kind if job.hindrance else None, hindrance.kind if hindrance else None
        with LogAndContinue("token.not_noted", forge=forge):
            if hindrance is not None and met in TOKENS:
                self.coalmine.tokens.refused(forge, reason=hindrance.words)
            elif known in TOKENS and met is None:
                self.coalmine.tokens.accepted(forge)

    def _runs_ci(self, job: Job) -> bool:
        """Whether CI of the job's forge is ours to run."""
        site = self.forges.sites.get(place_of(job)[0])
        return site is not None and site.run_ci is not None

    @property
    def chores(self) -> list[Chore]:
        """What is done on this host, whatever queues its workers serve.

        Agents without a worker are ended soon, as they spend money.
        """
        end_orphans = partial(end_ownerless_turns, ProcessTable(), self.cgroup_home)
        return [Chore(name="orphans", every_seconds=ORPHAN_SECONDS, do=end_orphans)]

    @property
    def slow_chores(self) -> list[Chore]:
        """The same, of what takes minutes now and then: no other chore is to wait for it.

        A mirror that is in use is left for the next time. A tree of a million files takes long to remove.
        """
        work_dir = self.coalmine.settings.agent.work_dir
        repack = partial(repack_mirrors, work_dir, now=time.time)
        return [
            Chore(name="tidy", every_seconds=TIDY_SECONDS, do=self.tidy),
            Chore(name="repack", every_seconds=REPACK_LOOK_SECONDS, do=repack),
        ]

    def tidy(self) -> list[str]:
        """Remove the work trees of this host that nobody needs any more, unless another worker of it does.

        Returns the ids of their jobs.
        """
        if not self.coalmine.ticks.is_first(f"tidied:{socket.gethostname()}", seconds=TIDY_SECONDS / 2):
            return []
        agent = self.coalmine.settings.agent
        sweep_case_places(agent.work_dir, before=time.time() - CASE_SECONDS)
        sweep_unused_folders(agent.work_dir, unused_seconds=self.coalmine.settings.retention_seconds)
        return sweep_worktrees(agent.work_dir, is_wanted=self._wants(agent.keep_failed_days * 86_400))

    def _wants(self, kept_seconds: float) -> Callable[[str], bool]:
        """Whether a job's work tree is kept: while it may run again, and for some days after a failure.

        A job without a record is finished and forgotten, so its work tree goes.
        """
        now = self.coalmine.now()

        def wanted(job_id: str) -> bool:
            job = self.coalmine.job_store.read(job_id)
            if job is None:
                return False
            failed = job.state in {
                JobState.FAILED, JobState.ESCALATED, JobState.BLOCKED, JobState.CANCELLED,
            }  # fmt: skip
            return not job.state.is_final or (failed and now - (job.finished_at or now) < kept_seconds)

        return wanted

    @cached_property
    def _sweep(self) -> Sweep:
        return Sweep(self.coalmine, self.tick_requests, lambda: self.forges.backlog)

    def sweep(self) -> None:
        """One tick: expired leases, mail that is awaited, the outbox, and what the index need not keep."""
        self._sweep.tick()
