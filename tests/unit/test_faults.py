"""What an error around a turn means: silence, a refusal, this host, or the version."""

import errno

import pytest

from routing.errors import (
    CoalmineError,
    CorruptRecordError,
    InvalidInputError,
    NotFoundError,
    SettingsError,
    StoreAwayError,
    UnavailableError,
)
from routing.forges.errors import ForgeTokenError, ForgeUnreachableError
from routing.git.git import GitError
from routing.git.push_refusal import PushRefusedError, RefusalKind
from routing.git.remote import RemoteAwayError, RemoteGoneError, RemoteMovedError, RemoteRefusedError
from routing.jobs.ending import Ending, NotRun
from routing.jobs.signal import SignalKind
from routing.jobs.turn import HindranceKind
from routing.process.command import SpawnError
from routing.process.first_process import SandboxNetworkError
from tasks.agents import faults
from tasks.agents.repository.place import UnknownRepositoryError
from tasks.agents.repository.worktree import WorkNotTakenError
from tasks.agents.runtimes.runtime import RuntimeRefusedError
from tasks.work.outcome import Ran

DONE = Ran(ended_by=Ending.RESULT, clean=True, has_repository=True)
FULL = OSError(errno.ENOSPC, "No space left on device")
FULL_GIT = GitError("git add failed", stderr="fatal: write error: No space left", at_limit=True)


def caused(error: Exception, cause: Exception) -> Exception:
    """An error with its cause."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "hindrance", "fault"),
    [
        (RemoteRefusedError("401"), HindranceKind.TOKEN, None),
        (RemoteAwayError("no route"), HindranceKind.AWAY, None),
        (FULL, HindranceKind.MACHINE, None),
        (FULL_GIT, HindranceKind.MACHINE, None),
        (SandboxNetworkError("not made in time"), HindranceKind.MACHINE, None),
        (caused(SandboxNetworkError("not entered"), PermissionError(1, "no")), HindranceKind.UNABLE, None),
        (SettingsError("no secret"), HindranceKind.UNABLE, None),
        (RuntimeRefusedError("no such runtime"), None, SignalKind.AGENT_ERRORED),
        (GitError("git reset took over 120 s"), None, SignalKind.MACHINE_LOST),
        (GitError("git add failed", stderr=f"error: {FULL.strerror}"), None, SignalKind.MACHINE_LOST),
        (PermissionError("no"), None, SignalKind.MACHINE_LOST),
        (RemoteGoneError("404"), None, SignalKind.SETUP),
        (RemoteMovedError("301"), HindranceKind.GONE, None),
        (UnknownRepositoryError("unknown here"), HindranceKind.UNABLE, None),
        (caused(SpawnError("no program"), FileNotFoundError(2, "no")), HindranceKind.UNABLE, None),
        (caused(SpawnError("no memory"), OSError(7, "too long")), None, SignalKind.MACHINE_LOST),
        (InvalidInputError("unknown base"), None, SignalKind.SETUP),
        (NotFoundError("no main branch"), None, SignalKind.SETUP),
        (UnavailableError("the store is away"), None, SignalKind.UNREACHABLE),
    ],
)
def test_before_a_turn(error: Exception, hindrance: HindranceKind | None, fault: SignalKind | None) -> None:
    """What passes by itself costs waiting; all else is an attempt, and only silence is unreachable."""
    assert isinstance(error, (CoalmineError, OSError))
    found = faults.before_turn(error)
    assert found is not None
    assert (found.ended_by, found.hindrance, found.fault) == (NotRun.FAULT, hindrance, fault)


@pytest.mark.parametrize(
    ("error", "hindrance"),
    [
        (RemoteRefusedError("401"), HindranceKind.TOKEN),
        (RemoteGoneError("404"), HindranceKind.GONE),
        (RemoteAwayError("no route"), HindranceKind.AWAY),
        (UnavailableError("the store is away"), HindranceKind.AWAY),
        (WorkNotTakenError("no such object"), HindranceKind.UNREADABLE),
        (caused(WorkNotTakenError("full"), FULL_GIT), HindranceKind.MACHINE),
        (FULL, HindranceKind.MACHINE),
    ],
)
def test_after_a_turn(error: Exception, hindrance: HindranceKind) -> None:
    """The turn is finished, whatever is in the way of its work."""
    assert isinstance(error, (CoalmineError, OSError))
    found = faults.after_turn(DONE, error)
    assert (found.ended_by, found.clean, found.hindrance, found.fault) == ("result", True, hindrance, None)


@pytest.mark.parametrize(
    ("error", "hindrance"),
    [
        (UnknownRepositoryError("unknown here"), HindranceKind.UNABLE),
        (ForgeUnreachableError("no token"), HindranceKind.AWAY),
        (ForgeTokenError("no key"), HindranceKind.AWAY),
        (RemoteRefusedError("401"), HindranceKind.TOKEN),
        (InvalidInputError("not an address"), HindranceKind.AWAY),
        (CorruptRecordError("no record"), HindranceKind.AWAY),
        (PermissionError("no"), HindranceKind.MACHINE),
    ],
)
def test_nothing_costs_a_finished_turn(error: Exception, hindrance: HindranceKind) -> None:
    """A claim that is to push it meets something before that: it waits, and uses up no attempt."""
    assert isinstance(error, (CoalmineError, OSError))
    found = faults.delivering(DONE, error)
    assert found is not None
    assert (found.ended_by, found.clean, found.hindrance, found.fault) == ("result", True, hindrance, None)


def test_a_store_that_is_away_gives_a_finished_turn_back() -> None:
    """Nothing could be written about it."""
    found = faults.delivering(DONE, StoreAwayError("away"))
    assert found is not None
    assert found.ended_by is NotRun.STORE_AWAY


def test_refusal_is_known_on_both_sides_of_a_turn() -> None:
    """With the words for those who are to repair it."""
    error = PushRefusedError("no", kind=RefusalKind.SECRET, said="GH013: line 3")
    before, after = faults.before_turn(error), faults.after_turn(DONE, error)
    assert before is not None
    for found in (before, after):
        assert (found.refusal, found.said, found.hindrance) == (RefusalKind.SECRET, "GH013: line 3", None)
