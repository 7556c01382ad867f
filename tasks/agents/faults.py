"""What a turn, or an error around it, means for the attempt: a fault, a hindrance or a refusal. Pure.

Before a turn nothing has been paid, so what passes by itself costs waiting alone. After it the work is there,
and whatever is raised concerns its delivery. An error that no row names is the program's own.
"""

from dataclasses import replace

from routing.errors import (
    STORE_AWAY,
    CoalmineError,
    ConflictError,
    CorruptRecordError,
    InvalidInputError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from routing.git.git import GitError, is_at_limit
from routing.git.push_refusal import PushRefusedError
from routing.git.remote import RemoteAwayError, RemoteGoneError, RemoteMovedError, RemoteRefusedError
from routing.jobs.ending import Ending, NotRun
from routing.jobs.job import JobResult
from routing.jobs.signal import SignalKind
from routing.jobs.turn import FinishedTurn, HindranceKind
from routing.process.command import SpawnError
from routing.process.first_process import SandboxNetworkError
from tasks.agents.repository.place import UnknownRepositoryError
from tasks.agents.repository.worktree import WorkNotTakenError
from tasks.agents.runtimes.runtime import RuntimeRefusedError
from tasks.agents.turn.result import TurnResult
from tasks.work.outcome import Ran

#: Characters of an error that are kept.
NOTE_CHARACTERS = 1000

_Errors = tuple[type[Exception], ...]

#: Before a turn: what passes by itself. Git that fails on this host (a tree too large for its time limit)
#: does not, so only what a remote does is among them.
_WAITS: tuple[tuple[_Errors, HindranceKind], ...] = (
    ((RemoteRefusedError,), HindranceKind.TOKEN),
    ((RemoteAwayError,), HindranceKind.AWAY),
    ((RemoteMovedError,), HindranceKind.GONE),  # a person says its new name
    ((SettingsError, UnknownRepositoryError), HindranceKind.UNABLE),  # another worker may know it
    ((SandboxNetworkError,), HindranceKind.MACHINE),
)

#: Before a turn: what counts as an attempt. The first row that fits.
_FAULTS: tuple[tuple[_Errors, SignalKind], ...] = (
    ((RuntimeRefusedError,), SignalKind.AGENT_ERRORED),
    ((SpawnError, GitError, OSError), SignalKind.MACHINE_LOST),  # what fails on this host
    ((InvalidInputError, NotFoundError), SignalKind.SETUP),  # a repository that is not there
    ((UnavailableError, ConflictError, CorruptRecordError), SignalKind.UNREACHABLE),
)

#: After a turn. The first row that fits; anything else is in the way as a remote that is away is.
_DELIVERY: tuple[tuple[_Errors, HindranceKind], ...] = (
    ((RemoteRefusedError, SettingsError), HindranceKind.TOKEN),
    ((RemoteGoneError,), HindranceKind.GONE),
    ((WorkNotTakenError,), HindranceKind.UNREADABLE),
    ((SpawnError, OSError), HindranceKind.MACHINE),
)


def before_turn(error: CoalmineError | OSError) -> Ran | None:
    """What an error means that was raised before a turn began; None: it is one of the program's own."""
    note = str(error)[:NOTE_CHARACTERS]
    if isinstance(error, PushRefusedError):  # found out before an agent is paid
        return Ran(ended_by=NotRun.FAULT, refusal=error.kind, said=error.said, note=note)
    if isinstance(error, STORE_AWAY):
        return Ran(ended_by=NotRun.STORE_AWAY, note=note)
    if hindrance := _hindrance(error):
        return Ran(ended_by=NotRun.FAULT, hindrance=hindrance, note=note)
    for kinds, fault in _FAULTS:
        if isinstance(error, kinds):
            return Ran(ended_by=NotRun.FAULT, fault=fault, note=note)
    return None


def _hindrance(error: CoalmineError | OSError) -> HindranceKind | None:
    """What passes by itself, or is another worker's to do; None for what counts as an attempt."""
    if is_at_limit(error) or is_at_limit(error.__cause__):
        return HindranceKind.MACHINE
    kinds_of_cause = FileNotFoundError | PermissionError
    if isinstance(error, SpawnError | SandboxNetworkError) and isinstance(error.__cause__, kinds_of_cause):
        return HindranceKind.UNABLE  # no such program here, or none that lets us into its sandboxes
    return next((hindrance for kinds, hindrance in _WAITS if isinstance(error, kinds)), None)


def after_turn(ran: Ran, error: CoalmineError | OSError) -> Ran:
    """The finished turn with what was in the way of its delivery."""
    note = str(error)[:NOTE_CHARACTERS]
    if isinstance(error, PushRefusedError):
        return replace(ran, refusal=error.kind, said=error.said, note=note)
    return replace(ran, hindrance=_in_the_way(error), note=note)


def delivering(ran: Ran, error: CoalmineError | OSError) -> Ran | None:
    """What an error means that kept a finished turn's work from being pushed by a later claim.

    The turn stays finished, whatever it is, and no attempt is used up. None: it is one of the program's own.
    """
    found = before_turn(error)
    if found is None or found.ended_by is not NotRun.FAULT:
        return found
    if found.hindrance is not None:
        return replace(ran, hindrance=found.hindrance, note=found.note)
    return after_turn(ran, error)


def _in_the_way(error: CoalmineError | OSError) -> HindranceKind:
    if is_at_limit(error) or is_at_limit(error.__cause__):
        return HindranceKind.MACHINE
    found = (hindrance for kinds, hindrance in _DELIVERY if isinstance(error, kinds))
    return next(found, HindranceKind.AWAY)


def attempt_of(turn: TurnResult, *, has_repository: bool) -> Ran:
    """A turn's result as that of an attempt, before anything is pushed."""
    result = JobResult(
        exit_code=turn.exit_code,
        ended_by=turn.ended_by,
        duration_seconds=round(turn.duration_seconds, 3),
        cost_usd=turn.usage.cost_usd,
        tail=turn.output_tail[-1000:],
    )
    error = turn.api_error
    refusal = f"the model's API refused: {error.message}"[:500] if error and not turn.clean else ""
    if turn.lingered and not turn.clean:
        refusal = refusal or "it said that it had failed, and did not exit"
    return Ran(
        ended_by=turn.ended_by,
        clean=turn.clean,
        has_repository=has_repository,
        fault=of_api(turn),
        note=turn.reason or refusal,
        result=result,
    )


def finished_before(turn: FinishedTurn, *, has_repository: bool) -> Ran:
    """The same of a turn that an earlier claim paid."""
    result = JobResult(
        exit_code=turn.exit_code,
        ended_by=turn.ended_by,
        duration_seconds=turn.duration_seconds,
        cost_usd=turn.cost_usd,
        tail=turn.tail,
    )
    return Ran(
        ended_by=turn.ended_by,
        clean=turn.clean,
        said_done=not turn.clean,
        has_repository=has_repository,
        result=result,
    )


#: How a turn ends whose program waits for the API in vain: by itself, or in silence.
_API_ENDINGS = frozenset({Ending.RESULT, Ending.STALL, Ending.DEADLINE})


def of_api(turn: TurnResult) -> SignalKind | None:
    """The fault of an unclean turn whose agent could do nothing, as the model's API refused.

    None for no such fault.

    By the HTTP status: 5xx and none are an API out of reach. A limit of the account, or a credential that is
    refused, is `TurnResult.limit`. Other refusals (400: a model that does not exist, a conversation that is
    too long) are the version's own.
    """
    if turn.clean or turn.refused or turn.api_error is None or turn.ended_by not in _API_ENDINGS:
        return None
    status = turn.api_error.status
    return SignalKind.UNREACHABLE if status is None or status >= 500 else None  # noqa: PLR2004 - HTTP's
