"""The account of a turn: what its agent is given of it, and what the fleet learns of it.

The lease of an account is a part of the claim of its job; this is what a worker does with it. A store that
does not answer ends no turn: the next turn on the account learns the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from routing.accounts.account import Account
from routing.accounts.limit import AccountLimit, LimitKind
from routing.accounts.pool import Pools
from routing.errors import SettingsError
from routing.jobs.job import Job
from routing.jobs.turn import HindranceKind
from routing.store.accounts.breaker_store import BreakerStore
from routing.templates.trial import Arm
from routing.templates.version import Snapshot
from tasks.agents.runtimes.agent_event import AgentEvent, ToolEvent, UsageEvent, UsageScope
from tasks.agents.runtimes.readiness import Ask, ProgramReadiness, readiness_of
from tasks.agents.runtimes.registry import runtime_for
from tasks.agents.runtimes.runtime import RuntimeSpec
from tasks.work.log_and_continue import LogAndContinue

_log = structlog.get_logger(__name__)

#: Turns in a row that a job may be put off for words that could be its agent's own; then they count as that.
MOST_IN_WORDS_ALONE = 3

#: The same for turns that did no work: a limit of a week is met that often where each try waits an hour.
MOST_WITHOUT_WORK = 168

#: A program that may not report its tools has worked when its turn lasted longer.
_WORK_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LeasedTurn:
    """A version as it is run on an account."""

    spec: RuntimeSpec  # with the account's variables and secrets, and the model that was leased
    worker: Mapping[str, str]  # the worker's environment, with the account's secrets under the agent's names

    def may_have_worked(self, *, acted: bool, seconds: float) -> bool:
        """Whether the agent may have done work in a turn of so long.

        Programs that we know report their tools, and may ask again for long; of others only time says it.
        """
        return acted or (seconds > _WORK_SECONDS and not runtime_for(self.spec).limit_words.is_own_voice)


def on_account(account: Account, spec: RuntimeSpec, worker: Mapping[str, str]) -> LeasedTurn:
    """What a version is run with on an account. SettingsError: the worker lacks a secret of it."""
    if lacking := account.missing(worker):
        message = (
            f"the account {account.id} needs {', '.join(lacking)}, which this worker's environment does "
            "not have; set it where the worker is started, or take the account out of its settings"
        )
        raise SettingsError(message)
    injected = {one.secret for one in spec.profile.inject}
    given = [name for name in account.sources if name not in injected]
    return LeasedTurn(
        spec=replace(
            spec,
            environment={**spec.environment, **account.environment},
            secrets=tuple(dict.fromkeys((*spec.secrets, *given))),
        ),
        worker={**worker, **{name: worker[source] for name, source in account.sources.items()}},
    )


def readiness_on_accounts(
    pools: Pools, snapshot: Snapshot, worker: Mapping[str, str], ask: Ask | None = None
) -> ProgramReadiness | None:
    """How ready the program of a version is here: the best that is found on the accounts that it may use.

    None for any program of a shell line. Raises RuntimeRefusedError as `runtime_for` does.
    """
    spec = RuntimeSpec.of(snapshot)
    runtime, best = runtime_for(spec), None
    for account in pools.of(snapshot):
        try:
            turn = on_account(account, spec, worker)
        except SettingsError as error:
            lack, _, remedy = str(error).partition("; ")
            found: ProgramReadiness | None = ProgramReadiness(title=spec.runtime, lack=lack, remedy=remedy)
        else:
            found = readiness_of(runtime, turn.spec, turn.worker, ask)
        if found is None or not found.lack:
            return found
        best = best or found
    return best


@dataclass(frozen=True, kw_only=True, slots=True)
class LeasedAccounts:
    """One a worker process, shared by its threads."""

    pools: Pools = field(default_factory=Pools)
    breakers: BreakerStore | None = None  # None: nothing is noted
    opened: Callable[[], object] = lambda: None  # called when an account was opened: jobs may wait for it

    def lease(self, job: Job, spec: RuntimeSpec, worker: Mapping[str, str]) -> LeasedTurn:
        """What a turn is run with on the account and the model that its job was leased.

        `worker` is this worker's environment. SettingsError: it lacks a secret of the account.
        """
        if not job.account:
            return LeasedTurn(spec=spec, worker=worker)
        account = self.pools.find(job.account, spec.runtime)
        return on_account(account, replace(spec, model=job.model or None), worker)

    def met(self, job: Job, limit: AccountLimit) -> bool:
        """A turn of the job met a limit: nobody begins on that account until it is over.

        False when that could not be noted: nothing holds the job then.
        """
        if self.breakers is None or not job.account:
            return False
        with LogAndContinue("account.not_closed", account=job.account) as noting:
            _log.warning("account.limit", account=job.account, kind=limit.kind, words=limit.words)
            self.breakers.met(job.account, job.model, limit, job=job.id)
        return not noting.failed

    def answered(self, job: Job) -> None:
        """The model has answered the job: if that was to try a closed account, it is open again."""
        if self.breakers is None or not job.account:
            return
        with LogAndContinue("account.not_opened", account=job.account):
            if self.breakers.answered(job.account, job.model, job=job.id):
                self.opened()

    def listener(self, job: Job, then: Callable[[AgentEvent], None]) -> Callable[[AgentEvent], None]:
        """Tell at the first sign of a model that works, and pass every event on."""
        has_answered = False

        def hear(event: AgentEvent) -> None:
            nonlocal has_answered
            if not has_answered and _is_answer(event):
                has_answered = True
                self.answered(job)
            then(event)

        return hear


def counts_as_limit(limit: AccountLimit, job: Job, *, acted: bool) -> bool:
    """Whether a turn is put off for a limit; `acted` as `LeasedTurn.may_have_worked` says.

    Not for words alone that come again and again: an agent could hold its account with them. And not for the
    model of a canary: that is what its trial is to find out.
    """
    if limit.kind is LimitKind.MODEL and job.arm is Arm.CANARY:
        return False
    known = job.hindrance
    if not limit.in_words_alone or known is None or known.kind is not HindranceKind.LIMIT:
        return True
    return known.times < (MOST_IN_WORDS_ALONE if acted else MOST_WITHOUT_WORK)


def _is_answer(event: AgentEvent) -> bool:
    """Whether a model must have done it just now.

    Text alone says nothing of that, as programs tell their limits as text, too; nor does what a session has
    used since it began.
    """
    if isinstance(event, UsageEvent):
        return event.scope is not UsageScope.SESSION and event.usage.is_paid
    return isinstance(event, ToolEvent)
