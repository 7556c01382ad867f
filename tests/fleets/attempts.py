"""Attempts at jobs without a broker: claimed, run and reported as a worker does, in the test's own thread."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from routing.accounts.account import Account
from routing.accounts.pool import Pools
from routing.git.remote import Remote
from routing.jobs.job import Job, JobResult
from routing.jobs.lifecycle import Claim
from routing.process.table import ProcessTable
from routing.store.jobs.log_store import LogStore
from routing.store.redis.lease import LeaseStatus
from tasks.agents.accounts.leased_accounts import LeasedAccounts
from tasks.agents.mail.mail import Mail
from tasks.agents.mail.role import Role
from tasks.agents.mail_socket.server import MailServer
from tasks.agents.runner import AgentRunner, RunnerRules
from tasks.agents.session.record import SessionRecord
from tasks.agents.supervision.retirement import Retirement, Retirements
from tasks.agents.turn.limits import TurnLimits
from tasks.agents.turn.stop_signal import StopSignal
from tasks.agents.turn.turn_runner import TurnRunner
from tasks.work.lease_keeper import LeaseKeeper, LeaseTimes
from tasks.work.outcome import NextStep, Ran
from tasks.work.work import Work, job_leases
from tests.fleets.stepped_fleet import SteppedFleet

LEASE = 60.0


class AttemptsFleet:
    """A fleet with a lead, and a worker for the jobs that it asks for; its clock stands still."""

    def __init__(
        self, client: redis.Redis, folder: Path, *, remotes: Mapping[str, Remote] | None = None,
        path: str = "", stall_seconds: float = 60.0, host: str = "h1", account: Sequence[Account] = (),
        **job: Any,
    ) -> None:  # fmt: skip
        draws = [0.5] * 10  # the jitter of back-offs
        self.fleet = SteppedFleet(client, draws=draws, job=job, account=tuple(account))
        self.app = app = self.fleet.app
        self.lead = app.agents.register(role=Role.LEAD, name="lead-1").name
        self.before_push: Callable[[], object] = lambda: None  # between a turn and its push
        self.while_it_runs: Callable[[StopSignal], object] = lambda _: None  # in a thread beside each attempt
        self.steps: list[str] = []  # what was reported
        self.mail_server = MailServer(app.post_office)
        monotonic = self.fleet.clock
        self.keeper = LeaseKeeper(LeaseTimes(lease_seconds=LEASE), monotonic=monotonic)
        self.job_leases = job_leases(app.job_store, LEASE)
        self.turns = TurnRunner(
            sessions=app.sessions,
            keeper=self.keeper,
            agents=app.agents,
            office=app.post_office,
            mail_server=self.mail_server,
            table=ProcessTable(),
            monotonic=monotonic,
            host=host,
        )
        self.runner = AgentRunner(
            rules=RunnerRules(
                work_dir=folder / "work",
                limits=TurnLimits(kill_grace_seconds=0.2, time_limit_seconds=60, stall_seconds=stall_seconds),
                commit_leftovers=True,
            ),
            remotes=remotes or {},
            environment={"PATH": path or os.environ["PATH"], "HOME": str(folder)},
            log=LogStore(client, app.keys),
            look=self._look,
            turns=self.turns,
            agents=app.agents,
            note_base=app.job_store.note_base,
            accounts=LeasedAccounts(pools=Pools(accounts=account), breakers=app.breakers),
        )
        retirements = Retirements(
            jobs=app.job_store, sessions=app.sessions, agents=app.agents, office=app.post_office
        )
        self.retire: Callable[[Job, Retirement], bool] = retirements.retire
        self.before_report: Callable[[], object] = lambda: None  # what happens between a turn's end and that

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mail_server.shut()

    def _look(self, claim: Claim) -> LeaseStatus:
        self.before_push()
        return self.keeper.look(self.job_leases, claim)

    def job(self, **fields: Any) -> str:
        """A job that the lead has asked for."""
        return self.fleet.enqueue(**({"parent": self.lead} | fields)).job

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """What the worker's runner does, and what a test has happen after it."""
        beside = threading.Thread(target=self.while_it_runs, args=(stop,), daemon=True)
        beside.start()
        ran = self.runner.run(claim, stop)
        beside.join()
        self.before_report()
        return ran

    def keep(self, claim: Claim) -> str:
        """What the worker's runner does."""
        return self.runner.keep(claim)

    def work(self, job: str) -> str:
        """One attempt at a job; returns the step that was reported."""
        self.fleet.clock.forward(1000)  # whatever its back-off was
        work = Work(
            jobs=self.app.jobs, keeper=self.keeper, leases=self.job_leases, runner=self,
            retire=self.retire, ended=self._ended,
        )  # fmt: skip
        return work.work(job, worker="w1")

    def _ended(self, _job: Job, step: NextStep, _result: JobResult) -> None:
        self.steps.append(step.value)

    def find(self, job: str) -> Job:
        """The job as it is now."""
        return self.app.jobs.find(job)

    def agent(self, job: str) -> str:
        """The name of a job's agent."""
        return f"builder-{job[:8]}"

    def session(self, job: str) -> SessionRecord:
        """The session of a job's agent."""
        return SessionRecord.parse(self.app.sessions.read(self.agent(job)))

    def lives(self, job: str) -> tuple[bool, int]:
        """Whether a job's agent can be sent mail, and how often it was brought to life."""
        agent = self.app.agents.find(self.agent(job))
        return agent.is_live, agent.life

    def deaths(self) -> list[Mail]:
        """The lead's mails about agents that died, the newest first."""
        mails = self.app.post_office.newest(100, recipient=self.lead)
        return [mail for mail in mails if mail.type == "worker_died"]
