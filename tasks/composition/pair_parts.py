"""What a worker has for pairs, wired: where both jobs begin, and the judge of each repository."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from routing.forges.local.ci_sandbox import CiSandbox
from routing.forges.local.config import LocalConfig
from routing.jobs.job import Job
from routing.sandbox.profile import SandboxKind
from tasks.agents.pairs.judge import Judge
from tasks.agents.pairs.pair_work import PairWork
from tasks.issues.site import place_of

if TYPE_CHECKING:
    from routing.forges.site import ForgeSite
    from tasks.composition.composition import Coalmine

#: In what the judge's own command runs, as it runs code that agents wrote: without a network.
_SANDBOX = CiSandbox(kind=SandboxKind.AUTO)


def pair_work_of(parts: "Coalmine", sites: Mapping[str, "ForgeSite"]) -> PairWork:
    """What a worker does for jobs of pairs, beside their turns.

    A job's work is judged by the settings' command, else by CI of its local forge.
    """
    own = parts.settings.judge

    def judge_of(job: Job) -> Judge | None:
        if own.command:
            return Judge(command=own.command, timeout_seconds=own.seconds, sandbox=_SANDBOX)
        site = sites.get(place_of(job)[0])
        config = site.config if site is not None else None
        if not isinstance(config, LocalConfig) or not config.has_ci:
            return None
        return Judge(command=config.ci or "", timeout_seconds=config.ci_seconds, sandbox=config.sandbox_of_ci)

    return PairWork(agree=parts.job_store.agree_on_base, now=parts.now, judge_of=judge_of)
