"""The table of what is done with pushed work, by what a look at its forge found: a pure decision.

It decides about jobs that wait; while a turn runs, or none has pushed, CI is not asked. What people have done
with the work comes before what CI says, and ends a job in any state.
What the end of a turn means is decided by `tasks.work.outcome`, whether a job is tried again after a failed
attempt or a lost worker by `routing.jobs.retry`. An unknown finding closes and escalates nothing.
"""

from dataclasses import dataclass
from enum import StrEnum

from routing.jobs.signal import SignalKind
from routing.printable import printable

#: The most characters of a failed check's own words that go into a reason.
COMPLAINT_CHARACTERS = 300


class Finding(StrEnum):
    """What a look at the forge of a pushed commit found. The first four are CI's verdict, see `CiVerdict`.

    The next two are what people did with the work, see `landings.Fate`; they outrank CI.
    """

    GREEN = "green"
    RED = "red"
    PENDING = "pending"
    UNKNOWN = "unknown"  # nobody has judged the commit
    UNREACHABLE = "unreachable"  # the forge did not answer
    PEOPLE = "people"  # CI has passed; a check waits for people
    APPROVAL = "approval"  # CI begins when a person approves it
    KEPT_AWAY = "kept_away"  # the commit's message keeps CI from running
    NOTHING = "nothing"  # CI has ended, and has run nothing
    MAIN_RED = "main_red"  # CI is red in the same way on the main branch
    MAIN_REPAIRED = "main_repaired"  # it was so where the work began, and is green there now
    LANDED = "landed"  # it is on the main branch: somebody merged it before CI gave a verdict
    DROPPED = "dropped"  # its change request was closed without a merge, or its branch deleted
    NO_CI = "no_ci"  # the forge runs none
    IN_REVIEW = "in_review"  # it is green, or there is no CI, and people merge it
    NO_CHANGE_REQUEST = "no_change_request"  # its forge let none be opened yet: nobody would find the work
    REQUEST_REFUSED = "request_refused"  # its forge does not let us open one
    INVALID_REQUEST = "invalid_request"  # its forge says that the request for its change makes no sense
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - its forge does not know our token
    NO_FORGE = "no_forge"  # its forge was taken out of the settings, and may be put back


