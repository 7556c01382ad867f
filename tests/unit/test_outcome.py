"""What the end of an attempt means for its job."""

from dataclasses import replace

import pytest

from routing.jobs.ending import OVERSTAYED, Ending, NotRun
from routing.jobs.job import JobResult
from routing.jobs.retry import Attempts
from routing.jobs.signal import SignalKind
from tasks.agents.mail.role import Role
from tasks.work.outcome import LEFT_CHARACTERS, NextStep, Ran, outcome

#: A first attempt, with two to follow.
FIRST = Attempts(used=1, allowed=3)


def decided(ran: Ran, attempts: Attempts = FIRST) -> tuple[NextStep, SignalKind | None, str]:
    """What the table says of an attempt, which is the first one unless said otherwise."""
    made = outcome(ran, attempts)
    return made.step, made.signal, made.reason


@pytest.mark.parametrize(
    ("exit_code", "reason"),
    [
        (127, "the agent's command was not found in the work tree (exit 127)"),
        (126, "the agent's command may not be executed in the work tree (exit 126)"),
        (1, "the agent ended with exit code 1"),
    ],
)
def test_agent_that_could_not_be_started_is_not_one_that_failed(exit_code: int, reason: str) -> None:
    """The reason names the likely mistake: a command that is not in the repository."""
    ran = Ran(ended_by=Ending.RESULT, result=JobResult(exit_code=exit_code))
    assert decided(ran) == (NextStep.RETRY, SignalKind.AGENT_ERRORED, reason)


def test_what_we_ended_is_not_called_missing() -> None:
    """A limit that was reached is the reason, whatever the exit code is."""
    ran = Ran(ended_by=Ending.STALL, result=JobResult(exit_code=127))
    assert decided(ran)[2] == "the agent went silent"


@pytest.mark.parametrize("ending", list(Ending))
def test_word_of_an_agent_holds_after_silence_and_its_time_limit_alone(ending: Ending) -> None:
    """Not after a cancel, a lost lease, a limit on output or cost, or a crash: those outweigh it."""
    result = JobResult(commit="4be1c0ffee00")
    said = Ran(ended_by=ending, said_done=True, has_repository=True, result=result)
    is_pushed = decided(said)[0] is NextStep.PUSHED
    assert is_pushed is (ending in {Ending.STALL, Ending.DEADLINE})
    assert is_pushed is (ending in OVERSTAYED)


def test_runtime_that_cannot_read_its_agent_is_the_versions_failure() -> None:
    """It is tried again like any failure; the reason says what was raised, whatever the exit code."""
    ran = Ran(ended_by=Ending.PARSER_ERROR, note="ValueError: no such line", result=JobResult(exit_code=0))
    reason = "the agent's runtime could not read what it said (ValueError: no such line)"
    assert decided(ran) == (NextStep.RETRY, SignalKind.AGENT_ERRORED, reason)


def test_agent_that_awaits_mail_is_not_judged() -> None:
    """Nothing was pushed, and nothing is missing; a turn that was not clean waits for nothing."""
    waits = Ran(ended_by=Ending.RESULT, clean=True, awaits=True, has_repository=True)
    assert decided(waits) == (NextStep.AWAIT, None, "its agent awaits mail")
    crashed = Ran(ended_by=Ending.RESULT, awaits=True, result=JobResult(exit_code=1))
    assert decided(crashed)[0] is NextStep.RETRY


@pytest.mark.parametrize("role", list(Role))
def test_only_whose_work_is_a_commit_has_to_make_one(role: Role) -> None:
    """A builder or a merger that pushed nothing is a person's; a scout or a reviewer has done its task."""
    ran = Ran(ended_by=Ending.RESULT, clean=True, has_repository=True, expects_commit=role.makes_commits)
    nothing = {Role.BUILDER: SignalKind.NOTHING_PUSHED, Role.MERGER: SignalKind.NOTHING_PUSHED}
    expected = nothing.get(role, SignalKind.FINISHED)
    step = NextStep.ESCALATE if role in nothing else NextStep.FINISHED
    assert decided(ran)[:2] == (step, expected)


def test_work_that_is_not_on_the_branch_is_named() -> None:
    """The reason of a job that committed nothing says where its work is."""
    left = Ran(ended_by=Ending.RESULT, clean=True, has_repository=True, left="kept: branch helper")
    assert decided(left)[2] == "the agent ended cleanly but committed nothing; kept: branch helper"


