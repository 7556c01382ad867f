"""What a worker has for pairs, wired: where both jobs begin, and how their work is judged."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from harvest.backtests.case import Case
from routing.forges.local.ci_sandbox import CiSandbox
from routing.forges.local.config import LocalConfig
from routing.jobs.job import Job
from routing.sandbox.profile import SandboxKind
from routing.store.judging.judging_store import JudgingClaim, JudgingStore
from tasks.agents.pairs.judge import Judge
from tasks.agents.pairs.judging import PairJudging
from tasks.agents.pairs.pair_work import PairWork
from tasks.agents.repository.mirror import Mirror
from tasks.agents.repository.place import RepositoryPlace, UnknownRepositoryError
from tasks.agents.turn.stop_signal import StopReason
from tasks.broker import HARVEST, JUDGE
from tasks.work.lease_keeper import LeaseKeeper, LeaseKind
from tasks.work.tick import TickRequests

if TYPE_CHECKING:
    from routing.forges.site import ForgeSite
    from routing.git.remote import Remote
    from tasks.composition.composition import Coalmine
    from tasks.settings.settings import JudgeSettings

#: In what the judge's own command runs, as it runs code that agents wrote: without a network.
_SANDBOX = CiSandbox(kind=SandboxKind.AUTO)


def judge_of_repository(
    own: "JudgeSettings", sites: Mapping[str, "ForgeSite"], repository: str
) -> Judge | None:
    """Who judges work on a repository: the settings' command, else CI of its local forge; None: nobody."""
    if own.command:
        return Judge(command=own.command, timeout_seconds=own.seconds, sandbox=_SANDBOX)
    forge, _, repo = repository.partition(":")
    site = sites.get(forge) if repo else None
    config = site.config if site is not None else None
    if not isinstance(config, LocalConfig) or not config.has_ci:
        return None
    return Judge(command=config.ci or "", timeout_seconds=config.ci_seconds, sandbox=config.sandbox_of_ci)


def judge_of_case(own: "JudgeSettings", sites: Mapping[str, "ForgeSite"], case: Case) -> Judge | None:
    """Who judges work on a case, with its hidden tests; its own command and time limit count first."""
    usual = judge_of_repository(own, sites, case.repository)
    if usual is None and case.judge:
        usual = Judge(command=case.judge, timeout_seconds=own.seconds, sandbox=_SANDBOX)
    if usual is None:
        return None
    return replace(
        usual, command=case.judge or usual.command, timeout_seconds=case.seconds or usual.timeout_seconds,
        hidden=case.hidden,
    )  # fmt: skip


def pair_work_of(parts: "Coalmine") -> PairWork:
    """What a worker does for jobs of pairs, beside their turns."""
    return PairWork(agree=parts.job_store.agree_on_base, now=parts.now, give=parts.judging.hand_over)


def judge_by(parts: "Coalmine", sites: Mapping[str, "ForgeSite"]) -> Callable[[Job], Judge | None]:
    """Who judges a job's work: the settings' command, else CI of its local forge; None for nobody."""
    own = parts.settings.judge

    def judge_of(job: Job) -> Judge | None:
        return judge_of_repository(own, sites, job.request.repository)

    return judge_of


def judge_leases(store: JudgingStore, lease_seconds: float) -> LeaseKind[JudgingClaim]:
    """The leases of pairs that are judged: their holders may be asked to end, when nobody needs it more."""
    return LeaseKind(
        name="judge", lease_seconds=lease_seconds, renew=store.renew, asked_to=lambda _: StopReason.CANCEL
    )


def ask_judges(parts: "Coalmine", requests: TickRequests) -> None:
    """Have the pairs judged that wait for it, in whichever worker takes them."""
    for pair in parts.judging.take():
        requests.send(JUDGE, pair)


def pair_judging_of(
    parts: "Coalmine", sites: Mapping[str, "ForgeSite"], remotes: Mapping[str, "Remote"], keeper: LeaseKeeper,
    requests: TickRequests,
) -> PairJudging:  # fmt: skip
    """What judges pairs on this host."""
    work_dir, store = parts.settings.agent.work_dir, parts.judging

    def mirror_of(repository: str) -> Mirror:
        remote = remotes.get(repository)
        if remote is None:
            message = f"this worker knows no repository {repository}; see its settings"
            raise UnknownRepositoryError(message)
        place = RepositoryPlace(work_dir=work_dir, repository=repository, limits=parts.settings.git)
        return Mirror(path=place.mirror, remote=remote)

    return PairJudging(
        store=store,
        keeper=keeper,
        leases=judge_leases(store, keeper.times.lease_seconds),
        find=parts.jobs.find,
        judge_of=judge_by(parts, sites),
        mirror_of=mirror_of,
        work_dir=work_dir / ".coalmine" / "judge",
        now=parts.now,
        judged=partial(requests.ask, HARVEST),
    )
