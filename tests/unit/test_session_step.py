"""What the end of a turn means for its session, and whether the next one resumes it."""

from typing import Any

import pytest

from routing.jobs.ending import Ending
from routing.jobs.retry import Attempts
from tasks.agents.mail.role import Role
from tasks.agents.runtimes.agent_event import Usage
from tasks.agents.session.record import SessionRecord
from tasks.agents.session.state import SessionState
from tasks.agents.session.step import Resumption, SessionStep, resumption, step_after
from tasks.agents.turn.result import TurnResult

S = SessionState

FIRST = Attempts(used=1, allowed=3)
LAST = Attempts(used=3, allowed=3)


def turn(ended_by: Ending = Ending.RESULT, exit_code: int | None = 0) -> TurnResult:
    """A turn that ended so; clean with exit code 0."""
    return TurnResult(
        ended_by=ended_by,
        exit_code=exit_code if ended_by is Ending.RESULT else None,
        clean=ended_by is Ending.RESULT and exit_code == 0,
        session_id=None,
        session_lost=False,
        resume_mismatch=False,
        duration_seconds=1.0,
        usage=Usage(),
        api_error=None,
        events=0,
        malformed_lines=0,
        oversized_lines=0,
        output_bytes=0,
        output_tail="",
        survivors=0,
        log_failure="",
    )


def step(result: TurnResult, **more: Any) -> SessionStep:
    """The decision for a builder with attempts left and without terminal mail, unless said otherwise."""
    given: dict[str, Any] = {
        "role": Role.BUILDER,
        "terminal_seen": False,
        "awaiting": False,
        "attempts": FIRST,
    }
    given |= more
    made = step_after(result, **given)
    assert made is not None
    return made


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize(
    "ending", [Ending.STALL, Ending.CANCEL, Ending.DEADLINE, Ending.OUTPUT_LIMIT, Ending.BUDGET]
)
def test_aborts_and_stalls_give_the_session_up(ending: Ending, *, seen: bool) -> None:
    """Unless the terminal mail of this turn was already there."""
    made = step(turn(ending), terminal_seen=seen, attempts=LAST)
    assert made.is_end
    assert made.to is (S.COMPLETED if seen else S.ZOMBIE)
    assert made.is_end
    assert not made.is_retry


@pytest.mark.parametrize(
    ("ending", "goes_on"), [(Ending.STALL, True), (Ending.DEADLINE, True), (Ending.CANCEL, False)]
)
def test_agent_with_attempts_left_has_not_ended(ending: Ending, *, goes_on: bool) -> None:
    """Its job is tried again, so its parent does not hear that it died; a cancel is final."""
    made = step(turn(ending), attempts=FIRST)
    assert made.to is S.ZOMBIE
    assert made.is_end is not goes_on


def test_clean_with_terminal_mail_completes() -> None:
    """And nothing is missing."""
    made = step(turn(), terminal_seen=True)
    assert (made.to, made.mail_missing, made.is_end) == (S.COMPLETED, False, True)


def test_clean_without_terminal_mail() -> None:
    """It completes with an error event; who waits for others, or has no task, goes on."""
    made = step(turn())
    assert (made.to, made.mail_missing, made.is_end) == (S.COMPLETED, True, True)
    for more in ({"awaiting": True}, {"role": Role.COORDINATOR}, {"role": Role.MONITOR}):
        made = step(turn(), **more)
        assert (made.to, made.mail_missing, made.is_end) == (S.BETWEEN_TURNS, False, False)
        assert made.awaits is ("awaiting" in more)


@pytest.mark.parametrize("role", [Role.LEAD, Role.COORDINATOR])
def test_who_awaits_mail(role: Role) -> None:
    """Any role may, after a clean turn that did not end its task; no other turn waits for anything."""
    assert step(turn(), role=role, awaiting=True).awaits
    for result, more in (
        (turn(exit_code=3), {}),
        (turn(Ending.DRAIN), {}),
        (turn(Ending.STALL), {}),
        (turn(), {"terminal_seen": True}),
    ):
        assert not step(result, role=role, awaiting=True, **more).awaits


def test_unclean_exit_is_tried_again_while_attempts_are_left() -> None:
    """Each counts as a retry; the last one gives the session up."""
    made = step(turn(exit_code=3))
    assert (made.to, made.is_retry, made.is_end) == (S.BETWEEN_TURNS, True, False)
    assert "3" in made.reason
    made = step(turn(exit_code=3), attempts=LAST)
    assert (made.to, made.is_retry, made.is_end) == (S.ZOMBIE, True, True)


def test_drain_keeps_the_session() -> None:
    """The agent has not failed."""
    made = step(turn(Ending.DRAIN), attempts=LAST)
    assert (made.to, made.is_retry, made.is_end) == (S.BETWEEN_TURNS, False, False)


def test_lost_lease_writes_nothing() -> None:
    """Somebody else may have the session by now."""
    assert (
        step_after(
            turn(Ending.LEASE_LOST), role=Role.BUILDER, terminal_seen=True, awaiting=True, attempts=FIRST
        )
        is None
    )


def record(**fields: Any) -> SessionRecord:
    """A session with a conversation that can be resumed on h1."""
    given = {"runtime": "claude", "runtime_session": "s1", "session_host": "h1", "gave_up": ""} | fields
    return SessionRecord(name="a", state=S.BETWEEN_TURNS, created_at=0, last_activity=0, **given)


def test_conversation_is_resumed_where_it_is() -> None:
    """The same runtime on the same host, after a crash, a drain, a lost worker or a completed task."""
    for fields in ({}, {"gave_up": "completed"}):
        made = resumption(record(**fields), runtime="claude", resumes=True, host="h1")
        assert made == Resumption(session_id="s1")


@pytest.mark.parametrize(
    ("fields", "runtime", "host", "resumes", "why"),
    [
        ({}, "claude", "h2", True, "host h1"),
        ({}, "codex", "h1", True, "runtime was claude"),
        ({}, "claude", "h1", False, "cannot resume"),
        ({"gave_up": "zombie"}, "claude", "h1", True, "given up"),
    ],
)
def test_conversation_that_cannot_be_resumed(
    fields: dict[str, str], runtime: str, host: str, *, resumes: bool, why: str
) -> None:
    """The turn starts afresh, and says why."""
    made = resumption(record(**fields), runtime=runtime, resumes=resumes, host=host)
    assert made.session_id is None
    assert why in made.lost


def test_session_without_conversation_has_lost_none() -> None:
    """A first turn has lost nothing."""
    fresh = record(runtime_session="", session_host="")
    assert resumption(fresh, runtime="claude", resumes=True, host="h2") == Resumption()


@pytest.mark.parametrize("ending", [Ending.STALL, Ending.DEADLINE])
def test_agent_that_said_that_it_was_done_has_no_more_turns(ending: Ending) -> None:
    """Its job is not tried again, whatever attempts are left; without its word it is."""
    assert step(turn(ending), terminal_seen=True, attempts=FIRST).is_end
    assert not step(turn(ending), terminal_seen=False, attempts=FIRST).is_end
