"""What a worker has for pairs, wired: where both jobs begin, and how they are judged."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harvest.backtests.case import Case
from routing.jobs.job import Job
from routing.store.judging.judging_store import HandedWork, JudgingClaim, JudgingStore
from tasks.agents.pairs.case_work import CaseWork
from tasks.agents.pairs.handed_work import with_base
from tasks.agents.pairs.judge import Judge
from tasks.agents.pairs.judging import PairJudging
from tasks.agents.pairs.pair_work import PairWork
from tasks.agents.repository.mirror import Mirror
from tasks.agents.repository.place import RepositoryPlace, UnknownRepositoryError
from tasks.agents.turn.stop_signal import StopReason
from tasks.broker import HARVEST, JUDGE
from tasks.composition.judges import judge_of_case, judge_of_repository
from tasks.work.lease_keeper import LeaseKeeper, LeaseKind
from tasks.work.tick import TickRequests

if TYPE_CHECKING:
    from routing.git.remote import Remote
    from tasks.composition.composition import Coalmine


def case_work_of(parts: "Coalmine") -> CaseWork:
    """What a worker does for jobs of backtests."""
    store = parts.backtest_store

    def case_of(digest: str) -> Case | None:
        text = store.case(digest)
        return None if text is None else Case.model_validate_json(text)

    return CaseWork(
        case_of=case_of, judge_of=partial(judge_of_case, parts.settings), say=parts.log_store.say,
        reach=store.note_reach, allow=parts.settings.backtest.allow,
    )  # fmt: skip


def pair_work_of(parts: "Coalmine") -> PairWork:
    """What a worker does for jobs of pairs, beside their turns."""
    return PairWork(
        agree=parts.job_store.agree_on_base, now=parts.now, give=parts.judging.hand_over,
        cases=case_work_of(parts),
    )  # fmt: skip


def judge_by(parts: "Coalmine") -> Callable[[Job], Judge | None]:
    """Who judges a job's work: the settings' command, else CI of its local forge; None for nobody.

    A case has hidden tests, and may have a judge of its own.
    """
    settings, cases = parts.settings, case_work_of(parts)

    def judge_of(job: Job) -> Judge | None:
        return cases.judge(job) if job.case else judge_of_repository(settings, job.request.repository)

    return judge_of


def judge_leases(store: JudgingStore, lease_seconds: float) -> LeaseKind[JudgingClaim]:
    """The leases of pairs that are judged: their holders may be asked to end, when nobody needs it more."""
    return LeaseKind(
        name="judge", lease_seconds=lease_seconds, renew=store.renew, asked_to=lambda _: StopReason.CANCEL
    )


def ask_judges(parts: "Coalmine", requests: TickRequests) -> None:
    """Have the pairs judged that wait for it, in whichever worker takes them; cases by those of backtests."""
    for pair in parts.judging.take():
        job = parts.job_store.read(pair)
        requests.send(JUDGE, pair, queue="backtest" if job and job.case else "control")


def pair_judging_of(
    parts: "Coalmine", remotes: Mapping[str, "Remote"], keeper: LeaseKeeper, requests: TickRequests
) -> PairJudging:  # fmt: skip
    """What judges pairs on this host."""
    work_dir, store = parts.settings.agent.work_dir, parts.judging

    cases = case_work_of(parts)

    def lender_of(job: Job, work: HandedWork) -> Path:
        repository = job.request.repository
        remote = remotes.get(repository)
        if remote is None:
            message = f"this worker knows no repository {repository}; see its settings"
            raise UnknownRepositoryError(message)
        place = RepositoryPlace(work_dir=work_dir, repository=repository, limits=parts.settings.git)
        if job.case:
            return cases.lender(job, place, remote)
        return with_base(Mirror(path=place.mirror, remote=remote), work)

    return PairJudging(
        store=store,
        keeper=keeper,
        leases=judge_leases(store, keeper.times.lease_seconds),
        find=parts.jobs.find,
        judge_of=judge_by(parts),
        lender_of=lender_of,
        say=parts.log_store.say,
        flush=parts.log_store.flush,
        work_dir=work_dir / ".coalmine" / "judge",
        now=parts.now,
        judged=partial(requests.ask, HARVEST),
    )
