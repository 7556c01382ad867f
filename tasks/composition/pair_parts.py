"""What a worker has for pairs, wired: where both jobs begin, and the judge of each repository."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from harvest.backtests.case import Case
from routing.forges.local.ci_sandbox import CiSandbox
from routing.forges.local.config import LocalConfig
from routing.jobs.job import Job
from routing.sandbox.profile import SandboxKind
from tasks.agents.pairs.judge import Judge
from tasks.agents.pairs.pair_work import PairWork

if TYPE_CHECKING:
    from routing.forges.site import ForgeSite
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


def pair_work_of(parts: "Coalmine", sites: Mapping[str, "ForgeSite"]) -> PairWork:
    """What a worker does for jobs of pairs, beside their turns.

    A job's work is judged by the settings' command, else by CI of its local forge.
    """
    own = parts.settings.judge

    def judge_of(job: Job) -> Judge | None:
        return judge_of_repository(own, sites, job.request.repository)

    return PairWork(agree=parts.job_store.agree_on_base, now=parts.now, judge_of=judge_of)
