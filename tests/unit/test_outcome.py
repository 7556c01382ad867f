"""What the end of an attempt means for its job."""

import pytest

from routing.jobs.job import JobResult
from routing.jobs.signal import SignalKind
from tasks.agents.mail.role import Role
from tasks.agents.turn.result import OVERSTAYED, Ending
from tasks.work.outcome import NextStep, Ran, TurnOutcome, outcome


@pytest.mark.parametrize(
    ("exit_code", "reason"),
    [
        (127, "the agent's command was not found in the work tree (exit 127)"),
        (126, "the agent's command may not be executed in the work tree (exit 126)"),
        (1, "the agent ended with exit code 1"),
    ],
)
def test_agent_that_could_not_be_started_is_told_from_one_that_failed(exit_code: int, reason: str) -> None:
    """The reason names the likely mistake: a command that is not in the repository."""
    ran = Ran(ended_by="exit", result=JobResult(exit_code=exit_code))
    assert outcome(ran) == TurnOutcome(step=NextStep.RETRY, signal=SignalKind.AGENT_ERRORED, reason=reason)


def test_what_we_ended_is_not_called_missing() -> None:
    """A limit that was reached is the reason, whatever the exit code is."""
    ran = Ran(ended_by="stall", result=JobResult(exit_code=127))
    assert outcome(ran).reason == "the agent went silent"


@pytest.mark.parametrize("ending", list(Ending))
def test_word_of_an_agent_holds_behind_silence_and_its_time_limit_alone(ending: Ending) -> None:
    """Not behind a cancel, a lost lease, a limit on output or cost, or a crash: those outweigh it."""
    result = JobResult(commit="4be1c0ffee00")
    said = Ran(ended_by=ending.value, said_done=True, has_repository=True, result=result)
    is_pushed = outcome(said).step is NextStep.PUSHED
    assert is_pushed is (ending in {Ending.STALL, Ending.DEADLINE})
    assert is_pushed is (ending in OVERSTAYED)


def test_runtime_that_cannot_read_its_agent_is_the_versions_failure() -> None:
    """It is tried again like any failure; the reason says what was raised, whatever the exit code."""
    ran = Ran(ended_by="parser_error", note="ValueError: no such line", result=JobResult(exit_code=0))
    reason = "the agent's runtime could not read what it said (ValueError: no such line)"
    assert outcome(ran) == TurnOutcome(step=NextStep.RETRY, signal=SignalKind.AGENT_ERRORED, reason=reason)


def test_agent_that_awaits_mail_is_not_judged() -> None:
    """Nothing was pushed, and nothing is missing; a turn that was not clean waits for nothing."""
    waits = Ran(ended_by="result", clean=True, awaits=True, has_repository=True)
    assert outcome(waits) == TurnOutcome(step=NextStep.AWAIT, signal=None, reason="its agent awaits mail")
    crashed = Ran(ended_by="result", awaits=True, result=JobResult(exit_code=1))
    assert outcome(crashed).step is NextStep.RETRY


@pytest.mark.parametrize("role", list(Role))
def test_only_whose_work_is_a_commit_has_to_make_one(role: Role) -> None:
    """A builder or a merger that pushed nothing is a person's; a scout or a reviewer has done its task."""
    ran = Ran(ended_by="result", clean=True, has_repository=True, expects_commit=role.makes_commits)
    nothing = {Role.BUILDER: SignalKind.NOTHING_PUSHED, Role.MERGER: SignalKind.NOTHING_PUSHED}
    expected = nothing.get(role, SignalKind.FINISHED)
    step = NextStep.ESCALATE if role in nothing else NextStep.FINISHED
    assert (outcome(ran).step, outcome(ran).signal) == (step, expected)


def test_commit_and_fault_count_whatever_the_role_is() -> None:
    """What such an agent pushed is watched, and one that did not end cleanly has failed."""
    pushed = Ran(
        ended_by="result", clean=True, has_repository=True, expects_commit=False,
        result=JobResult(commit="4be1c0ffee00"),
    )  # fmt: skip
    assert outcome(pushed).step is NextStep.PUSHED
    crashed = Ran(ended_by="result", has_repository=True, expects_commit=False, result=JobResult(exit_code=1))
    assert outcome(crashed).signal is SignalKind.AGENT_ERRORED


def test_corrective_turn_without_a_new_commit_is_frozen() -> None:
    """A person gets the job, and its score says that CI stayed red; a new commit is watched."""
    red = JobResult(exit_code=0, commit="4be1c0ffee00")
    stuck = Ran(ended_by="result", clean=True, has_repository=True, judged=True, result=red)
    reason = "CI is red, and the corrective turn committed nothing new"
    assert outcome(stuck) == TurnOutcome(step=NextStep.ESCALATE, signal=SignalKind.FROZEN, reason=reason)
    mended = Ran(ended_by="result", clean=True, has_repository=True, result=red)
    assert outcome(mended).step is NextStep.PUSHED
