"""What a job's turn is told, by what is known of the job and of its conversation: pure."""

from routing.jobs.job import Job
from routing.jobs.lifecycle import Claim
from tasks.agents.turn.order import TurnStart
from tasks.agents.turn.prompt import PromptInput


def prompt_input(claim: Claim, start: TurnStart, *, branch: str = "", resumed: bool = False) -> PromptInput:
    """The parts of the prompt; `branch` is the tree's, `resumed` whether it has work of an earlier turn.

    A kind that nobody knows is passed on, for `compose` to refuse.
    """
    job, kind = claim.job, _kind(claim.job, start, resumed=resumed)
    return PromptInput(
        kind=kind,
        version_prompt=claim.version.snapshot.prompt,
        title=job.request.title,
        task=job.request.task,
        issue=job.request.issue,
        branch=branch,
        recap=_recap(job, kind) if _is_needed(job, kind, start) else "",
        mail=start.mail if kind == "mail" else "",
        commit=job.repair.commit if job.repair else "",
        failing_checks=job.repair.checks if job.repair else (),
        log=job.repair.log if job.repair else "",
        templates={kind.value: text for kind, text in claim.version.snapshot.prompts.items()},
    )


def _kind(job: Job, start: TurnStart, *, resumed: bool) -> str:
    """The job's, unless nothing is left of the turn that it is to go on with."""
    remembered = start.session_id is not None or job.turns > 0 or resumed
    return "first" if job.kind in {"redispatch", "mail"} and not remembered else job.kind


def _is_needed(job: Job, kind: str, start: TurnStart) -> bool:
    """Whoever is in the conversation knows it all, unless an attempt failed meanwhile."""
    interrupted = kind == "redispatch" or (kind == "fix_forward" and job.attempts > 1)
    return interrupted or start.session_id is None


def _recap(job: Job, kind: str) -> str:
    lines = [job.reason, job.result.tail]
    if job.repair is not None and kind != "fix_forward":
        checks = ", ".join(job.repair.checks) or "unnamed"
        lines.insert(0, f"Commit {job.repair.commit} was pushed, and its checks failed: {checks}.")
    return "\n".join(line for line in lines if line).strip()