def test_work_that_is_not_on_the_branch_is_named_beside_what_was_pushed() -> None:
    """It is cut off where it is much."""
    pushed = JobResult(commit="a" * 40)
    ran = Ran(ended_by=Ending.RESULT, clean=True, has_repository=True, result=pushed, left="not taken: HEAD")

    assert decided(ran)[2] == f"pushed {'a' * 12}; not taken: HEAD"
    much = decided(replace(ran, left="x" * 5000))[2]
    assert much.endswith("xx…")
    assert len(much) < 2 * LEFT_CHARACTERS


def test_commit_and_fault_count_whatever_the_role_is() -> None:
    """What such an agent pushed is watched, and one that did not end cleanly has failed."""
    pushed = Ran(
        ended_by=Ending.RESULT, clean=True, has_repository=True, expects_commit=False,
        result=JobResult(commit="4be1c0ffee00"),
    )  # fmt: skip
    assert decided(pushed)[0] is NextStep.PUSHED
    crashed = Ran(
        ended_by=Ending.RESULT, has_repository=True, expects_commit=False, result=JobResult(exit_code=1)
    )
    assert decided(crashed)[1] is SignalKind.AGENT_ERRORED


def test_corrective_turn_without_a_new_commit_has_ci_read_again() -> None:
    """A check may have been run again meanwhile, and passed; a new commit is watched anyhow."""
    red = JobResult(exit_code=0, commit="4be1c0ffee00")
    stuck = Ran(ended_by=Ending.RESULT, clean=True, has_repository=True, judged=True, result=red)
    assert decided(stuck) == (NextStep.PUSHED, None, "the corrective turn committed nothing new")
    repaired = Ran(ended_by=Ending.RESULT, clean=True, has_repository=True, result=red)
    assert decided(repaired)[0] is NextStep.PUSHED


def test_corrective_turn_that_fails_for_good_has_ci_read_again() -> None:
    """The commit is still pushed, and a check may have passed meanwhile; nobody's fault stays one."""
    crashed = Ran(ended_by=Ending.RESULT, has_repository=True, corrects=True, result=JobResult(exit_code=1))
    last = Attempts(used=3, allowed=3)
    step, kind, reason = decided(crashed, last)
    assert (step, kind) == (NextStep.PUSHED, None)
    assert "exit code 1" in reason
    assert decided(crashed)[0] is NextStep.RETRY
    assert decided(replace(crashed, fault=SignalKind.QUOTA), last)[:2] == (NextStep.FAIL, SignalKind.QUOTA)
    assert decided(replace(crashed, corrects=False), last)[0] is NextStep.FAIL


@pytest.mark.parametrize("used", [1, 2, 3])
@pytest.mark.parametrize("ended_by", [*Ending, *NotRun])
def test_every_ending_without_work_to_judge(ended_by: Ending | NotRun, used: int) -> None:
    """The steps of the table in docs/forges.md, for an agent that said nothing of its task."""
    others = {
        Ending.CANCEL: NextStep.CANCEL,
        Ending.LEASE_LOST: NextStep.DROP,
        Ending.DRAIN: NextStep.GIVE_BACK,
        NotRun.BUSY: NextStep.PUT_OFF,
        NotRun.STORE_AWAY: NextStep.GIVE_BACK,
        NotRun.JOB_LIMIT: NextStep.ESCALATE,
    }
    failed = NextStep.RETRY if used < 3 else NextStep.FAIL
    decided = outcome(Ran(ended_by=ended_by, has_repository=True), Attempts(used=used, allowed=3))
    assert decided.step is others.get(ended_by, failed)
    assert decided.step.runs_again is (decided.step in {"retry", "give_back", "put_off"})


def test_fault_of_the_api_is_not_the_agents() -> None:
    """Whatever ended the turn, the fact that is recorded when no attempt is left names the fault."""
    for ended_by in (Ending.RESULT, Ending.STALL, NotRun.FAULT):
        ran = Ran(ended_by=ended_by, fault=SignalKind.QUOTA, note="429")
        assert decided(ran) == (NextStep.RETRY, SignalKind.QUOTA, "429")
        last = outcome(ran, Attempts(used=3, allowed=3))
        assert (last.step, last.signal) == (NextStep.FAIL, SignalKind.QUOTA)