class Action(StrEnum):
    """What is to be done with a job that waits."""

    WAIT = "wait"
    CLOSE_SUCCESS = "close_success"
    CANCEL = "cancel"  # people do not want it: nothing more is run, pushed or merged
    FIX_FORWARD = "fix_forward"
    BRING_UP_TO_DATE = "bring_up_to_date"  # with the main branch; then CI judges it again
    FREEZE_ESCALATE = "freeze_escalate"  # a person goes on; the version is judged by the red commit
    ESCALATE = "escalate"  # a person goes on; no version is blamed


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchLimits:
    """What a run may take, by the settings. Seconds are compared with those of the store's clock."""

    fix_forwards: int = 5  # corrective turns; 0: red work is a person's at once
    fix_forward_seconds: float = 3600.0  # after the first push, when the last corrective turn may begin
    no_verdict_seconds: float = 7200.0  # after the newest push, without a verdict, when a person is asked
    invalid_seconds: float = 600.0  # the same for a change request that is called invalid, which soon passes
    token_seconds: float = 259_200.0  # the same for a token that is refused
    red_main_seconds: float = 86_400.0  # after the newest push, for which a red main branch is waited for


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What is known of pushed work when a tick looks at it."""

    finding: Finding
    fix_forwards: int = 0  # corrective turns that it has had
    elapsed_seconds: float = 0.0  # since the first push
    silent_seconds: float = 0.0  # since the newest push
    complaint: str = ""  # what the check says that made CI red, or the forge that opened no change request
    waits: str = ""  # what CI was seen to wait for, as a sentence with the checks named
    in_review: bool = False  # it was green, and has been left to people since, who may take their time
    judged: bool = False  # CI was red at this commit before, and a corrective turn has left it as it is


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """An action and its reason in words."""

    action: Action
    reason: str


#: Findings that decide by themselves.
_CLEAR = {
    Finding.LANDED: Watch(action=Action.CLOSE_SUCCESS, reason="its work is on the main branch"),
    Finding.DROPPED: Watch(action=Action.CANCEL, reason="its change request was closed without a merge"),
    Finding.GREEN: Watch(action=Action.CLOSE_SUCCESS, reason="pushed, and CI is green"),
    Finding.NO_CI: Watch(action=Action.CLOSE_SUCCESS, reason="pushed; the forge runs no CI"),
    Finding.IN_REVIEW: Watch(action=Action.WAIT, reason="done, and left to people to merge"),
    Finding.MAIN_REPAIRED: Watch(
        action=Action.BRING_UP_TO_DATE,
        reason="CI was red on the main branch too, where the work began, and is green there now",
    ),
}


def watch(seen: Watched, limits: WatchLimits) -> Watch:
    """Decide: one row of the table in docs/forges.md a call."""
    match seen.finding:
        case found if found in _CLEAR:
            return _CLEAR[found]
        case Finding.RED | Finding.KEPT_AWAY:
            return _red(seen, limits)
        case Finding.MAIN_RED:
            return _main_red(seen, limits)
        case Finding.NOTHING:
            return Watch(action=Action.ESCALATE, reason=f"pushed, and {_waits(seen)}")
        case _ if seen.silent_seconds >= _patience(seen, limits):
            return Watch(action=Action.ESCALATE, reason=_silence(seen, limits))
        case _:
            return Watch(action=Action.WAIT, reason=_waits(seen))


def _patience(seen: Watched, limits: WatchLimits) -> float:
    """For how many seconds after a push what was found may stay as it is; longer where people have it."""
    finding = seen.finding
    if seen.in_review:
        return max(limits.red_main_seconds, limits.token_seconds)
    if finding is Finding.INVALID_REQUEST:
        return min(limits.invalid_seconds, limits.no_verdict_seconds)
    return limits.token_seconds if finding is Finding.TOKEN_REFUSED else limits.no_verdict_seconds


def _silence(seen: Watched, limits: WatchLimits) -> str:
    """Why nothing is known although the time for it is over."""
    said = f": {seen.complaint}" if seen.complaint else ""
    match seen.finding:
        case Finding.NO_CHANGE_REQUEST | Finding.REQUEST_REFUSED | Finding.INVALID_REQUEST:
            return f"pushed, but its forge let no change request be opened{said}"
        case Finding.TOKEN_REFUSED:
            return f"pushed, but its forge refuses the token{said}"
        case Finding.NO_FORGE:
            return "pushed, but its forge is not among the settings"
        case Finding.UNREACHABLE:
            return f"its forge did not say within {limits.no_verdict_seconds:g} s what CI made of it"
        case Finding.PEOPLE:
            return f"{_waits(seen)}, and they did not act within {limits.no_verdict_seconds:g} s"
        case _:
            return f"CI gave no verdict within {limits.no_verdict_seconds:g} s: {_waits(seen)}"


def _main_red(seen: Watched, limits: WatchLimits) -> Watch:
    """No agent is paid for what was broken before it came; a day later a person is asked all the same."""
    waits = f"waits until the main branch is green: {_waits(seen)} there as well"
    over = seen.silent_seconds >= limits.red_main_seconds
    return Watch(action=Action.ESCALATE if over else Action.WAIT, reason=waits)


def silence_signal(finding: Finding) -> SignalKind:
    """The fact about a job that is handed over without a verdict of CI: none of them blames the version."""
    match finding:
        case Finding.PEOPLE:
            return SignalKind.CI_GREEN
        case Finding.MAIN_RED:
            return SignalKind.MAIN_RED
        case Finding.UNREACHABLE | Finding.NO_FORGE | Finding.NO_CHANGE_REQUEST:
            return SignalKind.UNREACHABLE
        case Finding.TOKEN_REFUSED | Finding.REQUEST_REFUSED:
            return SignalKind.AUTHENTICATION
        case Finding.INVALID_REQUEST:
            return SignalKind.SETUP
        case _:
            return SignalKind.NO_VERDICT


def _waits(seen: Watched) -> str:
    """What CI is at, for people: names of checks are text from outside."""
    return printable(seen.waits or f"CI is {seen.finding}")[:COMPLAINT_CHARACTERS]


def _red(seen: Watched, limits: WatchLimits) -> Watch:
    """A corrective turn while one is left and it is early enough; after that, a person."""
    why = printable(f": {seen.complaint}" if seen.complaint else "")[:COMPLAINT_CHARACTERS]
    what = "CI did not run at" if seen.finding is Finding.KEPT_AWAY else "CI is red at"
    reason = f"{what} the pushed commit{why}"
    exhausted = _exhausted(seen, limits)
    if exhausted is None:
        return Watch(action=Action.FIX_FORWARD, reason=reason)
    return Watch(action=Action.FREEZE_ESCALATE, reason=f"{reason}; {exhausted}" if exhausted else reason)


def _exhausted(seen: Watched, limits: WatchLimits) -> str | None:
    """Why a job gets no further corrective turn, '' when jobs never get one, None when it gets one."""
    if limits.fix_forwards == 0:
        return ""
    if seen.judged:
        return "the last corrective turn brought nothing new"
    if seen.fix_forwards >= limits.fix_forwards:
        return f"it has had {seen.fix_forwards} of {limits.fix_forwards} corrective turns"
    if seen.elapsed_seconds >= limits.fix_forward_seconds:
        return f"{limits.fix_forward_seconds:g} s have passed since its first push"
    return None
