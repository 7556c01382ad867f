"""What the runner asks of a job of a case: its repository, which ends at the base, and its network.

A job of a case belongs to a backtest: nothing of it is delivered, and its work goes to the judge of its pair.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harvest.backtests.case import Case
from routing.git.remote import Remote
from routing.jobs.job import Job
from routing.sandbox.profile import NetworkMode, SandboxKind, SandboxProfile
from tasks.agents.pairs.judge import Judge
from tasks.agents.pairs.sealed_repository import place_of_case, sealed_remote
from tasks.agents.proxy.hosts import OF_MODELS, HostRules, address_of
from tasks.agents.repository.place import RepositoryPlace, UnknownRepositoryError
from tasks.agents.runtimes.runtime import RuntimeSpec

#: What the agent of a case reaches of the network, as it is stored; after MODELS the hosts beyond these.
MACHINE, MODELS, NOTHING = "machine", "models", "nothing"


@dataclass(frozen=True, kw_only=True)
class CaseWork:
    """One a worker process. The parts that it is not given know no case."""

    case_of: Callable[[str], Case | None] = lambda _digest: None  # a case by its digest; None: not kept
    judge_of: Callable[[Case], Judge | None] = lambda _case: None  # with its hidden tests
    say: Callable[[str, str, str], object] = lambda *_said: None  # adds to a job's log
    reach: Callable[[str, str, str], object] = lambda *_noted: None  # of a backtest: job, and what it reaches
    allow: tuple[str, ...] = ()  # hosts that its agent may reach beside the APIs of models

    def where(self, job: Job, place: RepositoryPlace, remote: Remote) -> tuple[RepositoryPlace, Remote]:
        """Where a job's tree is, and what its mirror fetches from: for a job of a case its sealed repository.

        Raises UnknownRepositoryError when the case is not kept, and what `sealed_remote` raises.
        """
        if not job.case:
            return place, remote
        case = self._case(job)
        sealed = sealed_remote(place, remote, digest=job.case, base=case.base)
        return place_of_case(place, job.case), sealed

    def confined(self, job: Job, spec: RuntimeSpec) -> RuntimeSpec:
        """How a version is run: on a case it reaches models and `allow`, and nothing else, in a sandbox.

        A version without a sandbox of its own gets one where that works: both versions alike, so that neither
        finds the answer. Secrets are added for these hosts alone: with that of a forge it could ask for it.
        """
        if not job.case:
            return spec
        if spec.sandbox is SandboxKind.NONE:
            self.say(
                job.id, "sandbox", "on a case this version, which has no sandbox, gets one if it works here"
            )
            spec = replace(spec, sandbox=SandboxKind.AUTO)
        if spec.profile.network is NetworkMode.NONE:
            return spec
        profile = spec.profile
        hosts = tuple(dict.fromkeys((*OF_MODELS, *self.allow)))
        rules = HostRules(patterns=hosts)
        inject = tuple(one for one in profile.inject if rules.match(*address_of(one)))
        if dropped := [one.host for one in profile.inject if one not in inject]:
            self.say(job.id, "sandbox", f"on a case no secret is added for {', '.join(dropped)}")
        narrow = profile.model_copy(
            update={
                "network": NetworkMode.ALLOW_LIST, "allow": hosts, "usual_hosts": False, "inject": inject,
            }
        )  # fmt: skip
        return replace(spec, profile=narrow)

    def note_reach(self, job: Job, kind: SandboxKind, profile: SandboxProfile) -> None:
        """Note what the agent of a case reaches, so that its report can say so."""
        if not job.case:
            return
        beyond = sorted(set(profile.allow) - set(OF_MODELS))
        within = NOTHING if profile.network is NetworkMode.NONE else " ".join((MODELS, *beyond))
        self.reach(job.backtest, job.id, MACHINE if kind is SandboxKind.NONE else within)

    def judge(self, job: Job) -> Judge | None:
        """Who judges the work of a job of a case, with its hidden tests; None for nobody."""
        return self.judge_of(self._case(job))

    def lender(self, job: Job, place: RepositoryPlace, remote: Remote) -> Path:
        """The repository of this host that a judge borrows the base from: it ends there, too.

        So what an agent wrote finds no answer while it is judged, either. Raises as `where` does.
        """
        return Path(self.where(job, place, remote)[1].address)

    def _case(self, job: Job) -> Case:
        case = self.case_of(job.case)
        if case is None:
            message = f"the case {job.case} of backtest {job.backtest} is no longer kept; begin it anew"
            raise UnknownRepositoryError(message)
        return case
