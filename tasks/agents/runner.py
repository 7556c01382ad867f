"""Runs one attempt at a claimed job: agent, turn, work tree, prompt; or only the push of a finished turn.

What goes wrong becomes part of the answer, not an exception: `Ran` names the fault as a signal, or what is in
the way, so that the tables in `tasks.work` can decide whether it is the version's. The order matters: the
runtime is checked before anything changes; the tree is opened under the turn's lease; right before the push
the lease, and whether people ended the job, are asked about again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from routing.accounts.limit import AccountLimit, LimitKind
from routing.accounts.prices import PriceTable
from routing.base import Base
from routing.errors import CoalmineError
from routing.git.limits import GitLimits
from routing.git.remote import Remote
from routing.jobs.ending import Ending, NotRun
from routing.jobs.job import Job
from routing.jobs.lifecycle import Claim
from routing.jobs.retry import Attempts
from routing.jobs.turn import FinishedTurn, HindranceKind
from routing.store.jobs.log_store import LogStore
from routing.store.redis.lease import LeaseStatus
from tasks.agents import faults
from tasks.agents.accounts.leased_accounts import LeasedAccounts, LeasedTurn, counts_as_limit
from tasks.agents.agent_record import AgentRecord
from tasks.agents.agent_registry import AgentRegistry, FinishedAgentError, UnknownAgentError
from tasks.agents.environment import AgentIdentity, agent_environment, known_secrets
from tasks.agents.kept_work import kept_elsewhere, kept_work
from tasks.agents.mail.role import Role
from tasks.agents.pairs.pair_work import PairWork
from tasks.agents.repository.hand_out import make_scratch
from tasks.agents.repository.place import RepositoryPlace, UnknownRepositoryError, scratch, turn_files
from tasks.agents.repository.worktree import Push, Worktree, kept_worktree, open_worktree
from tasks.agents.runtimes.agent_event import AgentEvent, log_line
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec, TurnInput
from tasks.agents.sandbox.turn_folders import remove_turn_folders
from tasks.agents.sandbox.turn_sandbox import AgentSandboxes, SandboxTurn
from tasks.agents.supervision.orphans import end_turns_of
from tasks.agents.supervision.retirement import Retirement
from tasks.agents.turn.ending import TurnRecord
from tasks.agents.turn.limits import JobLimits, TurnLimits
from tasks.agents.turn.order import TurnOrder, TurnStart
from tasks.agents.turn.prompt import compose, prompt_input
from tasks.agents.turn.stop_signal import StopSignal
from tasks.agents.turn.turn_runner import TurnRunner
from tasks.agents.turn.version_starts import VersionStarts
from tasks.work.outcome import Ran

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerRules:
    """The settings that concern an attempt."""

    work_dir: Path
    limits: TurnLimits
    commit_leftovers: bool
    turns_per_job: int = 20
    job_cost_usd: float | None = None  # of all turns of a job, None for no limit
    job_tokens: int | None = None  # the same in tokens
    prices: PriceTable = field(default_factory=PriceTable)  # for programs that say no dollars
    group: int | None = None  # shared with the user that agents run as; None: they run as the worker's
    git: GitLimits = field(default_factory=GitLimits)
    traced: Callable[[Job], str] = lambda _: ""  # of a claimed job's turn; "": no traces are sent

    @property
    def of_job(self) -> JobLimits:
        """What all turns of a job may use together."""
        return JobLimits(turns=self.turns_per_job, usd=self.job_cost_usd, tokens=self.job_tokens)


class AgentRunner:
    """One a worker process, shared by its threads; keeps nothing of an attempt."""

    def __init__(
        self, *, rules: RunnerRules, remotes: Mapping[str, Remote], environment: Mapping[str, str],
        log: LogStore, look: Callable[[Claim], LeaseStatus], turns: TurnRunner, agents: AgentRegistry,
        note_base: Callable[[str, int, Base], bool], sandboxes: AgentSandboxes | None = None,
        accounts: LeasedAccounts | None = None, starts: VersionStarts | None = None,
        pairs: PairWork | None = None,
    ) -> None:  # fmt: skip
        self._pairs, self._starts = pairs or PairWork(), starts or VersionStarts()
        self._accounts = accounts or LeasedAccounts()
        self._rules = rules
        self._remotes = remotes  # of the repositories in the settings, by name
        self._environment = environment  # the worker's own
        self._log = log
        self._look = look  # at a lease: whether it is still ours, and nobody asks to end the job
        self._turns = turns
        self._agents = agents
        self._work_dir = str(rules.work_dir.resolve())
        self._note_base = note_base  # of a job, under its fence
        self._sandboxes = sandboxes or AgentSandboxes()

    def run(self, claim: Claim, stop: StopSignal) -> Ran:
        """Run one attempt, in the calling thread.

        The answer says how the agent ends if its job has ended with it.
        """
        run = _JobRun(folder=scratch(self._rules.work_dir, claim.job.id))
        return replace(self._attempt(claim, stop, run), retirement=run.retirement)

    def keep(self, claim: Claim) -> str:
        """Keep what a job's turns did whose cancel came after them, and say where it is; "" for nothing.

        Whatever became of the turns; never raises for what a repository does.
        """
        job = claim.job
        try:
            tree = self._tree_of(job)
        except (CoalmineError, OSError) as error:
            _log.warning("work.not_kept", reason=str(error))
            tree = None
        return kept_elsewhere(job) if tree is None else self._kept(job, tree)

    def _attempt(self, claim: Claim, stop: StopSignal, run: "_JobRun") -> Ran:
        """Run, and name what is raised before a turn as a fault: by where it comes from.

        What is raised after it concerns the delivery alone, see `_pushed`.
        """
        try:
            if claim.job.finished is not None:
                return self._deliver(claim, claim.job.finished)
            return self._run(claim, stop, run)
        except (CoalmineError, OSError) as error:
            found = faults.before_turn(error)
            if found is None:
                raise
            _log.warning("turn.not_run", fault=found.fault or found.hindrance, reason=str(error))
            return found

    def _deliver(self, claim: Claim, finished: FinishedTurn) -> Ran:
        """Push what a finished turn left, as its worker did not: no agent runs, nothing costs the turn."""
        ran = faults.finished_before(finished, has_repository=bool(claim.job.request.repository))
        try:
            return self._delivered(claim, finished, ran)
        except (CoalmineError, OSError) as error:
            if (found := faults.delivering(ran, error)) is None:
                raise
            _log.warning("work.not_pushed", reason=str(error))
            return found

    def _delivered(self, claim: Claim, finished: FinishedTurn, ran: Ran) -> Ran:
        job, repository = claim.job, claim.job.request.repository
        end_turns_of(job.id, self._turns.table, self._turns.home)  # of a worker that was killed
        if finished.awaits or not repository:
            return replace(ran, awaits=finished.awaits)
        tree = self._tree_of(job)
        if tree is not None:
            return self._pushed(claim, tree, ran)
        is_here = (finished.host, finished.work_dir) == (self._turns.host, self._work_dir)
        gone = f"it was on this host, {finished.host}, and is gone"
        note = gone if is_here else f"it is on {finished.host}"
        return replace(ran, hindrance=HindranceKind.ELSEWHERE, is_lost=is_here, note=note)

    def _tree_of(self, job: Job) -> Worktree | None:
        """The job's tree as its last turn on this host left it."""
        if not job.request.repository:
            return None
        place, remote = self._where(job)
        return kept_worktree(
            place, remote=remote, job_id=job.id, base=job.base, pushed=job.pushed_commits, keeps=job.shadow
        )

    def _kept(self, job: Job, tree: Worktree) -> str:
        return kept_work(tree, host=self._turns.host, say=partial(self._log.say, job.id))

    def _run(self, claim: Claim, stop: StopSignal, run: "_JobRun") -> Ran:
        job = claim.job
        leased = self._accounts.lease(job, RuntimeSpec.of(claim.version.snapshot), self._environment)
        leased = replace(leased, spec=(spec := self._pairs.cases.confined(job, leased.spec)))
        runtime_for(spec)  # refused by name before anything changes
        self._sandboxes.announce(spec, job.id)
        self._pairs.cases.note_reach(job, self._sandboxes.choose(spec).kind, spec.profile)
        if note := self._rules.of_job.reached(job):
            return Ran(ended_by=NotRun.JOB_LIMIT, note=note)
        if job.fence > 1:  # an earlier holder may still have an agent in its tree
            end_turns_of(job.id, self._turns.table, self._turns.home)
        try:
            record = self._turns.run(self._order(claim, leased, run), stop)
        finally:
            remove_turn_folders(self._rules.work_dir, job.id, job.fence, partial(self._log.say, job.id))
        if isinstance(record, NotRun):
            return Ran(ended_by=record, note=f"the session of {run.agent} was {record.value}")
        run.retirement = record.retirement
        ran = faults.attempt_of(record.result, has_repository=run.tree is not None)
        met = self._limit_met(job, record, leased)
        if met is not None:
            has_begun = record.result.session_id is not None or record.result.acted
            limit, is_noted = met
            return replace(ran, fault=None, limit=limit, is_noted=is_noted, has_begun=has_begun)
        if record.awaits:  # the work goes on in this tree: nothing of it is pushed yet
            return replace(ran, awaits=True)
        if record.said_done:  # the model's API may have failed it since, but its work is done
            ran = replace(ran, said_done=True, fault=None)
        return self._pushed(claim, run.tree, ran)

    def _limit_met(self, job: Job, record: TurnRecord, turn: LeasedTurn) -> tuple[AccountLimit, bool] | None:
        """The limit for which the job is put off, and whether the fleet knows it before the next claim."""
        limit, result = record.result.limit, record.result
        acted = turn.may_have_worked(acted=result.acted, seconds=result.duration_seconds)
        if limit is None:
            # A turn that was stopped, stalled or crashed before the model did anything says nothing of it.
            if result.acted or (result.ended_by is Ending.RESULT and result.clean):
                self._accounts.answered(job)
        elif limit.kind is LimitKind.START:  # the fleet knows already
            return limit, True
        elif not record.said_done and counts_as_limit(limit, job, acted=acted):
            return limit, self._accounts.met(job, limit)
        return None

    def _pushed(self, claim: Claim, tree: Worktree | None, ran: Ran) -> Ran:
        """Push what a turn left, if its work is there to be judged.

        A push that fails says what was in its way; the turn is finished all the same.
        """
        if tree is not None:
            tree = replace(tree, asked=claim.job.request.title or claim.job.request.task)
        if tree is not None and ran.ended_by is Ending.CANCEL:  # nothing is pushed that nobody wants
            return self._cancelled(claim.job, tree, ran)
        if tree is None or not (ran.clean or ran.said_done):
            return ran
        permit = partial(self._permit, claim)
        try:
            permit()
            took, leftovers = partial(self._pairs.hand_over, claim.job, tree), self._rules.commit_leftovers
            pushed = tree.push(keep_leftovers=leftovers, permit=permit, took=took)
        except _NotPermittedError as error:
            stopped = replace(ran, ended_by=error.ending)
            cancelled = error.ending is Ending.CANCEL
            return self._cancelled(claim.job, tree, stopped) if cancelled else stopped
        except (CoalmineError, OSError) as error:
            _log.warning("work.not_pushed", reason=str(error))
            return faults.after_turn(ran, error)
        if pushed.base != claim.job.base:
            self._note_base(claim.job.id, claim.fence, pushed.base)
        left = self._said_left(claim.job, pushed)
        result = replace(ran.result, commit=pushed.commit or "", branch=tree.branch)
        expects_commit = Role(claim.job.request.role).makes_commits
        judged = pushed.commit in claim.job.judged
        return replace(ran, result=result, judged=judged, expects_commit=expects_commit, left=left)

    def _permit(self, claim: Claim) -> None:
        """Look right before something is pushed, as a push carries no fence: _NotPermittedError stops it."""
        status = self._look(claim)
        if not status.held:
            raise _NotPermittedError(Ending.LEASE_LOST)
        if status.stop:  # people outrank the fleet: also between the end of a turn and its push
            raise _NotPermittedError(Ending.CANCEL)

    def _cancelled(self, job: Job, tree: Worktree, ran: Ran) -> Ran:
        """What is reported of a cancelled attempt: nothing is pushed, and its work is kept."""
        return replace(ran, kept=self._kept(job, tree), result=replace(ran.result, branch=tree.branch))

    def _said_left(self, job: Job, pushed: Push) -> str:
        """What of the agent's work is not on its branch, in words: also in the job's log."""
        parts = [*pushed.left_out]
        if pushed.aside:
            parts.append(f"kept for the next attempt, and not pushed: {', '.join(pushed.aside)}")
        for part in parts:
            _log.warning("work.left", reason=part)
            self._log.say(job.id, "left", part)
        return "; ".join(parts)

    def _agent(self, job: Job) -> AgentRecord:
        """The job's agent: one of its own, unless the request names one that several jobs share.

        When the agent that asked for it has finished, its mail goes to people.
        """
        request = job.request
        register = partial(
            self._agents.register, role=Role(request.role), name=request.agent,
            job="" if request.agent else job.id,
        )  # fmt: skip
        try:
            return register(parent="" if job.shadow else request.parent)
        except (FinishedAgentError, UnknownAgentError) as error:
            _log.info("agent.parent_gone", parent=request.parent, reason=str(error))
            return register()

    def _order(self, claim: Claim, leased: LeasedTurn, run: "_JobRun") -> TurnOrder:
        """What the turn is to do; registers the agent."""
        job, spec = claim.job, leased.spec
        agent = self._agent(job)
        run.agent = agent.name
        return TurnOrder(
            agent=agent,
            worker=job.worker,
            job=job.id,
            job_fence=job.fence,
            payer=job.payer,
            work_dir=self._work_dir,
            runtime=runtime_for(spec),
            begins=True,
            compose=lambda start: self._input(claim, leased, run, start),
            limits=self._rules.of_job.left(self._rules.limits.of_version(spec), job),
            attempts=Attempts.of(job),
            on_event=self._accounts.listener(job, partial(self._hear, job.id)),
            on_usage=lambda usage: self._log.spend(job.id, job.fence, usage.cost(0.0)),
            judged=partial(self._starts.judged, job),
        )

    def _input(self, claim: Claim, leased: LeasedTurn, run: "_JobRun", start: TurnStart) -> TurnInput:
        """Open the tree and compose the prompt. Called under the turn's lease: nobody else is in the tree."""
        job, spec = claim.job, leased.spec
        if job.request.repository:
            place, remote = self._where(job)
            run.tree = open_worktree(
                place, remote=remote, job_id=job.id, base=job.base, pushed=job.pushed_commits,
                begin=self._pairs.begin(job, place, remote), keeps=job.shadow, alone=bool(job.case),
            )  # fmt: skip
            run.folder = run.tree.path
            if run.tree.base != job.base:
                self._note_base(job.id, claim.fence, run.tree.base)
        else:
            make_scratch(run.folder, group=self._rules.group)
        tree = run.tree
        files = turn_files(self._rules.work_dir, job.id, job.fence)
        prompt_file = files.resolve() / "prompt.md"
        identity = AgentIdentity(
            job_id=job.id, agent=run.agent, version=claim.version.id, issue=job.request.issue,
            attempt=job.attempts, branch=tree.branch if tree else "", traceparent=self._rules.traced(job),
        )  # fmt: skip
        parts = prompt_input(
            claim, start, branch=identity.branch, resumed=tree is not None and tree.resumed,
            aside=tree.aside if tree else (),
        )  # fmt: skip
        prompt = compose(parts)
        environment = agent_environment(
            leased.worker, spec=spec, identity=identity, turn_kind=parts.kind, prompt_file=prompt_file,
            folder=run.folder,
        )  # fmt: skip
        turn = SandboxTurn(
            work_dir=self._rules.work_dir, job_id=job.id, fence=job.fence, agent=job.request.agent, spec=spec,
            tree=run.folder.resolve(), prompt_file=prompt_file, borrowed=tree.borrowed if tree else (),
            environment=environment, worker=leased.worker,
        )  # fmt: skip
        return TurnInput(
            prompt=f"{prompt}\n{start.mail}" if start.mail and not parts.mail else prompt,
            worktree=turn.tree,
            environment=environment | self._trust(run.folder),
            prompt_file=prompt_file,
            sends_mail=not job.shadow,
            log_file=files / "turn.log",
            secrets=known_secrets(leased.worker, spec),
            price=self._rules.prices.of(spec.model, datetime.now(UTC).date()),
            group=self._rules.group,
            sandbox=self._sandboxes.sandbox(turn),
        )

    def _hear(self, job: str, event: AgentEvent) -> None:
        if line := log_line(event):
            self._log.say(job, *line)

    def _where(self, job: Job) -> tuple[RepositoryPlace, Remote]:
        rules, name = self._rules, job.request.repository
        place = RepositoryPlace(work_dir=rules.work_dir, repository=name, limits=rules.git, group=rules.group)
        return self._pairs.cases.where(job, place, self._remote(name))

    def _trust(self, tree: Path) -> dict[str, str]:
        """What lets the git of another user work in a tree that is the worker's."""
        if self._rules.group is None:
            return {}
        setting = {"GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": str(tree.resolve())}
        return {"GIT_CONFIG_COUNT": "1", **setting}

    def _remote(self, repository: str) -> Remote:
        remote = self._remotes.get(repository)
        if remote is None:
            known = ", ".join(sorted(self._remotes)) or "none"
            message = f"this worker knows no repository {repository} (known: {known}); see its settings"
            raise UnknownRepositoryError(message)
        return remote


class _NotPermittedError(Exception):
    """Nothing may be pushed any more."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending  # of the attempt, for this reason


@dataclass(kw_only=True, slots=True)
class _JobRun:
    """What becomes known during an attempt: where it works, and how its agent ends."""

    folder: Path
    tree: Worktree | None = None
    agent: str = ""
    retirement: Retirement | None = None
