"""Who judges work: the command for each repository, and for each case, by the settings."""

from dataclasses import replace
from typing import TYPE_CHECKING

from harvest.backtests.case import Case
from routing.forges.local.ci_sandbox import CiSandbox
from routing.forges.local.config import LocalConfig
from routing.sandbox.profile import SandboxKind
from tasks.agents.pairs.judge import Judge

if TYPE_CHECKING:
    from tasks.settings.settings import Settings

#: In what the judge's own command runs, as it runs code that agents wrote: without a network.
_SANDBOX = CiSandbox(kind=SandboxKind.AUTO)


def judge_of_repository(settings: "Settings", repository: str) -> Judge | None:
    """Who judges work on a repository: the settings' command, else CI of its local forge; None: nobody."""
    own = settings.judge
    if own.command:
        return Judge(command=own.command, timeout_seconds=own.seconds, sandbox=_SANDBOX)
    name, _, repo = repository.partition(":")
    config = next((forge for forge in settings.forge if forge.name == name and forge.is_served), None)
    if not repo or not isinstance(config, LocalConfig) or not config.has_ci:
        return None
    return Judge(command=config.ci or "", timeout_seconds=config.ci_seconds, sandbox=config.sandbox_of_ci)


def judge_of_case(settings: "Settings", case: Case) -> Judge | None:
    """Who judges work on a case, with its hidden tests; its own command and time limit count first."""
    usual = judge_of_repository(settings, case.repository)
    if usual is None and case.judge:
        usual = Judge(command=case.judge, timeout_seconds=settings.judge.seconds, sandbox=_SANDBOX)
    if usual is None:
        return None
    return replace(
        usual, command=case.judge or usual.command, timeout_seconds=case.seconds or usual.timeout_seconds,
        hidden=case.hidden,
    )  # fmt: skip


def judge_key(settings: "Settings", case: Case) -> tuple[str, float] | None:
    """The command and the time limit that judge a case, None for nobody: results are kept by them."""
    found = judge_of_case(settings, case)
    return None if found is None else (found.command, found.timeout_seconds)
